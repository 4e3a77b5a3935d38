"""The certificates that clients of each node get, as the node last checked them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.fakes_deliver import NOW
from tests.fleet import LEAF, entry
from tests.issuer.fleet.test_node_status import sent
from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus, node_statuses
from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.fleet.served_on import Earliest, OnNode, checked_at, earliest, on_node
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report

DAY: Final = timedelta(days=1)
BEGUN: Final = NOW - 30 * DAY
ENDS: Final = NOW + 60 * DAY
WAS: Final = NOW - 90 * DAY
ENDED: Final = NOW + DAY
NODE: Final = EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=NOW - 100 * DAY)
LISTED: Final = {"web": Listed(entry(3), BEGUN, BEGUN, ENDS), "mail": Listed(entry(1), BEGUN, BEGUN, ENDS + DAY)}
SERVED: Final = CertificateReport(3, LEAF, CertificateState.SERVED)
MAIL: Final = CertificateReport(1, LEAF, CertificateState.SERVED)
OLDER: Final = Instead(Got.OLDER, NOW.timestamp() - 60, 2, "0a1b", WAS.timestamp(), ENDED.timestamp())
OTHER: Final = replace(OLDER, what=Got.OTHER, number=None)
NOTHING: Final = Instead(Got.NOTHING, NOW.timestamp() - 60)
REFUSED: Final = CertificateReport(3, LEAF, CertificateState.REFUSED, "nginx: [emerg] no", "Fix it.", OLDER)
WRONG: Final = CertificateReport(3, LEAF, CertificateState.WRONG, "nginx serves another", "", OTHER)
CHECKED_AT: Final = NOW - timedelta(minutes=5)
# The last time that a report may have.
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def status(
    web: CertificateReport | None,
    node: EnrolledNode = NODE,
    listed: dict[str, Listed] = LISTED,
    *,
    has_checked: bool = True,
) -> NodeStatus:
    """Return the status of a node that reported this of one certificate, and that another one is served."""
    certificates = {"mail": MAIL} | ({"web": web} if web else {})
    at = CHECKED_AT.timestamp() if has_checked else None
    seen = Seen("web2", 1, NOW, Report("1", NOW.timestamp(), 7, certificates=certificates, checked_at=at))
    (found,) = node_statuses({"web2": node}, {"web2": seen}, listed)
    return found


def of_web(web: CertificateReport | None) -> OnNode:
    return on_node(status(web), "web")


def test_newest_version_has_the_expiry_that_the_issuer_knows() -> None:
    found = of_web(SERVED)
    assert (found.what, found.serves, found.number) == (Got.NEWEST, "version 3", 3)
    assert (found.fingerprint_sha256, found.not_before, found.not_after) == (LEAF, BEGUN, ENDS)
    assert (found.checked_at, found.since) == (CHECKED_AT, None)
    assert (found.words(NOW), found.is_right(NOW), found.is_bad(NOW)) == ("served", True, False)


def test_newest_version_that_expired_is_bad() -> None:
    found = replace(of_web(SERVED), checked_at=ENDS)
    assert (found.words(ENDS), found.is_right(ENDS), found.is_bad(ENDS)) == ("expired", False, True)
    assert found.sentence(ENDS) == f"Node web2: clients get version 3, which expired at {ENDS:%Y-%m-%d %H:%M} UTC."


def test_check_that_is_too_old_proves_nothing() -> None:
    found, soon, late = of_web(SERVED), CHECKED_AT + timedelta(hours=2), CHECKED_AT + timedelta(hours=2, seconds=1)
    assert (found.words(soon), found.is_right(soon)) == ("served", True)
    assert (found.words(late), found.is_right(late), found.is_bad(late)) == ("not checked lately", False, False)
    then = f"clients get version 3, valid until {ENDS:%Y-%m-%d %H:%M} UTC."
    assert found.sentence(late) == f"Node web2: not checked since {CHECKED_AT:%Y-%m-%d %H:%M} UTC; then, {then}"


def test_time_of_the_check_is_by_the_clock_of_the_issuer() -> None:
    report = Report("1", NOW.timestamp() + 7_000, 7, certificates={"web": SERVED}, checked_at=NOW.timestamp() + 6_700)
    (found,) = node_statuses({"web2": NODE}, {"web2": Seen("web2", 1, NOW, report)}, LISTED)
    assert checked_at(found) == NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("clock", "checked", "expected"),
    [(LATEST, 0, datetime.fromtimestamp(0, UTC)), (0, LATEST, NOW)],
    ids=["clock far ahead", "clock that was set back"],
)
def test_impossible_times_of_a_node_give_a_time_that_exists(clock: float, checked: float, expected: datetime) -> None:
    report = sent(Report("1", clock, 7, certificates={"web": SERVED}, checked_at=checked))
    (found,) = node_statuses({"web2": NODE}, {"web2": Seen("web2", 1, NOW, report)}, LISTED)
    assert checked_at(found) == expected


def test_long_report_says_of_certificates_that_it_leaves_out_which_are_served() -> None:
    names = [f"host-{number}.example.org" for number in range(3_000)]
    listed = {name: Listed(entry(3), BEGUN, BEGUN, ENDS + DAY) for name in names}
    certificates = dict.fromkeys(names[:-1], SERVED) | {names[-1]: replace(SERVED, state=CertificateState.INSTALLED)}
    certificates[names[-2]] = replace(SERVED, state=CertificateState.INSTALLED, instead=OTHER)
    report = sent(Report("1", NOW.timestamp(), 7, certificates=certificates))
    left_out = next(name for name in names if name not in report.certificates)
    listed[names[-1]] = replace(listed[names[-1]], not_after=NOW)
    listed[left_out] = replace(listed[left_out], not_after=ENDS)
    (found,) = node_statuses({"web2": NODE}, {"web2": Seen("web2", 1, NOW, report)}, listed)
    one = on_node(found, left_out)
    assert (one.is_right(NOW), one.state, one.not_after) == (True, CertificateState.SERVED, ENDS)
    assert earliest(found) == Earliest(names[-2], WAS, ENDED)
    unused = on_node(found, names[-1])
    assert names[-1] not in report.certificates
    assert (unused.is_right(NOW), unused.words(NOW), unused.not_after) == (True, "installed", None)
    assert on_node(found, names[-2]).what is Got.OTHER


@pytest.mark.parametrize(
    ("report", "words", "is_bad", "sentence"),
    [
        (
            REFUSED,
            "older version",
            False,
            "since {since}, clients get version 2, serial 0a1b, valid until {ended}: nginx: [emerg] no. Fix it.",
        ),
        (
            WRONG,
            "another certificate",
            True,
            "since {since}, clients get another certificate, serial 0a1b, valid until {ended}: nginx serves another.",
        ),
        (
            replace(WRONG, instead=replace(OTHER, what=Got.UNRELATED), cause=None),
            "another certificate",
            True,
            "since {since}, clients get a certificate for other names, serial 0a1b, valid until {ended}.",
        ),
        (
            replace(WRONG, instead=replace(OTHER, what=Got.PLACEHOLDER, not_after=None), cause=None),
            "placeholder",
            True,
            "since {since}, clients get a placeholder, serial 0a1b.",
        ),
        (
            replace(WRONG, state=CertificateState.FAILED, instead=NOTHING, cause="Connection refused"),
            "not served",
            True,
            "since {since}, clients get no certificate: Connection refused.",
        ),
        (
            replace(WRONG, state=CertificateState.FAILED, instead=replace(OLDER, what=Got.NEWEST, number=3)),
            "served",
            False,
            "since {since}, clients get the newest version, serial 0a1b, valid until {ended}: nginx serves another.",
        ),
        (replace(WRONG, state=CertificateState.WAITING, instead=None), "waiting", False, None),
        (replace(SERVED, number=2), "older version", False, "clients get version 2."),
        (
            replace(SERVED, number=2, state=CertificateState.INSTALLED, cause="no block uses it"),
            "waiting",
            False,
            "waiting: it has not reported version 3 yet.",
        ),
        (
            replace(WRONG, number=2, instead=replace(OLDER, what=Got.NEWEST)),
            "older version",
            False,
            "since {since}, clients get version 2, serial 0a1b, valid until {ended}: nginx serves another.",
        ),
        (
            replace(WRONG, number=2),
            "another certificate",
            True,
            "since {since}, clients get another certificate, serial 0a1b, valid until {ended}: nginx serves another.",
        ),
        (
            replace(SERVED, state=CertificateState.INSTALLED, cause="no block uses it", instead=OTHER),
            "another certificate",
            True,
            "since {since}, clients get another certificate, serial 0a1b, valid until {ended}: no block uses it.",
        ),
        (None, "unknown", False, "it has not reported this certificate."),
    ],
    ids=[
        "refused",
        "other",
        "unrelated",
        "placeholder",
        "silent",
        "error",
        "waiting",
        "late",
        "late and unused",
        "late and newest",
        "late and other",
        "unused",
        "unreported",
    ],
)
def test_certificate_that_is_not_right_says_what_clients_get(
    report: CertificateReport | None, words: str, is_bad: bool, sentence: str | None
) -> None:
    found = of_web(report)
    assert (found.words(NOW), found.is_right(NOW), found.is_bad(NOW)) == (words, False, is_bad)
    dates = {"ended": f"{ENDED:%Y-%m-%d %H:%M} UTC", "since": f"{NOW - timedelta(minutes=1):%Y-%m-%d %H:%M} UTC"}
    expected = (sentence or "waiting: nginx serves another.").format(**dates)
    assert found.sentence(NOW) == f"Node web2: {expected}"


def test_certificate_that_no_server_block_uses_is_right() -> None:
    found = of_web(replace(SERVED, state=CertificateState.INSTALLED, cause="no server block of nginx uses it yet"))
    assert (found.words(NOW), found.is_right(NOW)) == ("installed", True)
    assert (found.not_after, found.cause) == (None, "no server block of nginx uses it yet")


def test_node_that_never_reported_says_so() -> None:
    (silent,) = node_statuses({"web2": NODE}, {}, LISTED)
    assert on_node(silent, "web").sentence(NOW) == "Node web2: it has never reported."
    assert (earliest(silent), checked_at(silent)) == (None, None)


def test_report_of_an_earlier_version_has_no_time_of_a_check() -> None:
    found = on_node(status(SERVED, has_checked=False), "web")
    assert (found.checked_at, found.not_after, found.is_right(NOW)) == (None, ENDS, True)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (SERVED, Earliest("web", BEGUN, ENDS)),
        (REFUSED, Earliest("web", WAS, ENDED)),
        (WRONG, Earliest("web", WAS, ENDED)),
        (replace(WRONG, instead=NOTHING), Earliest("mail", BEGUN, ENDS + DAY)),
        (replace(WRONG, instead=replace(OTHER, not_after=None)), Earliest("mail", BEGUN, ENDS + DAY)),
        (replace(WRONG, instead=replace(OTHER, what=Got.PLACEHOLDER)), Earliest("mail", BEGUN, ENDS + DAY)),
        (replace(SERVED, state=CertificateState.INSTALLED), Earliest("mail", BEGUN, ENDS + DAY)),
    ],
    ids=["newest", "older", "other", "nothing", "undated", "placeholder", "unused"],
)
def test_earliest_expiry_is_that_of_what_clients_accept(report: CertificateReport, expected: Earliest) -> None:
    assert earliest(status(report)) == expected


def test_earliest_expiry_counts_only_certificates_of_the_node() -> None:
    node = replace(NODE, lineages=("mail",))
    assert earliest(status(WRONG, node)) == Earliest("mail", BEGUN, ENDS + DAY)
    assert earliest(status(SERVED, listed={"web": Listed(entry(3), BEGUN)})) is None


@pytest.mark.parametrize(
    ("report", "since"),
    [(REFUSED, BEGUN), (WRONG, NOW - timedelta(minutes=1)), (replace(WRONG, instead=None), BEGUN)],
    ids=["older", "other", "unknown"],
)
def test_certificate_that_was_replaced_is_missing_since_then(report: CertificateReport, since: object) -> None:
    found = status(report)
    (behind,) = found.behind
    assert behind.seen_since == since
    words = f"web has been behind since {since:%Y-%m-%d %H:%M} UTC: {report.cause}"
    assert found.problem(NOW) == words
