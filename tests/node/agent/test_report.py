"""A node's report: read back the same, harmless whatever it quotes, and refused in any other shape."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.fleet import TIME
from wellkeeper_client.foreign_text import LONGEST_WORDS
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import (
    CertificateReport,
    CertificateState,
    FetchReport,
    PublicationReport,
    Report,
    ResponderReport,
    done_digest,
    parse_report,
)
from wellkeeper_node.model import ReadBack

READ: Final = ReadBack("web2", "http://a.example/x", "127.0.0.1:80", 403, "nginx denies it", "Remove the line.")
SILENT: Final = ReadBack("web2", "http://a.example/x", "127.0.0.1:80", None, "no answer")
REPORT: Final = Report(
    version="1.2.3",
    clock=1_700_000_000.5,
    manifest=7,
    concern="the manifest is old",
    responder=ResponderReport("abc", "1.2.3", ("t" * 43,), "it does not answer", ("p" * 43,)),
    publications={"jti": PublicationReport(is_held=True, read_backs=(READ, SILENT))},
    fetches={"token": FetchReport(2, ("192.0.2.1",))},
    certificates={"web": CertificateReport(3, "ab" * 32, CertificateState.REFUSED, "nginx: [emerg] no", "Fix it.")},
    fleet_key_ids=("f" * 43,),
    next_keys="wkn1:x",
    follows=("relay", "engine"),
    checked_at=1_699_999_990.25,
)
INSTEAD: Final = Instead(Got.OLDER, 1_699_999_980, 2, "ab12", 1_690_000_000, 1_700_000_100)
OTHERS: Final = Report(
    "1.2.3",
    5,
    certificates={
        "web": CertificateReport(3, "ab" * 32, CertificateState.WRONG, "no", "Fix it.", INSTEAD),
        "mail": CertificateReport(1, "cd" * 32, CertificateState.FAILED, "no", "", Instead(Got.NOTHING, 7.5)),
    },
)


LEFT_OUT: Final = Report("1.2.3", 5, done=frozenset({done_digest("web", 3), done_digest("mail", 1)}))


@pytest.mark.parametrize(
    "report", [REPORT, LEFT_OUT, OTHERS, Report("1.2.3", 5)], ids=["full", "left out", "others", "empty"]
)
def test_report_is_read_back_the_same(report: Report) -> None:
    body = json.loads(json.dumps(report.to_json()))
    assert parse_report("web2", body | {"of_a_later_version": 1}) == report


def test_report_of_an_earlier_version_lacks_keys_what_it_follows_and_the_time_of_checks() -> None:
    body = Report("1.2.3", 5).to_json()
    del (
        body["checked_at"],
        body["follows"],
        body["fleet_key_ids"],
        body["next_keys"],
        body["responder"]["publishing_key_ids"],
    )
    assert parse_report("web2", body) == Report("1.2.3", 5)


def test_other_words_for_what_a_node_follows_are_ignored() -> None:
    body = Report("1.2.3", 5, follows=("engine",)).to_json()
    body["follows"] += ["pigeon", "relay", "engine"]
    assert parse_report("web2", body).follows == ("relay", "engine")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (None, "it is 'shining', which this version does not know"),
        ("so bright", "it is 'shining', which this version does not know: so bright"),
    ],
)
def test_state_of_a_later_version_is_not_a_success(cause: str | None, words: str) -> None:
    one = {"number": 4, "leaf_sha256": "ab" * 32, "state": "shining", "cause": cause, "remedy": ""}
    report = parse_report("web2", REPORT.to_json() | {"certificates": {"web": one}})
    assert report.certificates["web"] == CertificateReport(4, "ab" * 32, CertificateState.FAILED, words)


def test_what_clients_get_costs_nothing_where_it_is_the_newest_version() -> None:
    body = REPORT.to_json()
    assert set(body["certificates"]["web"]) == {"number", "leaf_sha256", "state", "cause", "remedy"}


def test_kind_of_certificate_of_a_later_version_is_unknown() -> None:
    body = OTHERS.to_json()
    body["certificates"]["web"]["instead"]["what"] = "shining"
    body["certificates"]["mail"]["instead"]["more"] = 1
    found = parse_report("web2", body).certificates
    assert found["web"] == replace(OTHERS.certificates["web"], instead=None)
    assert found["mail"] == OTHERS.certificates["mail"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], "'instead' is missing, or of another type"),
        ({"what": 1}, "'what' is missing"),
        ({"since": None}, "'since' is missing"),
        ({"since": -1}, "'since' is not a UNIX time"),
        ({"since": 253_402_300_800}, "'since' is not a UNIX time"),
        ({"since": float("nan")}, "'since' is not a UNIX time"),
        ({"number": 2**53}, "'number' is not a number"),
        ({"number": True}, "'number' is missing, or of another type"),
        ({"serial": None}, "'serial' is missing"),
        ({"not_before": "now"}, "'not_before' is missing, or of another type"),
        ({"not_after": 10**400}, "'not_after' is not a UNIX time"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_clients_get_in_another_shape_is_refused(changes: dict[str, Any] | list[Any], words: str) -> None:
    body = OTHERS.to_json()
    instead = body["certificates"]["web"]["instead"]
    body["certificates"]["web"]["instead"] = instead | changes if isinstance(changes, dict) else changes
    with pytest.raises(ValueError, match=words):
        parse_report("web2", body)


def test_serial_becomes_one_bounded_line() -> None:
    body = OTHERS.to_json()
    body["certificates"]["web"]["instead"]["serial"] = "a\n\x1b[2J" + "f" * 5000
    instead = parse_report("web2", body).certificates["web"].instead
    assert instead is not None
    assert instead.serial.isprintable()
    assert len(instead.serial) == 64


def test_report_knows_the_state_of_what_it_leaves_out() -> None:
    installed = done_digest("wiki", 2, CertificateState.INSTALLED)
    report = replace(LEFT_OUT, done=LEFT_OUT.done | {installed})
    asked = (("web", 3), ("wiki", 2), ("web", 2))
    found = [report.state_left_out(*one) for one in asked]
    assert found == [CertificateState.SERVED, CertificateState.INSTALLED, None]
    assert [report.is_done(*one) for one in asked] == [True, True, False]
    assert REPORT.state_left_out("web", 3) is None


def test_report_of_an_earlier_version_leaves_nothing_out() -> None:
    body = REPORT.to_json()
    del body["done"]
    assert parse_report("web2", body) == REPORT


def test_report_becomes_the_record_of_its_node() -> None:
    record = REPORT.to_record("web2", 4, TIME)
    assert (record.key, record.number, record.issued_at) == ("report/web2", 4, TIME)
    assert parse_report("web2", record.body) == REPORT


def test_texts_of_a_report_become_one_bounded_line() -> None:
    body = REPORT.to_json() | {"concern": "a\nb\x1b[2J" + "c" * 5000}
    concern = parse_report("web2", body).concern
    assert concern is not None
    assert concern.startswith("a b [2Jc")
    assert len(concern) == LONGEST_WORDS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": None}, "'version' is missing"),
        ({"clock": "now"}, "'clock' is missing"),
        ({"clock": True}, "'clock' is missing"),
        ({"clock": 10**400}, "'clock' is not a UNIX time"),
        ({"checked_at": "now"}, "'checked_at' is missing, or of another type"),
        ({"checked_at": -1}, "'checked_at' is not a UNIX time"),
        ({"manifest": -1}, "'manifest' is not a number"),
        ({"manifest": 2**53}, "'manifest' is not a number"),
        ({"concern": 1}, "'concern'"),
        ({"responder": []}, "'responder'"),
        ({"responder": REPORT.to_json()["responder"] | {"thumbprints": [1]}}, "'thumbprints' must be a list"),
        ({"publications": {"jti": 1}}, "'publications' must be an object"),
        ({"publications": {"jti": {"held": 1, "error": None, "read_backs": []}}}, "'held'"),
        ({"publications": {"jti": {"held": True, "error": None, "read_backs": [1]}}}, "'read_backs' must be a list"),
        ({"fetches": {str(number): {} for number in range(10_001)}}, "at most 10000"),
        ({"certificates": {"web": {"state": 1}}}, "'state' is missing"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_report_of_another_shape_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_report("web2", REPORT.to_json() | changes)
