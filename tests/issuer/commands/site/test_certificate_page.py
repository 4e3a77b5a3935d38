"""The page of one certificate."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.fleet import LEAF, entry
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.site.views import NASTY, Parsed
from tests.issuer.commands.statuses import FAILURE, LIMITED, NAME, NOW, UNTIL, install, record, schedule, write
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.site import view
from wellkeeper_issuer.commands.site.certificate_page import certificate_page
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus, node_statuses
from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.records import Check
from wellkeeper_issuer.records import Seen as Looked
from wellkeeper_issuer.settings import read_settings
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.happened import Happened, What

DAY = timedelta(days=1)


def page(
    program: Program, name: str = NAME, daemon: Mapping[str, Any] | None = None, nodes: tuple[NodeStatus, ...] = ()
) -> Parsed:
    settings = read_settings(program.config)
    seen = view.read(settings, settings.lineages(), None, is_outdated=False)
    text = certificate_page(replace(seen, daemon=daemon, nodes=nodes), {"name": name})
    assert text is not None
    return Parsed(text)


@pytest.fixture
def version(program: Program) -> str:
    """Install a certificate that nginx serves, and return its version."""
    program.configure(NAME, more=LIMITED)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    return version


def test_page_has_the_sentences_of_why_the_steps_and_the_chain(program: Program, version: str) -> None:
    history = build.history(program.state_dir)
    history.add(Happened(What.CERTIFICATE_ISSUED, NAME, {"version": version, "fetched_by": "192.0.2.1"}))
    history.add(Happened(What.CERTIFICATE_ISSUED, "other.example", {"version": "7"}))
    found = page(program)
    assert found.title == f"{NAME}: served · Wellkeeper"
    sentences = program.run("why", NAME).out.splitlines()
    assert len(sentences) == 6
    assert [one for one in sentences if one not in found.words] == []
    assert "from 192.0.2.1" in found.words
    assert f"Version {version}" in found.words
    assert "Fake Intermediate" in found.words
    assert "certificate-issued" in found.words
    assert "version: 7" not in found.shown


def test_page_of_a_failing_certificate_has_the_failed_step(program: Program) -> None:
    program.configure(NAME)
    write(program, lambda state: state.schedules.record_failure(FAILURE))
    found = page(program)
    assert found.title == f"{NAME}: failing · Wellkeeper"
    assert "Last renewal, failed" in found.words
    assert "(failed)" in found.words


def test_page_of_a_renewal_in_progress_has_its_stage(program: Program, version: str) -> None:
    assert version
    found = page(program, daemon={"under_way": {NAME: "validate"}, "build": ""})
    assert "Renewal in progress" in found.words
    assert "in progress" in found.words


def test_each_node_is_shown_with_what_clients_get_there(program: Program, version: str) -> None:
    newest = Entry(Version(3, version), "01" * 32, LEAF)
    listed = {NAME: Listed(newest, NOW, NOW, NOW + 60 * DAY), "mail": Listed(entry(3), NOW)}
    older = Instead(Got.OLDER, NOW.timestamp(), 2, "0a1b", 0, (NOW + DAY).timestamp())
    refused = CertificateReport(3, LEAF, CertificateState.REFUSED, "nginx: [emerg] <no>", "Fix it.", older)
    other = replace(refused, state=CertificateState.WRONG, instead=replace(older, what=Got.OTHER))
    served = CertificateReport(3, LEAF, CertificateState.SERVED)
    reports = {
        name: Report("1", NOW.timestamp(), 7, certificates={NAME: one}, checked_at=NOW.timestamp())
        for name, one in {"web2": served, "web3": refused, "web4": other, "mail": served}.items()
    }
    enrolled = {name: EnrolledNode(name, "s", "x", ("*",), True, NOW) for name in (*reports, "web5")}
    enrolled["mail"] = replace(enrolled["mail"], lineages=("mail",))
    nodes = node_statuses(enrolled, {name: Seen(name, 1, NOW, one) for name, one in reports.items()}, listed)
    found = page(program, nodes=nodes)
    at, ends = (f"{one:%Y-%m-%d %H:%M} UTC" for one in (NOW, NOW + 60 * DAY))
    soon = f"{NOW + DAY:%Y-%m-%d %H:%M} UTC"
    assert f"web2 served checked at {at} version 3 ({version}) until {ends} web3" in found.shown
    assert f" version 3 ({version}) until {UNTIL:%Y-%m-%d %H:%M} UTC web2" in found.shown
    rest = f"checked at {at} {{}}, serial 0a1b until {soon} since {at} nginx: [emerg] <no> Fix it."
    assert f"web3 older version {rest.format('version 2')} web4" in found.shown
    assert f"web4 another certificate {rest.format('another certificate')} web5" in found.shown
    assert "web5 unknown not checked yet unknown it has never reported" in found.shown
    assert f"Node web3: since {at}, clients get version 2, serial 0a1b, valid until {soon}" in found.shown
    assert "mail" not in found.words


def test_what_this_host_serves_is_shown_as_last_checked(program: Program, version: str) -> None:
    assert f"version {version} until" in page(program).shown
    other = Check(NAME, version, Looked.WRONG, NOW, NOW, NOW + DAY)
    write(program, lambda state: state.deliveries.record_check(other))
    ends, at = (f"{one:%Y-%m-%d %H:%M} UTC" for one in (NOW + DAY, NOW))
    words = f"local another certificate checked at {at} another certificate until {ends}"
    assert words in page(program).shown
    write(program, lambda state: state.schedules.record_failure(replace(FAILURE, lineage=NAME, stage="verify")))
    assert f"{words} since {FAILURE.first_at:%Y-%m-%d %H:%M} UTC {FAILURE.message}" in page(program).shown
    write(program, lambda state: state.schedules.record_failure(replace(FAILURE, lineage=NAME)))
    assert f"{words} since" not in page(program).shown


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_text_of_a_ca_and_of_clients_is_shown_as_text(program: Program, text: str) -> None:
    program.configure(NAME)

    async def fill(state: State) -> None:
        await state.schedules.record_failure(replace(FAILURE, message=text))

    write(program, fill)
    build.history(program.state_dir).add(Happened(What.CERTIFICATE_REFUSED, NAME, {"reason": text}))
    found = page(program)
    assert not {"script", "img"} & {*found.tags}
    assert not any(letter in found.text for letter in "\u202e\u2066\x1b\x07\x00\u2028\r")
    assert len(found.text) < 30_000


def test_there_is_no_page_of_an_unknown_certificate(program: Program, version: str) -> None:
    assert version
    settings = read_settings(program.config)
    seen = view.read(settings, settings.lineages(), None, is_outdated=False)
    assert [certificate_page(seen, query) for query in ({"name": "b.example"}, {})] == [None, None]


def test_settings_of_the_certificate_are_shown_with_the_ca_of_all(program: Program) -> None:
    program.configure("other.example", NAME)
    program.config.write_text(f"{program.config.read_text()}\nkey_type = 'rsa-2048'")
    found = page(program)
    assert f'ca ["{UNREACHABLE_CA}"] default' in found.shown
    assert 'key_type "rsa-2048" set' in found.shown
    assert "reuse_key false default" in found.shown
    assert "other.example" not in found.shown


def test_chain_that_cannot_be_read_is_left_out(program: Program, version: str) -> None:
    (program.certificates_dir / "archive" / NAME / version / "fullchain.pem").write_text("no chain")
    found = page(program)
    assert "Chain" not in found.words


def test_history_that_cannot_be_read_is_reported(program: Program, version: str) -> None:
    assert version
    (program.state_dir / "history.jsonl").mkdir()
    with pytest.raises(JournalError, match=r"history.jsonl: Is a directory"):
        page(program)
