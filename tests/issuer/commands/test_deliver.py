"""deliver: what is refused; tests/integration/test_deliver.py delivers to a real nginx."""

from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Finished, Program
from tests.issuer.commands.statuses import NOW
from wellkeeper_node.model import Identifier, Pair

NAMES = (dns("*.a.example"), dns("a.example"))


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure()
    program.make_keys()
    return program


def pair(*names: Identifier) -> Pair:
    return FakeCa(NOW).pair(*(names or NAMES))


def deliver(program: Program, given: Pair, name: str = "web") -> Finished:
    chain, key = program.folder / "fullchain.cer", program.folder / "a.key"
    chain.write_bytes(given.chain_pem)
    key.write_bytes(given.certificate_key_pem)
    return program.run("deliver", name, "--chain", str(chain), "--key", str(key))


def drop_in(program: Program) -> Path:
    return program.config.with_name("issuer.d") / "web.toml"


def refused(finished: Finished) -> str:
    """Return the message of a command that changed nothing."""
    assert finished.exit_code == 2, finished
    return " ".join(finished.err.split())


def test_settings_that_were_written_by_hand_are_not_changed(ready: Program) -> None:
    table = "[[certificates]]\nname = 'web'\nsource = 'external'\nidentifiers = ['a.example']\n"
    ready.config.write_text(f"{ready.config.read_text()}\n{table}")
    message = refused(deliver(ready, pair()))
    assert "it is for *.a.example, a.example, but " in message
    assert "issuer.toml" in message
    assert message.endswith("has a.example Change 'identifiers' there.")
    assert not drop_in(ready).exists()


def test_certificate_that_is_ordered_here_is_refused(ready: Program) -> None:
    table = "[[certificates]]\nname = 'web'\nidentifiers = ['a.example']\n"
    ready.config.write_text(f"{ready.config.read_text()}\n{table}")
    assert "it is ordered here, by " in refused(deliver(ready, pair(dns("a.example"))))


@pytest.mark.parametrize("name", ["../web", "", "*.a.example"])
def test_name_that_is_no_folder_is_refused(ready: Program, name: str) -> None:
    assert "Choose one such as wildcard.example.org for *.example.org." in refused(deliver(ready, pair(), name=name))
    assert not drop_in(ready).parent.exists()


def test_file_that_cannot_be_read_is_named(ready: Program, tmp_path: Path) -> None:
    long = tmp_path / "long.pem"
    long.write_bytes(b"x" * 2_000_000)
    for chain in (tmp_path / "none", long, tmp_path):
        message = refused(ready.run("deliver", "web", "--chain", str(chain), "--key", "/dev/null"))
        assert str(chain) in message
    assert not drop_in(ready).exists()
