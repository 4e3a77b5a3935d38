"""Replacement after a revocation; revocations at a real CA are in tests/integration."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.revoke import Replacement, have_replaced, revoke
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.daemon.server import daemon_socket
from wellkeeper_issuer.outside.daemon.socket import socket_path
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.records import Origin, Rule
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node import public_keys
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Certificate, Installed

NAME = "a.example"
LEAF = Certificate(frozenset({dns(NAME)}), "abc", "f" * 64, "Fake CA", NOW, NOW + timedelta(days=90), False)
INSTALLED = Installed(NAME, "v1", LEAF, True)
ORIGIN = Origin("https://ca.example/directory", "")
STAYS = "nginx serves it until it is replaced: "


@pytest.fixture
def factory(folder: Path) -> WorkerFactory:
    made = WorkerFactory(folder)
    made.write(NAME)
    AccountFolder(folder / "state", ()).make_keys()
    return made


@pytest.fixture
def settings(factory: WorkerFactory) -> Settings:
    return read_settings(factory.path)


@pytest.fixture
async def daemon(factory: WorkerFactory, settings: Settings) -> AsyncIterator[WorkerFactory]:
    """Run a daemon that owns the state and answers."""
    async with (
        LocalOwnership(settings.state_dir).hold("run"),
        factory.service() as service,
        daemon_socket(socket_path(settings.state_dir), service.handlers),
    ):
        yield factory


async def test_without_a_daemon_the_next_renewal_replaces_it(settings: Settings) -> None:
    replacement = await have_replaced(settings, INSTALLED, ORIGIN)
    assert replacement.words.startswith(f"{STAYS}the next renewal replaces it; run ")
    assert (replacement.is_replaced, replacement.has_failed) == (False, False)
    async with open_state(settings.state_dir / "state.db", may_write=False) as state:
        schedule = await state.schedules.read_schedule(NAME)
    assert schedule is not None
    assert schedule.rule is Rule.REVOKED


async def test_daemon_replaces_it(daemon: WorkerFactory, settings: Settings) -> None:
    assert daemon.workers
    assert await have_replaced(settings, INSTALLED, ORIGIN) == Replacement(
        "the daemon has replaced it", is_replaced=True
    )


async def test_failed_replacement_by_the_daemon_is_a_failure(daemon: WorkerFactory, settings: Settings) -> None:
    daemon.workers[0].failing = OrderError("the CA is away")
    assert await have_replaced(settings, INSTALLED, ORIGIN) == Replacement(
        f"{STAYS}the daemon could not replace it: the CA is away", has_failed=True
    )


async def test_damaged_state_is_reported(settings: Settings) -> None:
    (settings.state_dir / "state.db").write_bytes(b"not a database " * 100)
    replacement = await have_replaced(settings, INSTALLED, ORIGIN)
    assert replacement.has_failed
    assert "Restore the file from a backup" in replacement.words


async def test_other_process_using_the_state_is_reported(settings: Settings) -> None:
    with (settings.state_dir / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        replacement = await have_replaced(settings, INSTALLED, ORIGIN)
    assert replacement.has_failed
    assert f"{STAYS}Another Wellkeeper process is changing " in replacement.words


async def test_compromised_key_is_disowned_even_when_the_ca_is_away(factory: WorkerFactory, settings: Settings) -> None:
    folders, pair = build.certificates(settings), FakeCa().pair(dns(NAME))
    await folders.switch(NAME, await folders.write(NAME, pair))
    asked = [NAME, "--config", str(factory.path), "--reason", "keyCompromise", "--ca", "https://127.0.0.1:1/directory"]
    result = await asyncio.to_thread(CliRunner().invoke, revoke, asked)
    assert isinstance(result.exception, WellkeeperError), result.output
    assert await folders.disowned_keys(NAME) == {public_keys.leaf_key_fingerprint(pair.chain_pem)}


@pytest.mark.parametrize("installed", ["web", NAME])
async def test_host_name_is_accepted_unless_a_certificate_of_that_name_is_installed(
    factory: WorkerFactory, installed: str
) -> None:
    table = f"[[certificates]]\nname = 'web'\nidentifiers = ['{NAME}']\n"
    factory.path.write_text(factory.path.read_text().partition("[[certificates]]")[0] + table)
    folders = build.certificates(read_settings(factory.path))
    await folders.switch(installed, await folders.write(installed, FakeCa().pair(dns(NAME))))
    asked = [NAME, "--config", str(factory.path), "--reason", "keyCompromise", "--ca", "https://127.0.0.1:1/directory"]
    await asyncio.to_thread(CliRunner().invoke, revoke, asked)
    assert await folders.disowned_keys(installed)


@pytest.fixture
def external(factory: WorkerFactory) -> Settings:
    """Return settings whose certificate another client obtains."""
    factory.path.write_text(f'{factory.path.read_text()}\nsource = "external"\n')
    return read_settings(factory.path)


async def test_what_another_client_obtained_is_not_replaced_here(external: Settings) -> None:
    replacement = await have_replaced(external, INSTALLED, ORIGIN)
    assert replacement == Replacement(
        f"{STAYS}obtain a new one with the other client, whose hook runs 'wellkeeper deliver {NAME}'"
    )


async def test_no_ca_is_guessed_for_what_another_client_obtained(factory: WorkerFactory, external: Settings) -> None:
    folders = build.certificates(external)
    await folders.switch(NAME, await folders.write(NAME, FakeCa().pair(dns(NAME))))
    asked = [NAME, "--config", str(factory.path), "--reason", "keyCompromise"]
    result = await asyncio.to_thread(CliRunner().invoke, revoke, asked)
    assert "cannot revoke the certificate of a.example: another ACME client obtained it, and its CA is" in str(
        result.exception
    )
    assert await folders.disowned_keys(NAME) == frozenset()
