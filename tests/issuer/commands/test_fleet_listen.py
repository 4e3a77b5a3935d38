"""fleet listen: the relay's environment, a drop-in, and the fleet key."""

import asyncio
from pathlib import Path

import pytest

from tests.contracts.test_fleet import WEB2
from tests.issuer.commands.conftest import Program
from tests.joins import OTHER
from tests.json_docs import assert_documented
from wellkeeper_client import trust_file
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.settings import read_settings

ADDRESS = "10.0.0.1:8404"


@pytest.fixture
def ready(program: Program) -> Program:
    program.configure("www.example.org")
    program.make_keys()
    return program


def environment(program: Program) -> Path:
    return program.config.with_name("relay.env")


def drop_in(program: Program) -> Path:
    return program.config.parent / "issuer.d/fleet.toml"


def keys(program: Program) -> list[str]:
    return [encode_public_key(key) for key in FleetKeys(program.state_dir).trusted]


def test_nodes_at_an_address_that_the_relay_leaves_are_named(ready: Program) -> None:
    async def enrol(node: EnrolledNode) -> None:
        async with open_state(ready.state_dir / JOURNAL, may_write=True) as state:
            await state.fleet.record_node(node)

    async def forget() -> None:
        async with open_state(ready.state_dir / JOURNAL, may_write=True) as state:
            await state.fleet.forget_node(WEB2.name)

    other = "10.0.0.2:8404"
    ready.run("fleet", "listen", ADDRESS)
    assert "may dial" not in ready.run("fleet", "listen", other).out
    asyncio.run(enrol(WEB2))
    asyncio.run(forget())
    assert "may dial" not in ready.run("fleet", "listen", ADDRESS).out
    ready.run("fleet", "listen", other)
    asyncio.run(enrol(WEB2))
    assert "may dial" not in ready.run("fleet", "listen", other, ADDRESS).out
    out = " ".join(ready.run("fleet", "listen", ADDRESS).out.split())
    assert f"note nodes web2 may dial {other}: change 'relays' in node.toml there" in out


def test_host_without_nginx_gets_its_relay_before_its_keys(program: Program) -> None:
    program.configure("www.example.org")
    program.config.write_text(f"local_node = false\n{program.config.read_text()}")
    assert "without [fleet] listen" in program.run("init").err
    finished = program.run("fleet", "listen", ADDRESS)
    assert (finished.exit_code, "'wellkeeper init'" in finished.out) == (0, True)
    assert program.run("init").exit_code == 0
    assert trust_file.read(program.config.with_name(trust_file.NAME)).fleet_keys == tuple(keys(program))
    assert "'wellkeeper init'" not in program.run("fleet", "listen", ADDRESS).out


def test_settings_and_environment_are_written_and_a_second_run_keeps_them(ready: Program) -> None:
    finished = ready.run("fleet", "listen", ADDRESS)
    assert finished.exit_code == 0, finished
    assert read_settings(ready.config).fleet.listen == (("10.0.0.1", 8404),)
    assert [node.name for node in read_settings(ready.config).nodes] == ["local"]
    lines = environment(ready).read_text().splitlines()
    assert lines[1:] == [f"WELLKEEPER_RELAY_NODES={ADDRESS}", f"WELLKEEPER_RELAY_FLEET_KEY={' '.join(keys(ready))}"]
    assert len(keys(ready)) == 2
    assert f"wrote  {drop_in(ready)}" in finished.out
    assert "note   wellkeeper-relay.service was not started: " in finished.out
    assert "sudo wellkeeper node invite NAME" in finished.out
    again = ready.run("fleet", "listen", ADDRESS)
    assert [line.split()[0] for line in again.out.splitlines()[:2]] == ["kept", "kept"]
    other = ready.run("fleet", "listen", ADDRESS, "[fd00::1]:8404", "--json").json()
    assert_documented("fleet listen", other)
    assert other["listen"] == [ADDRESS, "[fd00::1]:8404"]
    assert sorted(other["written"]) == sorted([str(drop_in(ready)), str(environment(ready))])


def test_settings_with_the_address_are_not_changed(ready: Program) -> None:
    ready.configure("www.example.org", more=f"[fleet]\nlisten = ['{ADDRESS}']")
    assert ready.run("fleet", "listen", ADDRESS).exit_code == 0
    assert environment(ready).exists()
    assert not drop_in(ready).exists()
    finished = ready.run("fleet", "listen", "10.0.0.9:8404")
    assert finished.exit_code == 2
    assert "this command changes only its own file" in finished.err


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1", "cannot listen at 192.0.2.1"),
        ("8.8.8.8:8404", "needs a private IP address"),
    ],
)
def test_other_addresses_are_refused(ready: Program, address: str, why: str) -> None:
    finished = ready.run("fleet", "listen", address)
    assert finished.exit_code == 2
    assert why in finished.err
    assert not environment(ready).exists()


def test_name_of_a_container_may_stand_for_its_address(ready: Program) -> None:
    assert ready.run("fleet", "listen", "relay:8404").exit_code == 0
    assert read_settings(ready.config).fleet.listen == (("relay", 8404),)
    assert "WELLKEEPER_RELAY_NODES=relay:8404" in environment(ready).read_text()


def test_directory_that_cannot_be_written_is_reported_with_the_lines(ready: Program) -> None:
    environment(ready).mkdir()
    finished = ready.run("fleet", "listen", ADDRESS)
    assert finished.exit_code == 2
    assert f"cannot write {environment(ready)}" in finished.err
    assert f"write this yourself and run it again: into {environment(ready)}: WELLKEEPER_RELAY_NODES=" in finished.err


def test_fleet_keys_are_added_to_a_trust_file_that_was_up_to_date(ready: Program) -> None:
    assert ready.run("trust", "--write").exit_code == 0
    ready.run("fleet", "listen", ADDRESS)
    found = trust_file.read(ready.config.with_name(trust_file.NAME))
    assert list(found.fleet_keys) == keys(ready)


def test_trust_file_that_differs_otherwise_is_left_alone(ready: Program) -> None:
    path = ready.config.with_name(trust_file.NAME)
    path.write_text(trust_file.to_toml(trust_file.Trust(("t" * 43,), (OTHER,))))
    before = path.read_text()
    ready.run("fleet", "listen", ADDRESS)
    assert path.read_text() == before
