"""Rollover of an account key at a real CA: responders first, resumed after kills, conflicts reported."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.pebble import NEWEST, OLDEST, Pebble
from tests.integration.observed import asked, installed, served
from tests.json_docs import assert_documented
from tests.opened_cas import opened_ca
from wellkeeper_client import trust_file
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import AccountKey
from wellkeeper_issuer.outside.keys.rollover import roll_over
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.responders.client import ResponderClient

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def trusted(host: Host) -> list[str]:
    """Return the thumbprints that `trust` prints."""
    found: list[str] = (await host.issuer.run_well("trust", "--json")).json()["trust"]["account_thumbprints"]
    return found


def keys(host: Host) -> tuple[Path, Path]:
    """Return the present key and the path of the next one."""
    (record,) = (host.issuer.state_dir / "accounts").glob("*.json")
    return record.with_suffix(".pem"), record.with_suffix(".next.pem")


async def test_responders_learn_the_new_key_before_the_ca_does(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        present, following = keys(host)
        before = present.read_bytes()
        (old,) = await trusted(host)
        refused = await host.issuer.run("account", "rollover")
        assert refused.exit_code == 1
        both = await trusted(host)
        assert both[0] == old
        assert len(both) == 2
        assert "do not trust the new key: 'local'" in refused.err
        assert "Run 'wellkeeper trust --write', then 'wellkeeper account rollover' again." in refused.err
        assert asked(host.ca, "/rollover-account-key") == 0
        assert (present.read_bytes(), following.exists()) == (before, True)
        await host.issuer.run_well("trust", "--write")
        done = await host.issuer.run_well("account", "rollover", "--json")
        assert_documented("account rollover", done.json())
        assert (done.json()["ca"], done.json()["thumbprint"]) == ("localhost", both[1])
        assert await trusted(host) == both[1:]
        assert not following.exists()
        # The old key is no longer trusted.
        await host.issuer.run_well("trust", "--write")
        assert list(trust_file.read(host.issuer.trust_path).account_thumbprints) == both[1:]
        await host.issuer.run_well("renew", "--force")
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_rollover_killed_after_the_ca_accepted_the_key_is_resumed(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("account", "register")
        await host.issuer.run("account", "rollover")
        present, following = keys(host)
        before, new = present.read_bytes(), following.read_bytes()
        await host.issuer.run_well("trust", "--write")
        await host.issuer.run_well("account", "rollover")
        # The state before the rename: the CA knows the new key, our files still have the old one.
        present.write_bytes(before)
        following.write_bytes(new)
        changes = asked(host.ca, "/rollover-account-key")
        await host.issuer.run_well("account", "rollover")
        assert (present.read_bytes(), following.exists()) == (new, False)
        assert asked(host.ca, "/rollover-account-key") == changes
        await host.issuer.run_well("renew")
        assert await served(host, NAME) == installed(host.issuer, "web")


@pytest.mark.parametrize("programs", [NEWEST, OLDEST], ids=["newest", "oldest"])
async def test_key_of_another_account_is_reported_and_changes_nothing(folder: Path, programs: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, programs=programs) as host:
        await host.issuer.run_well("account", "register")
        present, following = keys(host)
        before = present.read_bytes()
        async with other_account(host.ca, folder / "other") as (_, other):
            following.write_bytes(other.key_path(host.ca.directory_url).read_bytes())
            following.chmod(0o600)
        await host.issuer.run_well("trust", "--write")
        refused = await host.issuer.run("account", "rollover")
        assert refused.exit_code == 1
        assert "the new key already has another account there" in refused.err
        assert f"Run 'rm {following}', then" in refused.err
        assert present.read_bytes() == before
        following.unlink()
        await host.issuer.run_well("renew")


@asynccontextmanager
async def other_account(ca: Pebble, folder: Path) -> AsyncIterator[tuple[AcmeAuthority, AccountFolder]]:
    """Register an account unrelated to the issuer's."""
    accounts = AccountFolder(folder, (ca.directory_url,), terms_of_service_agreed=True)
    accounts.make_keys()
    options = CaOptions("pebble", ca.directory_url, bundle=str(ca.ca_bundle))
    async with opened_ca(options, accounts, SystemClock()) as authority:
        await authority.account_url()
        yield authority, accounts


@dataclass
class UncheckedAccount:
    """An account that checks for an existing account of the new key only after the CA's success."""

    at_ca: AccountAtCa
    looks: int = 0

    @property
    def directory_url(self) -> str:
        return self.at_ca.directory_url

    @property
    def ca_name(self) -> str:
        return self.at_ca.ca_name

    async def changeable_url(self) -> str:
        return await self.at_ca.changeable_url()

    async def url_of(self, account_key: AccountKey) -> str | None:
        self.looks += 1
        return None if self.looks == 1 else await self.at_ca.url_of(account_key)

    async def change_key(self, following: AccountKey) -> None:
        await self.at_ca.change_key(following)


async def test_conflict_despite_success_of_the_ca_is_detected(folder: Path, pebble: Pebble) -> None:
    """Use Pebble 2.6 and 2.10, which answer 200 and change nothing."""
    async with (
        other_account(pebble, folder / "other") as (_, other),
        other_account(pebble, folder / "ours") as (ours, accounts),
    ):
        url = pebble.directory_url
        path = accounts.next_key_path(url)
        path.write_bytes(other.key_path(url).read_bytes())
        before = accounts.key_path(url).read_bytes()
        account = UncheckedAccount(AccountAtCa(ours.connection))
        with pytest.raises(OrderError, match="the new key already has another account there"):
            await roll_over(account, accounts, ())
        assert account.looks == 2
        assert accounts.key_path(url).read_bytes() == before
        assert await AccountAtCa(ours.connection).url_of(key_files.read_account_key(accounts.key_path(url))) == (
            await ours.account_url()
        )


async def test_daemon_continues_with_the_new_key_after_a_rollover(folder: Path, pebble: Pebble) -> None:
    """Roll over while the daemon's connections use the old key."""
    async with other_account(pebble, folder / "ours") as (daemon, accounts):
        thumbprint = daemon.thumbprint
        options = CaOptions("pebble", pebble.directory_url, bundle=str(pebble.ca_bundle))
        clients: tuple[ResponderClient, ...] = ()
        async with opened_ca(options, accounts, SystemClock()) as command:
            new = await roll_over(AccountAtCa(command.connection), accounts, clients)
        assert daemon.thumbprint == new != thumbprint
        state = await AccountAtCa(daemon.connection).state()
        assert state is not None
        assert state.status == "valid"
