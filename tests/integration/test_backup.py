"""Backups made beside the daemon, and hosts restored from them, which order nothing that the backup has."""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer, IssuerSettings
from stand.processes import PROGRAMS, search_path
from tests.integration.observed import installed, issued, orders, outcomes, served, version
from tests.integration.test_daemon_process import NAME, gated_host, quick_host
from tests.issuer.ages import make_identity, names_in
from tests.systemd.pages import Page
from wellkeeper_issuer.outside.state.lock import DECIDED, STAGING

pytestmark = pytest.mark.integration

KILLS: Final = 6


class Safe:
    """A place away from the host, with the private key and a backup."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.identity, self.file = folder / "identity.txt", folder / "backup.age"
        self.key = make_identity(self.identity)

    async def back_up(self, issuer: Issuer) -> None:
        await issuer.run_well("backup", str(self.file), "--recipient", self.key)

    def arguments(self) -> tuple[str, ...]:
        return "restore", str(self.file), "--identity", str(self.identity)

    async def restore(self, issuer: Issuer) -> None:
        await issuer.run_well(*self.arguments())


def lose(issuer: Issuer) -> None:
    """Lose all files of the issuer."""
    for path in (issuer.state_dir, issuer.certificates_dir, issuer.config_path.parent):
        shutil.rmtree(path)


@pytest.fixture
def safe(folder: Path) -> Safe:
    return Safe(folder / "safe")


@pytest.fixture
async def alone(folder: Path) -> Issuer:
    """Return an issuer with keys and a placeholder, without any other process."""
    issuer = Issuer(folder)
    issuer.configure(
        IssuerSettings("https://127.0.0.1:1/directory", None, {"web": [NAME]}, more=("local_node = true",))
    )
    text = issuer.config_path.read_text().replace("local_node = false\n", "")
    issuer.config_path.write_text(text)
    await issuer.make_keys()
    await issuer.run_well("placeholder")
    return issuer


async def test_restored_host_orders_nothing_that_the_backup_has(folder: Path, safe: Safe) -> None:
    async with quick_host(folder) as host:
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            before, count = installed(host.issuer, "web"), orders(host.ca)
            await safe.back_up(host.issuer)
            await daemon.end(signal.SIGTERM)
        lose(host.issuer)

        await safe.restore(host.issuer)

        assert installed(host.issuer, "web") == before
        finished = await host.issuer.run_well("renew", "--json")
        assert outcomes(finished) == {"web": "unchanged"}
        shown = (await host.issuer.run_well("status", "--json")).json()
        assert [one["name"] for one in shown["certificates"]] == ["web"]
        assert (orders(host.ca), issued(host.ca)) == (count, 1)
        assert await served(host, NAME) == before


async def test_backup_during_a_renewal_costs_no_second_certificate(folder: Path, safe: Safe) -> None:
    async with gated_host(folder) as (host, gate):
        async with IssuerDaemon(host.issuer) as daemon:
            await gate.knocked()
            await safe.back_up(host.issuer)  # the order is at the CA
            gate.open()
            await daemon.until(certificate="web", stage="verify", event="finished")
            before = installed(host.issuer, "web")
            await daemon.end(signal.SIGTERM)
        lose(host.issuer)

        await safe.restore(host.issuer)
        assert outcomes(await host.issuer.run_well("renew", "--retry", "--json")) == {"web": "served"}

        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert installed(host.issuer, "web") == before
        assert await served(host, NAME) == before


async def test_nothing_is_written_unencrypted(alone: Issuer, safe: Safe, folder: Path) -> None:
    trace = folder / "trace"
    calls = ("strace", "-f", "-qq", "-e", "trace=open,openat,openat2,creat,memfd_create", "-o", str(trace))
    program = str(PROGRAMS / "wellkeeper")
    command = (*calls, program, "--config", str(alone.config_path), "backup", str(safe.file), "--recipient", safe.key)
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert await process.wait() == 0
    written = {
        found[1] for line in trace.read_text().splitlines() if (found := re.search(r'"([^"]+)", [^)]*O_CREAT', line))
    }
    own = {str(safe.file.with_name(".backup.age.tmp")), str(alone.certificates_dir / ".lock")}
    own |= {str(alone.state_dir / name) for name in ("history.jsonl", "history.lock")}
    assert {
        path for path in written if "/.coverage." not in path and path.startswith(("/tmp", "/var/tmp", str(folder)))
    } == own
    assert "memfd_create" not in trace.read_text()


async def test_standard_output_is_a_backup(alone: Issuer, safe: Safe) -> None:
    environment = {"PATH": search_path(), "WELLKEEPER_CONFIG": str(alone.config_path)}
    with safe.file.open("wb") as file:
        command = (PROGRAMS / "wellkeeper", "backup", "-", "--recipient", safe.key)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=file, stderr=asyncio.subprocess.PIPE, env=environment
        )
        _, err = await process.communicate()
    assert process.returncode == 0
    assert "state/state.db" in names_in(safe.file.read_bytes(), safe.identity)
    assert err.decode().splitlines()[-1] == "verified  nothing: standard output cannot be read back"


async def test_killed_restore_leaves_nothing_or_is_completed(alone: Issuer, safe: Safe, folder: Path) -> None:
    await safe.back_up(alone)
    wanted = version(alone, "web")
    lose(alone)
    began = time.monotonic()
    await safe.restore(alone)
    seconds = time.monotonic() - began
    for _ in range(KILLS):
        lose(alone)
        async with alone.running(*safe.arguments()) as process:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.3, 1.0) * seconds):  # noqa: S311 - not a secret
                    await process.wait()
        for path in (alone.state_dir, alone.certificates_dir, alone.config_path.parent):
            path.mkdir(mode=0o700, exist_ok=True)
        if (alone.state_dir / STAGING / DECIDED).exists() or not alone.config_path.exists():
            await safe.restore(alone)
        assert version(alone, "web") == wanted
        assert (await alone.run_well("status", "--json")).json()["certificates"][0]["name"] == "web"
        assert left_over(folder) == []


def left_over(folder: Path) -> list[Path]:
    """Return what staging directories hold; an empty one may be left."""
    return list(folder.rglob(f"{STAGING}/*"))


async def test_commands_of_the_page_work_as_written(alone: Issuer, folder: Path) -> None:
    page = Page("docs/backup.md")
    environment = {"PATH": f"{PROGRAMS}:{search_path()}", "WELLKEEPER_CONFIG": str(alone.config_path)}

    async def shell(block: str) -> str:
        command = f'set -e -o pipefail; sudo() {{ "$@"; }}; {block}'
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", command, stdout=asyncio.subprocess.PIPE, env=environment, cwd=folder
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, block
        return out.decode()

    await shell(page.next("age-keygen"))
    assert "verified" in await shell(page.next("wellkeeper backup"))
    assert "state/state.db" in (await shell(page.next("tar --list"))).splitlines()
    assert f"exists    {alone.state_dir}" in await shell(page.next("--dry-run"))
    before = version(alone, "web")
    lose(alone)
    assert "placeholder" in await shell(page.next("wellkeeper status"))
    assert version(alone, "web") == before
    page.end()
