"""A node's report: read back the same, harmless whatever it quotes, and refused in any other shape."""

import json
from typing import Any, Final

import pytest

from tests.fleet import TIME
from wellkeeper_client.foreign_text import LONGEST_WORDS
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
)


LEFT_OUT: Final = Report("1.2.3", 5, done=frozenset({done_digest("web", 3), done_digest("mail", 1)}))


@pytest.mark.parametrize("report", [REPORT, LEFT_OUT, Report("1.2.3", 5)], ids=["full", "left out", "empty"])
def test_report_is_read_back_the_same(report: Report) -> None:
    body = json.loads(json.dumps(report.to_json()))
    assert parse_report("web2", body | {"of_a_later_version": 1}) == report


def test_report_of_an_earlier_version_lacks_keys_and_what_it_follows() -> None:
    body = Report("1.2.3", 5).to_json()
    del body["follows"], body["fleet_key_ids"], body["next_keys"], body["responder"]["publishing_key_ids"]
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
