"""Status of nodes: what is behind, since when, and when a person should know."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.fakes_deliver import NOW
from tests.fleet import entry
from tests.relay.messages import WEB2_KEY
from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus, has_ended, node_statuses, wrong_versions
from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.ports.fleet import EnrolledNode, MissingToken
from wellkeeper_node.agent.fitting import shortened
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report, ResponderReport, parse_report

NODE: Final = EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=NOW)
LISTED: Final = {"web": Listed(entry(3), NOW), "mail": Listed(entry(1), NOW + timedelta(minutes=30))}
SERVED: Final = CertificateReport(3, "ab" * 32, CertificateState.SERVED)
MAIL: Final = CertificateReport(1, "ab" * 32, CertificateState.INSTALLED)
REPORT: Final = Report("1.2.3", NOW.timestamp(), 7, certificates={"web": SERVED, "mail": MAIL})


def seen(report: Report = REPORT, minutes: float = 0) -> Seen:
    return Seen("web2", 1, NOW + timedelta(minutes=minutes), report)


def status_of(found: Seen | None, node: EnrolledNode = NODE) -> NodeStatus:
    (one,) = node_statuses({"web2": node}, {"web2": found} if found else {}, LISTED)
    return one


def with_web(**changes: object) -> Report:
    return replace(REPORT, certificates={"mail": MAIL, "web": replace(SERVED, **changes)})  # type: ignore[arg-type]


def test_node_with_everything_is_not_behind() -> None:
    found = status_of(seen(replace(REPORT, clock=NOW.timestamp() + 1.5)))
    assert (found.current, found.total, found.behind, found.concern) == (2, 2, (), None)
    assert (found.version, found.clock_seconds, found.answers) == ("1.2.3", 1.5, True)
    assert found.problem(NOW + timedelta(minutes=15)) == ""


def test_node_counts_only_the_certificates_that_it_gets() -> None:
    found = status_of(seen(replace(REPORT, certificates={})), replace(NODE, lineages=("mail",)))
    assert [one.lineage for one in found.behind] == ["mail"]
    assert (found.current, found.total) == (0, 1)
    assert (found.gets("mail"), found.gets("web"), status_of(None).gets("web")) == (True, False, True)


@pytest.mark.parametrize(
    ("report", "cause"),
    [
        (replace(REPORT, certificates={"mail": MAIL}), "the node has not reported it"),
        (with_web(number=2), "version 2 is there, 3 is not yet"),
        (with_web(state=CertificateState.REFUSED, cause="nginx: [emerg] no"), "nginx: [emerg] no"),
        (with_web(state=CertificateState.WAITING), "waiting"),
        (with_web(state=CertificateState.WRONG, cause="clients get another one"), "clients get another one"),
        (with_web(state=CertificateState.FAILED, cause="No space left on device"), "No space left on device"),
    ],
    ids=["unreported", "older", "refused", "waiting", "wrong", "full disk"],
)
def test_certificate_that_is_behind_has_the_nodes_words(report: Report, cause: str) -> None:
    found = status_of(seen(report))
    assert [(one.lineage, one.since, one.cause) for one in found.behind] == [("web", NOW, cause)]
    assert (found.current, found.total) == (1, 2)


def test_person_is_notified_after_an_hour_behind() -> None:
    report = replace(REPORT, certificates={})
    assert status_of(seen(report, 60)).problem(NOW + timedelta(hours=1)) == ""
    words = f"web has been behind since {NOW:%Y-%m-%d %H:%M} UTC: the node has not reported it"
    assert status_of(seen(report, 61)).problem(NOW + timedelta(minutes=61)) == words
    assert status_of(seen(report, 95)).problem(NOW + timedelta(minutes=95)).endswith("reported it, and 1 other")


def test_certificate_is_not_behind_for_longer_than_its_node_is_there() -> None:
    found = status_of(None, replace(NODE, enrolled_at=NOW + timedelta(hours=5)))
    assert {one.since for one in found.behind} == {NOW + timedelta(hours=5)}


def test_person_is_notified_after_fifteen_minutes_unseen() -> None:
    late = NOW + timedelta(minutes=16)
    assert status_of(seen()).problem(late) == f"not seen since {NOW:%Y-%m-%d %H:%M} UTC"
    assert status_of(None).problem(NOW + timedelta(minutes=15)) == ""
    assert status_of(None).problem(late) == "it has never reported"


@pytest.mark.parametrize(
    ("report", "concern"),
    [
        (replace(REPORT, clock=NOW.timestamp() + 3600), "its clock is 3600 s ahead"),
        (replace(REPORT, clock=NOW.timestamp() - 600), "its clock is 600 s behind"),
        (replace(REPORT, responder=ResponderReport(error="it does not answer")), "its responder: it does not answer"),
        (replace(REPORT, concern="the manifest is old"), "the manifest is old"),
    ],
    ids=["ahead", "behind", "responder", "manifest"],
)
def test_node_has_one_concern(report: Report, concern: str) -> None:
    assert status_of(seen(report)).concern == concern


def test_certificate_whose_names_have_another_one_is_a_concern_and_no_failure() -> None:
    instead = Instead(Got.OTHER, NOW.timestamp(), serial="0a1b")
    unused = with_web(state=CertificateState.INSTALLED, cause="no server block of nginx uses it yet", instead=instead)
    found = status_of(seen(unused))
    assert found.concern == "web: no server block of nginx uses it yet; clients get another certificate, serial 0a1b"
    assert (found.current, found.has_everything, found.problem(NOW)) == (2, True, "")
    assert status_of(seen(replace(unused, concern="the manifest is old"))).concern == "the manifest is old"
    assert status_of(seen(unused), replace(NODE, lineages=("mail",))).concern is None
    assert status_of(seen(with_web(state=CertificateState.INSTALLED))).concern is None
    without_cause = seen(with_web(state=CertificateState.INSTALLED, instead=instead))
    assert status_of(without_cause).concern == "web: installed; clients get another certificate, serial 0a1b"


def test_missing_token_comes_before_other_concerns() -> None:
    token = MissingToken("web2", "a.example", NOW, "HTTP 403: nginx denies it", is_reported=True)
    found = {"web2": seen(replace(REPORT, concern="the manifest is old"))}
    (one,) = node_statuses({"web2": NODE}, found, LISTED, {"web2": token})
    assert one.concern == f"no token for a.example at {NOW:%Y-%m-%d %H:%M} UTC: HTTP 403: nginx denies it"


def test_node_that_was_away_has_come_back_with_its_next_report() -> None:
    token = MissingToken("web2", "a.example", NOW, "it has not reported the token", is_reported=False)

    def concern(found: Seen | None) -> str | None:
        reports = {"web2": found} if found else {}
        return node_statuses({"web2": NODE}, reports, LISTED, {"web2": token})[0].concern

    assert concern(seen(minutes=1)) is None
    assert all("it has not reported the token" in (concern(one) or "") for one in (seen(), None))


def test_nodes_with_a_wrong_certificate_are_those_with_this_version() -> None:
    wrong = with_web(state=CertificateState.WRONG)
    reports = {
        "web4": seen(wrong),
        "web2": seen(wrong),
        "web3": seen(with_web(number=2, state=CertificateState.WRONG)),
        "web5": seen(),
        "web6": seen(replace(REPORT, certificates={})),
    }
    assert wrong_versions(reports) == {("web", 3): ["web2", "web4"], ("web", 2): ["web3"]}


@pytest.mark.parametrize(
    ("report", "has_tried"),
    [
        (None, False),
        (replace(REPORT, certificates={}), False),
        (with_web(number=2), False),
        (with_web(state=CertificateState.WAITING), False),
        (with_web(state=CertificateState.REFUSED), True),
        (REPORT, True),
    ],
    ids=["silent", "unreported", "older", "waiting", "refused", "served"],
)
def test_node_has_tried_a_version_whatever_came_of_it(report: Report | None, has_tried: bool) -> None:
    assert has_ended(report, "web", entry(3)) == has_tried


def test_node_with_thousands_of_certificates_is_behind_only_with_those_that_it_lacks() -> None:
    names = [f"host-{number}.example.org" for number in range(3_000)]
    listed = {name: Listed(entry(number % 5 + 1), NOW) for number, name in enumerate(names)}
    certificates = {
        name: CertificateReport(one.entry.version.number, "ab" * 32, CertificateState.SERVED)
        for name, one in listed.items()
    }
    certificates[names[7]] = replace(certificates[names[7]], state=CertificateState.REFUSED, cause="nginx: [emerg] no")
    certificates[names[2_000]] = replace(certificates[names[2_000]], state=CertificateState.WAITING, cause="it waits")
    report = sent(Report("1.2.3", NOW.timestamp(), 7, certificates=certificates))
    assert len(report.certificates) < len(names)
    (found,) = node_statuses({"web2": NODE}, {"web2": seen(report)}, listed)
    assert (found.current, found.total, found.concern) == (2_998, 3_000, None)
    assert {one.lineage: one.cause for one in found.behind} == {names[7]: "nginx: [emerg] no", names[2_000]: "it waits"}
    assert has_ended(report, names[2_999], listed[names[2_999]].entry)
    assert not has_ended(report, names[2_000], listed[names[2_000]].entry)
    newer = {**listed, names[2_999]: Listed(entry(9), NOW)}
    (found,) = node_statuses({"web2": NODE}, {"web2": seen(report)}, newer)
    assert {one.lineage for one in found.behind} == {names[7], names[2_000], names[2_999]}
    assert not has_ended(report, names[2_999], newer[names[2_999]].entry)


def sent(report: Report) -> Report:
    """Return what the issuer reads: the first report that fits into a record."""
    for one in shortened(report):
        record = one.to_record("web2", 1, int(NOW.timestamp()))
        try:
            records.sign(record, WEB2_KEY)
        except MessageError:
            continue
        return parse_report("web2", record.body)
    raise AssertionError("no report fits")
