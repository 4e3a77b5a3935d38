"""Commands as root on certificates of an unprivileged owner, who put links and FIFOs in their way."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from stand.issuer import Issuer
from stand.processes import PROGRAMS, PROJECT, search_path
from wellkeeper_node.process import run

pytestmark = [pytest.mark.integration, pytest.mark.root]

SECONDS = 60


async def prepared(folder: Path) -> Issuer:
    issuer = Issuer(folder)
    issuer.config_path.parent.mkdir()
    issuer.config_path.write_text(
        "ca = 'https://127.0.0.1:1/dir'\nterms_of_service_agreed = true\ncertificates_owner = 'nobody'\n"
        f"state_dir = '{issuer.state_dir}'\ncertificates_dir = '{issuer.certificates_dir}'\n"
        "[[certificates]]\nname = 'web'\nidentifiers = ['www.example.org']\n"
    )
    await issuer.run_well("init")
    await issuer.run_well("placeholder")
    return issuer


def link_to_private_directory(path: Path, private: Path) -> None:
    private.mkdir(0o700)
    path.rename(path.with_name("away"))
    path.symlink_to(private)


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("place", ["archive/web", "archive", "live"])
async def test_placeholder_is_not_written_through_a_link(folder: Path, place: str) -> None:
    issuer = await prepared(folder)
    link_to_private_directory(issuer.certificates_dir / place, folder / "private")
    finished = await issuer.run("placeholder")
    assert "Traceback" not in finished.err
    assert content(folder / "private") == []


@pytest.mark.parametrize("name", ["fullchain.pem", "privkey.pem"])
async def test_no_command_waits_for_a_fifo(folder: Path, name: str) -> None:
    issuer = await prepared(folder)
    replace_by_fifo(issuer.live("web") / name)
    for command in ("status --json", "list", "why web", "renew"):
        async with asyncio.timeout(SECONDS):
            finished = await issuer.run(*command.split())
        assert "Traceback" not in finished.err


async def test_timer_reads_the_metrics_of_another_user_and_takes_no_file_from_that_user(folder: Path) -> None:
    issuer = await prepared(folder)
    await issuer.run("renew")
    assert (issuer.state_dir / "state.db").exists()
    for path in (issuer.state_dir, *issuer.state_dir.rglob("*")):
        shutil.chown(path, "nobody")
    lines = (PROJECT / "systemd/wellkeeper-metrics.service").read_text().splitlines()
    (kept,) = (line.partition("=")[2].split() for line in lines if line.startswith("CapabilityBoundingSet="))
    bounds = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in kept)])
    argv = ("setpriv", "--bounding-set", bounds, str(PROGRAMS / "wellkeeper"), "status", "--prometheus")
    environment = {"PATH": search_path(), "WELLKEEPER_CONFIG": str(issuer.config_path)}
    finished = await run(argv, SECONDS, environment=environment)
    assert 'wellkeeper_certificate_state{certificate="web",state="placeholder"} 1.0' in finished.output
    assert [path.name for path in issuer.state_dir.rglob("*") if path.owner() != "nobody"] == []
