"""The page of one certificate."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.site.views import NASTY, Parsed
from tests.issuer.commands.statuses import FAILURE, LIMITED, NAME, NOW, install, record, schedule, write
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.site import view
from wellkeeper_issuer.commands.site.certificate_page import certificate_page
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.fleet.node_status import Behind, NodeStatus
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Check, Seen
from wellkeeper_issuer.settings import read_settings
from wellkeeper_node.happened import Happened, What

WEB2 = NodeStatus("web2", True, NOW, NOW, "1", 0.0, 1, 1, (), None)


def page(
    program: Program, name: str = NAME, daemon: Mapping[str, Any] | None = None, nodes: tuple[NodeStatus, ...] = ()
) -> Parsed:
    seen = view.read(read_settings(program.config), None, is_outdated=False)
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


def test_each_node_is_shown_with_what_it_has(program: Program, version: str) -> None:
    behind = Behind(NAME, NOW, "nginx: [emerg] <no>", "Fix it.")
    nodes = (
        WEB2,
        replace(WEB2, name="web3", current=0, behind=(behind,)),
        replace(WEB2, name="web4", seen_at=None),
        replace(WEB2, name="mail", lineages=("mail",)),
    )
    found = page(program, nodes=nodes)
    assert "local served last looked at" in found.shown
    assert "web2 newest version reported at" in found.shown
    assert "web3 behind nginx: [emerg] <no> (since" in found.shown
    assert "Fix it." in found.words
    assert "web4 unknown it has never reported" in found.shown
    assert "mail" not in found.words
    other = Check(NAME, version, Seen.WRONG, NOW, NOW, NOW + timedelta(days=1))
    write(program, lambda state: state.deliveries.record_check(other))
    assert "local another certificate clients get a certificate that expires at" in page(program).shown


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
    seen = view.read(read_settings(program.config), None, is_outdated=False)
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
