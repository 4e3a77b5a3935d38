"""The relay of a fleet and the nodes behind it, as doctor judges them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wellkeeper_issuer.doctor.fleet import check_engine, check_lease, check_nodes, check_relay
from wellkeeper_issuer.fleet.node_status import Behind, NodeStatus
from wellkeeper_node.errors import RecordsError, UnavailableError
from wellkeeper_node.findings import Finding, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GONE = UnavailableError("cannot reach the relay at unix:/r.sock", "No such file or directory", "Check the address.")
ENABLED, DISABLED = {"UnitFileState": "enabled"}, {"UnitFileState": "disabled"}
WELL = NodeStatus("web2", True, NOW - timedelta(days=1), NOW, "1.0", 0.0, 2, 2, (), None)


@pytest.mark.parametrize(
    ("has_failed", "is_elsewhere", "is_standby", "verdict", "fix"),
    [
        (True, False, False, Verdict.FAIL, "Run 'wellkeeper engine check'."),
        (
            False,
            True,
            False,
            Verdict.FAIL,
            "Stop one of the two issuers; while both run, the one without the lease waits.",
        ),
        (False, True, True, Verdict.OK, ""),
        (False, False, False, Verdict.OK, ""),
    ],
    ids=["engine away", "another issuer", "standby", "issuer"],
)
async def test_lease_is_that_of_this_issuer_or_of_the_one_of_a_standby(
    has_failed: bool, is_elsewhere: bool, is_standby: bool, verdict: Verdict, fix: str
) -> None:
    (found,) = await check_lease("w", has_failed=has_failed, is_elsewhere=is_elsewhere, is_standby=is_standby)
    assert (found.check, found.verdict, found.cause, found.fix or "") == ("lease", verdict, "w", fix)


@pytest.mark.parametrize(
    ("error", "unit", "is_fed", "has_daemon", "verdict", "words"),
    [
        (GONE, ENABLED, False, True, Verdict.FAIL, "systemctl enable --now wellkeeper-relay"),
        (GONE, {}, False, True, Verdict.FAIL, "Check the address."),
        (RecordsError("refused"), {}, False, True, Verdict.FAIL, "Start the relay's container or service."),
        (None, DISABLED, True, True, Verdict.WARN, "does not start with the host"),
        (None, ENABLED, False, True, Verdict.FAIL, "no heartbeat from the daemon"),
        (None, ENABLED, False, False, Verdict.OK, "it answers"),
        (None, {}, True, True, Verdict.OK, "it answers, and the daemon feeds it"),
    ],
    ids=["away", "away without systemd", "refusal", "disabled", "not fed", "no daemon", "fed"],
)
async def test_relay_answers_and_is_fed(
    error: RecordsError | None,
    unit: Mapping[str, str],
    is_fed: bool,
    has_daemon: bool,
    verdict: Verdict,
    words: str,
) -> None:
    (found,) = await check_relay(error, unit, is_fed=is_fed, has_daemon=has_daemon)
    assert (found.check, found.verdict) == ("relay", verdict)
    assert words in f"{found.cause} {found.fix}"


@pytest.mark.parametrize(
    ("node", "verdict", "words"),
    [
        (WELL, Verdict.OK, "it has 2 of 2 certificates, last seen at 2026-03-01 12:00 UTC"),
        (replace(WELL, seen_at=None, enrolled_at=NOW), Verdict.OK, "and has joined a moment ago"),
        (replace(WELL, seen_at=NOW - timedelta(hours=1)), Verdict.FAIL, "not seen since"),
        (
            replace(WELL, seen_at=NOW - timedelta(hours=1), is_ephemeral=True),
            Verdict.OK,
            "not seen since 2026-03-01 11:00 UTC: orders do not wait for it",
        ),
        (replace(WELL, concern="its clock is 90 s ahead"), Verdict.WARN, "its clock is 90 s ahead"),
        (
            replace(WELL, behind=(Behind("web", NOW - timedelta(hours=2), "nginx: [emerg] no", "Fix it."),)),
            Verdict.FAIL,
            "nginx: [emerg] no Fix it.",
        ),
        (
            replace(WELL, behind=(Behind("web", NOW - timedelta(hours=2), "no space left"),)),
            Verdict.FAIL,
            "no space left Run 'wellkeeper-node status' on web2.",
        ),
    ],
    ids=["well", "new", "unseen", "gone", "clock", "behind with a remedy", "behind"],
)
async def test_nodes_are_seen_and_have_everything(node: NodeStatus, verdict: Verdict, words: str) -> None:
    (found,) = await check_nodes([node], NOW)
    assert (found.check, found.subject, found.verdict) == ("nodes", "web2", verdict)
    assert words in f"{found.cause} {found.fix}"


async def test_manifest_that_nears_its_limit_is_a_warning() -> None:
    _, found = await check_nodes([WELL], NOW, ("the manifest is 81 % full", "Use a second issuer."))
    assert (found.verdict, found.cause, found.fix) == (
        Verdict.WARN,
        "the manifest is 81 % full",
        "Use a second issuer.",
    )


async def test_engine_is_ok_without_faults() -> None:
    (found,) = await check_engine([])
    assert (found.check, found.verdict) == ("engine", Verdict.OK)
    fault = Finding("memory", Verdict.FAIL, "", "maxmemory-policy is allkeys-lru", "Set it.")
    assert await check_engine([fault]) == [replace(fault, check="engine", subject="memory")]
