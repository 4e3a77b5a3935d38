"""Commands of the administrator around a renewal, as `docs/hooks.md` describes them: no shell, no input, a time-out.

What they say is logged line by line. They get a small environment: what we were started with may hold secrets.
"""

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.records import Event, Occasion
from wellkeeper_node.foreign_text import printable
from wellkeeper_node.process import Finished, ProcessError, run

_log = logging.getLogger(__name__)

_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTPUT_BYTES: Final = 64 * 1024
_LAST_LINES: Final = 3
_LAST_CHARACTERS: Final = 400
# Linux takes 128 KiB a variable at most; ten thousand names are longer.
_LONGEST_LIST: Final = 96 * 1024
_LONGEST_ERROR: Final = 8 * 1024

_REMEDIES: Final[Mapping[Event, str]] = {
    Event.PRE: "nothing is renewed while it fails; it runs again before the next try",
    Event.DEPLOY: "the certificate is in place; the hook runs again with the next pass",
    Event.POST: "what was renewed is in place; it runs again after the next renewal",
    Event.FAILED: "it runs again with the next failure",
}


class CommandHooks:
    """Implements `ports.Hooks`. `environment` is ours, of which hooks get the little that programs need."""

    def __init__(
        self, commands: Mapping[Event, Sequence[str]], timeout_seconds: float, environment: Mapping[str, str]
    ) -> None:
        self._commands = commands
        self._timeout_seconds = timeout_seconds
        self._inherited = {"PATH": _DEFAULT_PATH} | {
            name: environment[name] for name in _INHERITED if name in environment
        }

    def is_there(self, event: Event) -> bool:
        return event in self._commands

    async def run(self, event: Event, about: Occasion) -> None:
        argv = self._commands.get(event)
        if argv is None:
            return
        who = f"hook {event} for {_named(about.lineages)}"
        _log.info("%s: %s", who, shlex.join(argv))
        try:
            finished = await run(argv, self._timeout_seconds, _OUTPUT_BYTES, self._inherited | variables(event, about))
        except ProcessError as error:
            _log_lines(who, error.output)
            raise HookError(f"{who}: {error}{_last_words(error.output)}; {_REMEDIES[event]}") from error
        _log_lines(who, finished.output)
        if finished.exit_code != 0:
            raise HookError(f"{who}: {argv[0]!r} {_end(finished)}{_last_words(finished.output)}; {_REMEDIES[event]}")


def variables(event: Event, about: Occasion) -> dict[str, str]:
    """What a hook is told, certbot's names included; lists are separated by blanks."""
    identifiers = _listed(str(one) for one in about.identifiers)
    variables = {
        "WELLKEEPER_EVENT": event.value,
        "WELLKEEPER_CERTIFICATE": _listed(about.lineages),
        "WELLKEEPER_IDENTIFIERS": identifiers,
        "WELLKEEPER_LIVE": about.live_path,
        # The CA's words may hold anything, but a variable no NUL.
        "WELLKEEPER_ERROR": about.error.replace("\0", " ").encode()[:_LONGEST_ERROR].decode(errors="ignore"),
    }
    if about.is_rehearsal:
        variables["WELLKEEPER_REHEARSAL"] = "1"
    if event is Event.DEPLOY:
        variables |= {"RENEWED_LINEAGE": about.live_path, "RENEWED_DOMAINS": identifiers}
    if event is Event.FAILED:
        variables["FAILED_DOMAINS"] = identifiers
    return variables


def _listed(words: Iterable[str]) -> str:
    """As many whole words as fit, and an ellipsis for the others."""
    text = " ".join(words)
    return text if len(text) <= _LONGEST_LIST else text[:_LONGEST_LIST].rpartition(" ")[0] + " ..."


def _named(lineages: Sequence[str]) -> str:
    return lineages[0] if len(lineages) == 1 else f"{len(lineages)} certificates"


def _log_lines(who: str, output: str) -> None:
    for line in _lines(output):
        _log.info("%s: %s", who, line)


def _lines(output: str) -> list[str]:
    """Nothing in them can pass for a line of ours, or move a terminal's cursor."""
    lines = (printable(line).rstrip() for line in output.splitlines())
    return [line for line in lines if line]


def _last_words(output: str) -> str:
    words = " / ".join(_lines(output)[-_LAST_LINES:])
    return f": {words[-_LAST_CHARACTERS:]}" if words else ""


def _end(finished: Finished) -> str:
    code = finished.exit_code
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
