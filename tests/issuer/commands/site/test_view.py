"""Problems beside certificates, and how they change the verdict."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.issuer.commands.site.views import NOW, Parsed, served, view
from wellkeeper_issuer.commands.site.overview_page import overview_page
from wellkeeper_issuer.commands.status_issuers import Issuers
from wellkeeper_issuer.fleet.node_status import NodeStatus
from wellkeeper_issuer.messages import Backlog
from wellkeeper_issuer.outside.host.installed import fingerprint
from wellkeeper_issuer.outside.state.standby import Standby
from wellkeeper_node.nginx.reached import Reached

FINDING = {"check": "dns-records", "subject": "web", "cause": "no <AAAA> record", "fix": "Add one."}
UNSEEN = NodeStatus("web2", True, NOW, NOW - timedelta(hours=2), "1", 0.0, 1, 1, (), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"daemon": {"build": "another"}}, "The daemon is running a different version from the installed one."),
        ({"daemon": {"endpoint_problem": "cannot listen"}}, "cannot listen"),
        ({"daemon": {"findings": [FINDING]}}, "doctor: web: no <AAAA> record"),
        ({"daemon": {"findings": [{**FINDING, "subject": ""}]}}, "doctor: no <AAAA> record"),
        ({"daemon": {"heartbeat": {"failing_since": NOW.isoformat(), "error": "<no>"}}}, "heartbeat: has failed since"),
        ({"is_outdated": True}, "Settings changed since the daemon loaded them. Run 'wellkeeper reload'."),
        ({"nginx": Reached("local", problem="no pid")}, "nginx: not reached on this host: no pid"),
        ({"issuers": Issuers(warning="another issuer is active")}, "another issuer is active"),
        ({"issuers": Issuers(Standby("first", NOW))}, Standby("first", NOW).line),
        ({"nodes": (UNSEEN,)}, "node web2: not seen since"),
    ],
    ids=[
        "version",
        "endpoint",
        "finding",
        "of the host",
        "heartbeat",
        "settings",
        "nginx",
        "issuer",
        "standby",
        "node",
    ],
)
def test_problem_is_shown_and_counts_in_the_verdict(changes: Mapping[str, Any], words: str) -> None:
    daemon = {"build": fingerprint()} | changes.get("daemon", {})
    seen = replace(view(served("a.example")), **{**changes, "daemon": daemon})
    page = Parsed(overview_page(seen, {}))
    assert words in page.shown
    assert (seen.level, seen.verdict) == ("warn", "The certificate is served, 1 other problem")


def test_missing_daemon_is_a_problem_except_on_a_standby() -> None:
    seen = view(served("a.example"), daemon_pid=None)
    assert "No daemon runs." in Parsed(overview_page(seen, {})).words
    assert [one.text for one in seen.problems] == ["No daemon runs."]
    standby = replace(seen, issuers=Issuers(Standby("first", NOW)))
    assert [one.text for one in standby.problems] == [Standby("first", NOW).line]


def test_target_that_fails_is_shown_once_with_what_it_said() -> None:
    seen, finding = view(served("a.example")), {**FINDING, "check": "notifications"}
    targets = {"chat": Backlog(1, NOW, "it answered with <b>"), "mail": Backlog(2)}
    seen = replace(
        seen, seen=replace(seen.seen, targets=targets), daemon={"build": fingerprint(), "findings": [finding]}
    )
    assert [one.remedy for one in seen.problems] == ["Run 'sudo wellkeeper notify test'."]
    assert "1 message waits: it answered with <b>" in Parsed(overview_page(seen, {})).shown


def test_finding_has_its_fix() -> None:
    seen = replace(view(served("a.example")), daemon={"build": fingerprint(), "findings": [FINDING]})
    assert [one.remedy for one in seen.problems] == ["Add one."]
