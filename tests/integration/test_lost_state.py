"""Missing, damaged or inaccessible state: one clear error, nothing lost, and no needless request to the CA."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.issuer import Finished, Issuer
from stand.processes import search_path
from tests.integration.observed import (
    asked,
    events,
    installed,
    issued,
    journal,
    one_line,
    orders,
    reloads,
    served,
    served_unverified,
    version,
)
from tests.integration.under_way import renewing

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"

# Runs the command as another user, once all modules are loaded; a normal user does not change.
AS_OTHER_USER: Final = """
import concurrent.futures.thread, importlib, os, pkgutil, pwd
import cryptography.hazmat.backends.openssl.backend
import wellkeeper_issuer, wellkeeper_node
for package in (wellkeeper_issuer, wellkeeper_node):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(found.name)
if os.geteuid() == 0:
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
wellkeeper_issuer.__main__.main()
"""


def lose(issuer: Issuer) -> None:
    """Delete the journal with its WAL files."""
    for path in issuer.state_dir.glob("state.db*"):
        path.unlink()


def one_error(finished: Finished, exit_code: int = 1) -> str:
    """Return the only failure that is printed, as one line."""
    assert (finished.exit_code, finished.out) == (exit_code, ""), finished
    assert re.fullmatch(r"wellkeeper: [^\n]+\n(  [^\n]+\n){0,2}", finished.err), finished
    return one_line(finished.err)


async def has_nothing_to_do(host: Host) -> bool:
    """Check that another pass has nothing to do."""
    finished = await host.issuer.run("renew", "--log-format", "json")
    return (finished.exit_code, events(finished)) == (0, [])


async def test_missing_journal_is_created_again_and_nothing_is_obtained_again(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME], "mail": ["mail.example.org"]}) as host:
        await host.issuer.run_well("renew")
        before, questions, generations = version(host.issuer, "web"), asked(host.ca), reloads(host.nginx)
        lose(host.issuer)
        await host.issuer.run_well("renew")
        assert (version(host.issuer, "web"), asked(host.ca)) == (before, questions)
        # The lost journal recorded whether nginx had loaded it, so one reload makes sure.
        assert reloads(host.nginx) == generations + 1
        assert [row["state"] for row in journal(host.issuer)["deliveries"]] == ["served", "served"]
        assert await has_nothing_to_do(host)


async def test_certificate_not_yet_loaded_when_the_journal_was_lost_is_still_served(
    folder: Path,
) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        async with renewing(host.issuer) as run:
            await run.until("install", "finished")
            await run.end(signal.SIGKILL)
        assert await served_unverified(host, NAME) != installed(host.issuer, "web")
        lose(host.issuer)
        await host.issuer.run_well("renew")
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


def garbage(path: Path) -> None:
    path.write_bytes(b"\xa5" * 20_000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def spoilt_page(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * 4096 + whole[12_288:])


async def test_damaged_journal_is_reported_and_moving_it_away_loses_nothing(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        questions, path = asked(host.ca), host.issuer.state_dir / "state.db"
        whole = path.read_bytes()
        for spoil in (garbage, cut, spoilt_page):
            path.write_bytes(whole)
            spoil(path)
            damaged = path.read_bytes()
            reported = one_error(await host.issuer.run("renew"))
            assert f"wellkeeper: cannot use {path}: " in reported
            assert "Restore the file from a backup, or move it and its -wal and -shm away" in reported
            assert path.read_bytes() == damaged
        lose(host.issuer)
        await host.issuer.run_well("renew")
        assert asked(host.ca) == questions
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_damaged_key_is_reported_before_any_request(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions = asked(host.ca)
        (account_key,) = (host.issuer.state_dir / "accounts").glob("*.pem")
        # A damaged account key affects only its CA; without the publishing key nothing works.
        for path, exit_code in ((account_key, 1), (host.issuer.state_dir / "publishing_key.pem", 2)):
            whole = path.read_bytes()
            for damaged in (whole[:60], b""):
                path.write_bytes(damaged)
                finished = await host.issuer.run("renew", "--retry")
                reported = finished.out + finished.err
                assert finished.exit_code == exit_code, finished
                assert f"{path} is not an unencrypted PEM key" in reported
                assert "Restore the key from a backup" in reported
                assert path.read_bytes() == damaged
            path.write_bytes(whole)
        assert asked(host.ca) == questions
        await host.issuer.run_well("renew", "--retry")


async def test_damaged_account_record_is_reported_and_looked_up_again_once_removed(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        (path,) = (host.issuer.state_dir / "accounts").glob("*.json")
        for damaged in ("", '{"account_url": '):
            path.write_text(damaged)
            finished = await host.issuer.run("renew", "--force", "--json")
            (one,) = finished.json()["certificates"]
            assert (finished.exit_code, one["outcome"]) == (1, "failed")
            assert f"{path} is damaged" in str(one["error"])
            assert "the CA will return the account URL again" in str(one["error"])
        assert orders(host.ca) == 1
        path.unlink()
        await host.issuer.run_well("renew", "--force")
        assert host.ca.process.log.read_text().count("There are now 1 accounts in memory") == 1
        assert await served(host, NAME) == installed(host.issuer, "web")


async def run_as_other_user(issuer: Issuer, *arguments: str) -> Finished:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        AS_OTHER_USER,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "WELLKEEPER_CONFIG": str(issuer.config_path)},
    )
    out, err = await process.communicate()
    return Finished(await process.wait(), out.decode(), err.decode())


def change_owner(place: Path, to: int) -> None:
    """Change the owner if root; a normal user has it already."""
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            shutil.chown(path, to)


async def test_state_directory_of_another_user_is_reported_without_any_request(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions = asked(host.ca)
        if os.geteuid() != 0:
            host.issuer.state_dir.chmod(0)
        reported = one_error(await run_as_other_user(host.issuer, "renew"), exit_code=2)
        host.issuer.state_dir.chmod(0o700)
        assert f"cannot use {host.issuer.state_dir}/" in reported
        assert "Permission denied. Run the command with sudo, or as the issuer's user." in reported
        assert asked(host.ca) == questions
        await host.issuer.run_well("renew")


async def test_read_only_state_directory_is_reported_without_any_request(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        questions, place = asked(host.ca), host.issuer.state_dir
        places = (place, host.issuer.certificates_dir)
        for one in places:
            change_owner(one, pwd.getpwnam("nobody").pw_uid)
        place.chmod(0o500)
        reported = one_error(await run_as_other_user(host.issuer, "renew"))
        shown = await run_as_other_user(host.issuer, "status")
        left = sorted(path.name for path in place.glob("state.*"))
        place.chmod(0o700)
        for one in places:
            change_owner(one, os.geteuid())
        assert f"wellkeeper: cannot lock {place}/state." in reported
        assert "Permission denied. Let the issuer's user write to state_dir and its files" in reported
        assert (shown.exit_code, shown.err, left) == (0, "", []), shown
        assert asked(host.ca) == questions
        await host.issuer.run_well("renew")


async def test_read_only_archive_is_reported_before_the_ca_is_contacted(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        places = (host.issuer.state_dir, host.issuer.certificates_dir, host.responder.control_socket)
        for place in places:
            change_owner(place, pwd.getpwnam("nobody").pw_uid)
        archive, before = host.issuer.certificates_dir / "archive/web", version(host.issuer, "web")
        archive.chmod(0o500)
        finished = await run_as_other_user(host.issuer, "renew", "--json")
        archive.chmod(0o700)
        for place in places:
            change_owner(place, os.geteuid())
        (one,) = finished.json()["certificates"]
        assert one["error"]["what"] == f"cannot use {archive}"
        assert one["error"]["why"] == "Permission denied"
        assert one["error"]["remedy"].startswith("Give the issuer's user access to it")
        assert (version(host.issuer, "web"), orders(host.ca)) == (before, 0)
        await host.issuer.run_well("renew", "--retry")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert await served(host, NAME) == installed(host.issuer, "web")
