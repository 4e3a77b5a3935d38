"""The daemon, timer or cron job that renews, the daemon's version and settings, and rehearsals."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from wellkeeper_client import services
from wellkeeper_issuer.doctor.service import TIMER, UNIT, check_daemon, check_rehearsals, check_service
from wellkeeper_issuer.outside.host.cron import CronLine
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_node.findings import Finding, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Units = Mapping[str, Mapping[str, str]]


def unit(active: str, enabled: str = "enabled", result: str = "success") -> Mapping[str, str]:
    return {"ActiveState": active, "UnitFileState": enabled, "Result": result}


def only(found: list[Finding]) -> Finding:
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("owner", "units", "cron", "verdict", "words"),
    [
        ((7, "run"), {UNIT: unit("active")}, "", Verdict.OK, "a daemon runs (pid 7)"),
        ((7, "run"), {}, "", Verdict.OK, "a daemon runs (pid 7)"),
        ((7, "run"), {UNIT: unit("active", "disabled")}, "", Verdict.WARN, "wellkeeper.service does not start with"),
        (None, {TIMER: unit("active")}, "", Verdict.OK, "wellkeeper-renew.timer is active"),
        (None, {TIMER: unit("active", "disabled")}, "", Verdict.WARN, "systemctl enable wellkeeper-renew.timer"),
        (None, {UNIT: unit("inactive")}, "root wellkeeper renew", Verdict.OK, "cron runs 'wellkeeper renew' (/c:1)"),
        (None, {UNIT: unit("failed", result="exit-code")}, "", Verdict.FAIL, "wellkeeper.service failed (exit-code)"),
        ((7, "renew"), {UNIT: unit("inactive")}, "", Verdict.FAIL, "Run 'systemctl enable --now wellkeeper'."),
        (None, {}, "root certbot renew", Verdict.FAIL, "Start the issuer's container or service."),
    ],
    ids=["unit", "no systemd", "disabled", "timer", "disabled timer", "cron", "failed unit", "one pass", "nothing"],
)
async def test_service_is_what_renews(
    owner: tuple[int, str] | None, units: Units, cron: str, verdict: Verdict, words: str
) -> None:
    found = only(await check_service(owner, units, [CronLine("/c:1", cron)]))
    assert (found.check, found.verdict) == ("service", verdict)
    assert words in f"{found.cause} {found.fix}"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("0 3 * * * root flock -n /run/w /opt/bin/wellkeeper renew -q >>/var/log/w 2>&1", "wellkeeper renew -q"),
        ("@daily sh -c 'sleep $((RANDOM % 3600)); wellkeeper -q renew'", "wellkeeper -q renew"),
        ("if ! wellkeeper renew web; then mail -s 'it failed' root; fi", "wellkeeper renew web"),
    ],
    ids=["in a crontab", "in a shell", "in a script"],
)
async def test_cron_job_that_renews_is_shown(line: str, shown: str) -> None:
    found = only(await check_service(None, {}, [CronLine("/c:1", line)]))
    assert (found.verdict, found.cause) == (Verdict.OK, f"cron runs '{shown}' (/c:1)")


@pytest.mark.parametrize(
    "line",
    [
        "30 3 * * * root tar czf /b.tgz /etc/wellkeeper # renewed nightly",
        '0 5 * * * root wellkeeper status --check || mail -s "renewal problem" root',
        "0 3 * * * root wellkeeper renew --dry-run",
        "0 3 * * * root true # wellkeeper renew",
        "0 3 * * * root echo wellkeeper renew",
        "0 3 * * * root rm -f /var/log/wellkeeper-renew.log",
        "0 3 * * * root wellkeeper status >/var/log/wellkeeper-renew",
        "0 3 * * * root echo 'wellkeeper renew",
    ],
    ids=["a directory", "another command", "a trial", "a comment", "a message", "a file", "a log", "half a string"],
)
async def test_cron_job_that_only_names_a_renewal_renews_nothing(line: str) -> None:
    assert only(await check_service(None, {}, [CronLine("/c:1", line)])).verdict is Verdict.FAIL


async def test_cron_job_of_unknown_contents_is_a_warning() -> None:
    line = CronLine("/etc/cron.d/w:1", "0 3 * * * root /usr/local/sbin/wellkeeper-renew.sh")
    found = only(await check_service(None, {}, [line]))
    assert (found.verdict, found.place) == (Verdict.WARN, "/etc/cron.d/w:1")
    assert "cannot predict" in found.cause


RESTART = services.sentence("restart", "wellkeeper")
ANSWER = {"pid": 7, "settings_digest": "s1", "build": "b1"}


@pytest.mark.parametrize(
    ("answer", "digest", "build", "fixes"),
    [
        (ANSWER, "s1", "b1", [""]),
        (ANSWER, None, "b1", [""]),
        (ANSWER, "s2", "b1", ["Run 'wellkeeper reload'."]),
        (ANSWER, "s1", "b2", [RESTART]),
        (ANSWER, "s2", "b2", ["Run 'wellkeeper reload'.", RESTART]),
        (None, "s1", "b1", [""]),
    ],
    ids=["present", "broken settings", "other settings", "other program", "both", "no daemon"],
)
async def test_daemon_has_the_present_settings_and_program(
    answer: Mapping[str, object] | None, digest: str | None, build: str, fixes: list[str]
) -> None:
    found = await check_daemon(answer, digest, build)
    assert [one.fix for one in found] == fixes
    expected = Verdict.WARN if fixes != [""] else Verdict.OK if answer else Verdict.SKIPPED
    assert {one.verdict for one in found} == {expected}


def rehearsed(ago: timedelta, *, is_well: bool = True) -> Mapping[str, Rehearsal]:
    return {"web": Rehearsal("web", NOW - ago, is_well, "nginx: refused.")}


@pytest.mark.parametrize(
    ("last", "valid_from", "every", "verdict", "words"),
    [
        ({}, {}, None, Verdict.SKIPPED, "never rehearsed; 'wellkeeper rehearse' tries a renewal"),
        ({}, {}, DAY, Verdict.WARN, "although rehearsal.every_days is set"),
        (rehearsed(DAY), {}, None, Verdict.OK, "rehearsed at 2026-02-28 12:00 UTC"),
        (rehearsed(300 * DAY), {}, None, Verdict.OK, "rehearsed at"),
        (rehearsed(9 * DAY), {}, 7 * DAY, Verdict.OK, "rehearsed at"),
        (rehearsed(16 * DAY), {}, 7 * DAY, Verdict.WARN, "long ago"),
        (rehearsed(DAY, is_well=False), {}, None, Verdict.FAIL, "failed: nginx: refused"),
        (rehearsed(DAY, is_well=False), {"web": NOW - 2 * DAY}, None, Verdict.FAIL, "Fix it, then run"),
        (rehearsed(2 * DAY, is_well=False), {"web": NOW - DAY}, None, Verdict.OK, "renewed since"),
    ],
)
async def test_last_rehearsal_succeeded_and_is_not_too_old(
    last: Mapping[str, Rehearsal],
    valid_from: Mapping[str, datetime],
    every: timedelta | None,
    verdict: Verdict,
    words: str,
) -> None:
    found = only(await check_rehearsals(["web"], last, valid_from, NOW, every))
    assert (found.check, found.subject, found.verdict) == ("rehearsal", "web", verdict)
    assert words in f"{found.cause} {found.fix}"
    assert not found.cause.endswith(".")
