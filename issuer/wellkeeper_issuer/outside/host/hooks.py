"""Run the administrator's commands around a renewal (docs/hooks.md), without a shell or input, and with a time-out.

Their output is logged line by line. They get a small environment, because ours may contain secrets.
"""

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.records import Event, Occasion
from wellkeeper_node.model import Identifier
from wellkeeper_node.process import Finished, ProcessError, run

_log = logging.getLogger(__name__)

_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTPUT_BYTES: Final = 64 * 1024
_LAST_LINES: Final = 3
_LAST_CHARACTERS: Final = 400
# Linux limits a variable to 128 KiB; ten thousand names are longer.
_LONGEST_LIST: Final = 96 * 1024
_LONGEST_ERROR: Final = 8 * 1024

_REMEDIES: Final[Mapping[Event, str]] = {
    Event.PRE: "Fix the hook: nothing is renewed while it fails.",
    Event.DEPLOY: "Fix the hook: it runs again with the next pass. The certificate is installed.",
    Event.POST: "Fix the hook: it runs again after the next renewal. The certificates are installed.",
    Event.FAILED: "Fix the hook: it runs again with the next failure.",
}


class CommandHooks:
    """Implements `ports.Hooks`. `environment` is ours; hooks get only the variables that programs need."""

    def __init__(
        self, commands: Mapping[Event, Sequence[str]], timeout_seconds: float, environment: Mapping[str, str]
    ) -> None:
        self._commands = commands
        self._timeout_seconds = timeout_seconds
        self._inherited = {"PATH": DEFAULT_PATH} | {
            name: environment[name] for name in _INHERITED if name in environment
        }

    def is_there(self, event: Event) -> bool:
        return event in self._commands

    async def run(self, event: Event, about: Occasion) -> None:
        argv = self._commands.get(event)
        if argv is None:
            return
        named = _named(about.lineages)
        hook, failure = f"hook '{event}' for {named}", f"the hook '{event}' failed for {named}"
        _log.info("%s: %s", hook, shlex.join(argv))
        try:
            finished = await run(argv, self._timeout_seconds, _OUTPUT_BYTES, self._inherited | variables(event, about))
        except ProcessError as error:
            _log_lines(hook, error.output)
            raise HookError(failure, f"{error}{_last_lines(error.output)}", _REMEDIES[event]) from error
        _log_lines(hook, finished.output)
        if finished.exit_code != 0:
            why = f"{argv[0]!r} {_end(finished)}{_last_lines(finished.output)}"
            raise HookError(failure, why, _REMEDIES[event])


def variables(event: Event, about: Occasion) -> dict[str, str]:
    """Return the variables for a hook, including certbot's; lists are separated by spaces."""
    identifiers = _names(about.identifiers)
    variables = {
        "WELLKEEPER_EVENT": event.value,
        "WELLKEEPER_CERTIFICATE": _listed(about.lineages),
        "WELLKEEPER_IDENTIFIERS": identifiers,
        "WELLKEEPER_LIVE": about.live_path,
        # A CA's message may contain NUL, a variable may not.
        "WELLKEEPER_ERROR": about.error.replace("\0", " ").encode()[:_LONGEST_ERROR].decode(errors="ignore"),
    }
    if about.is_rehearsal:
        variables["WELLKEEPER_REHEARSAL"] = "1"
    if event is Event.DEPLOY:
        variables |= {"RENEWED_LINEAGE": about.live_path, "RENEWED_DOMAINS": identifiers}
    if event is Event.POST:
        variables |= {"RENEWED_DOMAINS": _names(about.renewed), "FAILED_DOMAINS": _names(about.failed)}
    if event is Event.FAILED:
        variables["FAILED_DOMAINS"] = identifiers
    return variables


def _names(identifiers: Iterable[Identifier]) -> str:
    return _listed(map(str, identifiers))


def _listed(words: Iterable[str]) -> str:
    """Join the words with spaces; an ellipsis replaces those that do not fit."""
    text = " ".join(words)
    return text if len(text) <= _LONGEST_LIST else text[:_LONGEST_LIST].rpartition(" ")[0] + " ..."


def _named(lineages: Sequence[str]) -> str:
    return lineages[0] if len(lineages) == 1 else f"{len(lineages)} certificates"


def _log_lines(hook: str, output: str) -> None:
    for line in _lines(output):
        _log.info("%s: %s", hook, line)


def _lines(output: str) -> list[str]:
    """Return printable lines, which cannot imitate a log line or move a terminal's cursor."""
    lines = (one_line(line, _OUTPUT_BYTES) for line in output.splitlines())
    return [line for line in lines if line]


def _last_lines(output: str) -> str:
    last = " / ".join(_lines(output)[-_LAST_LINES:])
    return f": {last[-_LAST_CHARACTERS:]}" if last else ""


def _end(finished: Finished) -> str:
    code = finished.exit_code
    return f"was killed by signal {-code}" if code < 0 else f"exited with status {code}"
