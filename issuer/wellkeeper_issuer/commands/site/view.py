"""Read what the pages show, once for all of them: blocking, from disk alone."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.commands import status_issuers, status_json, status_nodes
from wellkeeper_issuer.commands.status_issuers import Issuers
from wellkeeper_issuer.commands.terminal import ranking
from wellkeeper_issuer.commands.terminal.outdated import OUTDATED, is_restart_needed
from wellkeeper_issuer.commands.terminal.ranking import Condition
from wellkeeper_issuer.doctor import notifications
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_issuer.status.targets import failing, failing_heartbeat
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_node.nginx.reached import Reached

_GOOD: Final = frozenset({Condition.SERVED, Condition.INSTALLED})
_BAD: Final = frozenset({Condition.FAILING, Condition.EXPIRED, Condition.EXPIRING})


def level(condition: Condition) -> str:
    """Return `good`, `bad`, or `warn` for what may settle by itself."""
    if condition in _GOOD:
        return "good"
    return "bad" if condition in _BAD else "warn"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem beside certificates that needs a person; `page` has more about it."""

    text: str
    remedy: str = ""
    page: str = ""


@dataclass(frozen=True)
class View:
    """All of it at one moment; `daemon` is the answer of the daemon to `status`, None without one."""

    settings: Settings
    seen: Overview
    nodes: "Sequence[NodeStatus]"
    nginx: "Reached | None"
    issuers: Issuers
    daemon: Mapping[str, Any] | None
    is_outdated: bool

    @cached_property
    def ranked(self) -> Sequence[tuple[Condition, Shown]]:
        return ranking.worst_first(self.seen)

    @cached_property
    def counts(self) -> Counter[Condition]:
        return Counter(condition for condition, _ in self.ranked)

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Condition, Shown]]:
        return {one[1].lineage.name: one for one in self.ranked}

    @cached_property
    def problems(self) -> Sequence[Problem]:
        return tuple(_problems(self))

    @property
    def host(self) -> str:
        return socket.gethostname()

    @property
    def daemon_line(self) -> str:
        return f"The daemon runs, process {self.seen.daemon_pid}." if self.seen.daemon_pid else "No daemon runs."

    @property
    def unwell(self) -> int:
        """The number of certificates that need attention."""
        return len(self.ranked) - sum(self.counts[one] for one in _GOOD)

    @property
    def level(self) -> str:
        if any(self.counts[one] for one in _BAD):
            return "bad"
        return "warn" if self.unwell or self.problems or not self.ranked else "good"

    @property
    def verdict(self) -> str:
        """The state of everything in one sentence, for the title."""
        total = len(self.ranked)
        if not total:
            return "No certificates are configured"
        if self.unwell:
            need = "needs" if self.unwell == 1 else "need"
            return f"{self.unwell} of {counted(total, 'certificate')} {need} attention"
        well = "The certificate is" if total == 1 else f"All {total} certificates are"
        state = "installed" if self.counts[Condition.INSTALLED] else "served"
        others = f", {counted(len(self.problems), 'other problem')}" if self.problems else ""
        return f"{well} {state}{others}"


def read(
    settings: Settings, lineages: Sequence[Lineage], daemon: Mapping[str, Any] | None, *, is_outdated: bool
) -> View:
    """Return what the disk shows now. Raises SettingsError, JournalError and InstallError."""
    nodes = status_nodes.read_if_any(settings)
    seen = asyncio.run(overview.look(settings, lineages))
    issuers = status_issuers.read(settings)
    view = View(settings, seen, nodes, status_json.reached(settings), issuers, daemon, is_outdated)
    _ = view.ranked, view.counts, view.by_name, view.problems  # here, in a thread
    return view


def _of_daemon(daemon: Mapping[str, Any]) -> Iterator[Problem]:
    if problem := daemon.get("endpoint_problem"):
        yield Problem(problem)
    yield from map(Problem, failing_heartbeat(daemon))
    for one in daemon.get("findings", ()):
        if one["check"] == notifications.ID:
            continue  # the targets that fail now are shown
        what = f"{one['subject']}: {one['cause']}" if one["subject"] else one["cause"]
        yield Problem(f"doctor: {what}", one["fix"])


def _problems(view: View) -> Iterator[Problem]:
    seen, issuers = view.seen, view.issuers
    if seen.daemon_pid is None and issuers.standby is None:
        yield Problem("No daemon runs.", services.sentence("start", "wellkeeper"))
    if is_restart_needed(view.daemon):
        restart = services.sentence("restart", "wellkeeper")
        yield Problem("The daemon is running a different version from the installed one.", restart)
    if view.is_outdated:
        yield Problem(OUTDATED)
    if view.nginx is not None and view.nginx.problem:
        yield Problem(str(view.nginx), page="nodes")
    for line in (issuers.warning, *issuers.waiting_lines(), issuers.standby.line if issuers.standby else ""):
        if line:
            yield Problem(line)
    yield from _of_daemon(view.daemon or {})
    yield from (Problem(line, "Run 'sudo wellkeeper notify test'.") for line in failing(seen.targets))
    yield from (Problem(line, page="nodes") for line in status_nodes.problems(view.nodes))
