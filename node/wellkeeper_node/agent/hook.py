"""Run the node's deploy hook for a certificate that nginx has loaded: without a shell or input, and with a time-out."""

import logging
from collections.abc import Mapping
from typing import Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.errors import FleetError
from wellkeeper_node.model import Installed
from wellkeeper_node.process import ProcessError, run

_log = logging.getLogger(__name__)

_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_SECONDS: Final = 300.0
_OUTPUT_BYTES: Final = 64 * 1024
# Linux limits a variable to 128 KiB.
_LONGEST_LIST: Final = 96 * 1024
_FIX: Final = "Fix the hook: it runs again by itself. The certificate is installed."


class DeployHook:
    """The administrator's command. `environment` is ours; the hook gets only the variables that programs need.

    It has the variables of the issuer's deploy hook (docs/hooks.md).
    """

    def __init__(self, argv: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._inherited = {name: environment[name] for name in _INHERITED if name in environment}

    async def run(self, installed: Installed, live_path: str) -> None:
        """Raises FleetError when it fails."""
        named = f"the deploy hook for {installed.lineage}"
        _log.info("running %s", named)
        try:
            finished = await run(
                self._argv, _SECONDS, _OUTPUT_BYTES, self._inherited | _variables(installed, live_path)
            )
        except ProcessError as error:
            raise FleetError(f"{named} failed", str(error), _FIX) from error
        lines = [one_line(line, _OUTPUT_BYTES) for line in finished.output.splitlines()]
        for line in lines:
            _log.info("%s: %s", named, line)
        if finished.exit_code != 0:
            last = f": {lines[-1]}" if lines else ""
            raise FleetError(
                f"{named} failed", f"{self._argv[0]!r} exited with status {finished.exit_code}{last}", _FIX
            )


def _variables(installed: Installed, live_path: str) -> dict[str, str]:
    names = " ".join(sorted(str(one) for one in installed.certificate.identifiers))[:_LONGEST_LIST]
    return {
        "WELLKEEPER_EVENT": "deploy",
        "WELLKEEPER_CERTIFICATE": installed.lineage,
        "WELLKEEPER_IDENTIFIERS": names,
        "WELLKEEPER_LIVE": live_path,
        "RENEWED_LINEAGE": live_path,
        "RENEWED_DOMAINS": names,
    }
