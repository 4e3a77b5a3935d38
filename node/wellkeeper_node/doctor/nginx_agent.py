"""Check an nginx in another container by what the agent beside it sees."""

from pathlib import Path
from typing import Final

from wellkeeper_node.clock import SystemClock
from wellkeeper_node.doctor.of_errors import of_error
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.wording import counted

_NOT_SEEN: Final = "nginx runs in another container, where its agent does not check this"


async def check_process(check: str, folder: Path, most_finishing: int) -> list[Finding]:
    """Return the finding: the agent answers, nginx has workers, and few of them finish requests."""
    try:
        found = await AgentNginx(folder, SystemClock()).running()
    except ReloadError as error:
        return [of_error(check, error)]
    if not found.accepting:
        cause = f"nginx (process {found.master} of its container) has no workers, so it serves nothing"
        return [Finding(check, Verdict.FAIL, "", cause, "Look at the log of its container, then restart it.")]
    if found.leaving > most_finishing:
        cause = f"{found.leaving} old workers of nginx still finish requests, so it is not reloaded"
        fix = "Add 'worker_shutdown_timeout 1h;' at the top of nginx.conf, then restart nginx's container."
        return [Finding(check, Verdict.FAIL, "", cause, fix)]
    fact = f"nginx runs in another container with {counted(found.accepting, 'worker')}, as the agent in {folder} says"
    return [Finding(check, Verdict.OK, "", fact)]


def reloads(check: str) -> list[Finding]:
    """Return the finding about the right to reload nginx, which the agent has."""
    return [Finding(check, Verdict.OK, "", "the agent beside nginx reloads it")]


def not_seen(check: str) -> list[Finding]:
    """Return the finding for what nothing here can check."""
    return [Finding(check, Verdict.SKIPPED, "", _NOT_SEEN)]
