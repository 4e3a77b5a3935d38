"""Check that the daemon's status endpoint answers where the settings want it."""

from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.asking import Answer
from wellkeeper_node.findings import Finding, Verdict

ID: Final = "status-endpoint"
_RELOAD: Final = "Run 'wellkeeper reload'."


async def check_endpoint(
    where: str, answer: Answer | DaemonError, daemon: Mapping[str, Any] | None, digest: str | None
) -> list[Finding]:
    """Return `status-endpoint`: the daemon answers there.

    `daemon` is its status, None if none answers; `digest` that of the settings' files, None for broken ones.
    """
    if daemon is None:
        return [Finding(ID, Verdict.SKIPPED, "", "no daemon answers")]
    is_new = digest is not None and daemon.get("settings_digest") != digest
    if not is_new and (failed := daemon.get("endpoint_failure")):
        return [Finding(ID, Verdict.FAIL, "", failed["cause"], failed["fix"])]
    if isinstance(answer, DaemonError):
        fix = _RELOAD if is_new else services.sentence("restart", "wellkeeper")
        return [Finding(ID, Verdict.FAIL, "", f"{answer.what}: {answer.why}", fix)]
    if not answer.is_ours:
        cause = f"another program answers at {where}: HTTP {answer.status}, Server: {answer.server or 'unnamed'}"
        return [Finding(ID, Verdict.FAIL, "", cause, f"Stop it, or correct listen under [web]. {_RELOAD}")]
    return [Finding(ID, Verdict.OK, "", f"the daemon answers at {where}")]
