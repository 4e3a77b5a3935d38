"""Live files that are damaged: `status --check` reports them, and the next pass repairs them in time."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from stand.host import running_host
from tests.integration.observed import installed, issued, outcomes, passes_test, served, version

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"


def remove_key(live: Path, _other: Path) -> None:
    (live / "privkey.pem").unlink()


def empty_key(live: Path, _other: Path) -> None:
    (live / "privkey.pem").write_bytes(b"")


def empty_chain(live: Path, _other: Path) -> None:
    (live / "fullchain.pem").write_bytes(b"")


def swap_key(live: Path, other: Path) -> None:
    (live / "privkey.pem").write_bytes((other / "privkey.pem").read_bytes())


def cut_chain(live: Path, _other: Path) -> None:
    path = live / "fullchain.pem"
    path.write_bytes(path.read_bytes()[:300])


def drop_intermediate(live: Path, _other: Path) -> None:
    (live / "fullchain.pem").write_bytes((live / "cert.pem").read_bytes())


Damage = Callable[[Path, Path], None]


@pytest.mark.parametrize("damage", [remove_key, empty_key, empty_chain])
async def test_loss_is_reported_and_repaired_from_the_archive_by_a_scheduled_pass(folder: Path, damage: Damage) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        older = installed(host.issuer, "web")
        await host.issuer.run_well("renew", "--force")
        await host.issuer.run_well("status", "--check")
        damage(host.issuer.live("web").resolve(), folder)
        checked = await host.issuer.run("status", "--check")
        assert checked.exit_code == 1
        assert "holds no usable certificate" in checked.err
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert await passes_test(host.nginx)
        # A chain is put together again from cert.pem and chain.pem; a key exists once.
        is_same = damage is empty_chain
        assert (installed(host.issuer, "web") == older) is not is_same
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert issued(host.ca) == 2
        await host.issuer.run_well("status", "--check")


@pytest.mark.parametrize("damage", [swap_key, cut_chain, drop_intermediate])
async def test_damage_inside_the_files_is_reported_and_repaired(folder: Path, damage: Damage) -> None:
    async with running_host(folder, {"web": [NAME], "other": ["other.example.org"]}) as host:
        await host.issuer.run_well("renew")
        before = version(host.issuer, "web")
        damage(host.issuer.live("web").resolve(), host.issuer.live("other"))
        checked = await host.issuer.run("status", "--check")
        assert checked.exit_code == 1
        assert "web: " in checked.err
        assert "other: " not in checked.err
        finished = await host.issuer.run("renew", "web", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert version(host.issuer, "web") != before
        assert await passes_test(host.nginx)
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert issued(host.ca) == (3 if damage is swap_key else 2)
        await host.issuer.run_well("status", "--check")


async def test_certificate_is_obtained_again_when_the_archive_has_no_other(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        remove_key(host.issuer.live("web").resolve(), folder)
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert issued(host.ca) == 2
        assert await served(host, NAME) == installed(host.issuer, "web")
