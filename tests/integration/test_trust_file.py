"""The trust file and real processes: the responder follows it, commands write it, and the daemon never does."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.host import running_host
from stand.processes import READY_SECONDS
from stand.responder import ResponderProcess
from tests.integration.observed import installed, orders, served
from tests.responder.http import Reply, ask
from tests.responder.messages import KEY, OTHER_THUMBPRINT, PUBLIC_KEY, THUMBPRINT, TOKEN, TRUST, publication
from tests.trust_files import trusting
from wellkeeper_client import services, wire
from wellkeeper_client.signing import sign_publication
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NAME = "www.example.org"
BOTH = Trust((THUMBPRINT, OTHER_THUMBPRINT), (PUBLIC_KEY,))


class Service:
    """A responder as a service manager sees it: with its notifications, whose states are `READY` and so on."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, reported: socket.socket) -> None:
        self.process = process
        self.notifications = reported
        self._public = UnixAddress(folder / "public.sock")
        self._control = UnixAddress(folder / "control.sock")

    async def reported(self) -> str:
        """Wait for the next notification and return it."""
        async with asyncio.timeout(READY_SECONDS):
            return (await asyncio.get_running_loop().sock_recv(self.notifications, 1000)).decode()

    async def until(self, words: str) -> str:
        """Return the first notification with these words."""
        while words not in (found := await self.reported()):
            continue
        return found

    async def publish(self, thumbprint: str = THUMBPRINT) -> int:
        """Publish a token, and return the status of the reply."""
        one = publication(thumbprint=thumbprint, jti=os.urandom(16).hex(), issued_at=int(time.time()))
        headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        reply = await ask(self._control, "PUT", wire.TOKENS_PREFIX + TOKEN, headers, sign_publication(one, KEY))
        return reply.status

    async def get(self) -> Reply:
        return await ask(self._public, "GET", wire.CHALLENGE_PREFIX + TOKEN)

    async def ended(self) -> str:
        """End the process, and return its log."""
        self.process.terminate()
        assert self.process.stderr is not None
        log = (await self.process.stderr.read()).decode()
        assert await self.process.wait() == 0
        return log


@asynccontextmanager
async def service(
    folder: Path, *options: str, environment: dict[str, str] | None = None, within: tuple[str, ...] = ()
) -> AsyncIterator[Service]:
    """Run a responder; the command `within`, if any, starts it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as reported:
        reported.bind(f"{folder}/notify")
        process = await asyncio.create_subprocess_exec(
            *(*within, sys.executable, "-m", "wellkeeper_responder", *options),
            *(f"--public=unix:{folder}/public.sock", f"--control=unix:{folder}/control.sock"),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notify"} | (environment or {}),
        )
        try:
            yield Service(folder, process, reported)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


def in_own_mounts(script: str) -> tuple[str, ...]:
    """Return a command that mounts and then starts another one, in their own namespace; empty if it may not mount."""
    inside = ("unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "-")
    is_possible = subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0
    return inside if is_possible else ()


async def test_responder_starts_without_the_file_and_takes_it_when_it_appears(folder: Path) -> None:
    """Let its directory appear later, too."""
    path = folder / "etc" / "trust.toml"
    async with service(folder, f"--trust={path}") as one:
        assert await one.reported() == (f"READY=1\nSTATUS=answers nothing: {path} does not exist. {services.set_up()}")
        assert (await one.publish(), (await one.get()).status) == (401, 404)
        trusting(folder / "etc")
        assert await one.reported() == "STATUS=accounts trusted: 1, publishing keys: 1"
        assert (await one.publish(), (await one.get()).body) == (201, f"{TOKEN}.{THUMBPRINT}".encode())
        log = await one.ended()
        assert await one.reported() == "STOPPING=1"
    assert log.count("does not exist") == 1
    assert f'added_account_thumbprints=["{THUMBPRINT}"] added_publishing_keys=["{PUBLIC_KEY}"]' in log


async def test_ready_means_that_both_sockets_accept_connections(folder: Path) -> None:
    async with service(folder, f"--trust={trusting(folder / 'etc')}") as one:
        assert (await one.reported()).startswith("READY=1\n")
        assert (await one.publish(), (await one.get()).status) == (201, 200)


async def test_refused_start_is_never_reported_as_ready(folder: Path) -> None:
    (folder / "control.sock").touch()
    async with service(folder, f"--trust={trusting(folder / 'etc')}") as one:
        assert await one.process.wait() == 1
        with pytest.raises(BlockingIOError):
            one.notifications.recv(1000)


async def test_account_that_is_removed_is_no_longer_answered(folder: Path) -> None:
    path = trusting(folder / "etc", BOTH)
    async with service(folder, f"--trust={path}") as one:
        await one.until("READY=1")
        assert (await one.publish(OTHER_THUMBPRINT), (await one.get()).status) == (201, 200)
        trusting(folder / "etc", TRUST)
        await one.until("accounts trusted: 1")
        assert (await one.publish(OTHER_THUMBPRINT), (await one.get()).status) == (403, 404)
        assert f'removed_account_thumbprints=["{OTHER_THUMBPRINT}"]' in await one.ended()


async def test_bad_and_vanished_file_leave_the_former_values_in_force(folder: Path) -> None:
    path = trusting(folder / "etc", TRUST)
    async with service(folder, f"--trust={path}") as one:
        await one.until("READY=1")
        path.write_text("version = 1\nnonsense\n")
        await one.until(f"the former values stay in force: {path}:2: not valid TOML")
        assert (await one.publish(), (await one.get()).status) == (201, 200)
        path.unlink()
        await one.until(f"the former values stay in force: {path} does not exist")
        assert (await one.publish(), (await one.get()).status) == (201, 200)
        trusting(folder / "etc", BOTH)
        assert await one.reported() == "STATUS=accounts trusted: 2, publishing keys: 1"
        log = await one.ended()
    errors = [line.partition(" error ")[2] for line in log.splitlines() if " error " in line]
    assert [error.partition("; ")[0].partition(": not")[0] for error in errors] == [
        f"{path}:2",
        f"{path} does not exist",
    ]


async def test_hangup_reads_the_file_at_once_and_reports_a_reload(folder: Path) -> None:
    path = trusting(folder / "etc", TRUST)
    async with service(folder, f"--trust={path}") as one:
        await one.until("READY=1")
        trusting(folder / "etc", BOTH)
        one.process.send_signal(signal.SIGHUP)
        assert (await one.until("RELOADING=1")).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert await one.reported() == "READY=1\nSTATUS=accounts trusted: 2, publishing keys: 1"
        path.write_text("")
        one.process.send_signal(signal.SIGHUP)
        await one.until("RELOADING=1")
        assert (await one.reported()).startswith("READY=1\nSTATUS=accounts trusted: 2, publishing keys: 1; the former")
        assert await one.publish(OTHER_THUMBPRINT) == 201


async def test_directory_that_is_switched_by_a_link_is_followed(folder: Path) -> None:
    """Mount the file as container engines do it: `trust.toml -> ..data/trust.toml`, with one rename of `..data`."""
    for name, trust in {"1": TRUST, "2": BOTH}.items():
        trusting(folder / "etc" / name, trust)
    (folder / "etc/..data").symlink_to("1")
    path = folder / "etc" / "trust.toml"
    path.symlink_to("..data/trust.toml")
    async with service(folder, f"--trust={path}") as one:
        await one.until("accounts trusted: 1")
        (folder / "etc/new").symlink_to("2")
        (folder / "etc/new").rename(folder / "etc/..data")
        await one.until("accounts trusted: 2")


async def test_file_that_others_may_write_is_refused_although_the_responder_sees_a_read_only_mount(
    folder: Path,
) -> None:
    """Mount as ProtectSystem=strict does, where the kernel allows it."""
    path = trusting(folder / "etc", TRUST)
    path.chmod(0o666)
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,bind,ro {path.parent}"
    async with service(folder, f"--trust={path}", within=in_own_mounts(mount)) as one:
        assert f"every user may write to {path} (mode 0666)" in await one.until("READY=1")
        path.chmod(0o644)
        await one.until("accounts trusted: 1")


async def test_options_add_values_to_the_file(folder: Path) -> None:
    path = trusting(folder / "etc", TRUST)
    async with service(folder, f"--trust={path}", f"--account-thumbprint={OTHER_THUMBPRINT}") as one:
        await one.until("READY=1")
        assert [await one.publish(), await one.publish(OTHER_THUMBPRINT)] == [201, 201]
        trusting(folder / "etc", Trust(("A" * 43,), (PUBLIC_KEY,)))
        one.process.send_signal(signal.SIGHUP)
        await one.until("RELOADING=1")
        await one.until("READY=1")
        assert [await one.publish(), await one.publish(OTHER_THUMBPRINT)] == [403, 201]


async def test_variables_of_an_earlier_version_still_work_without_a_file(folder: Path) -> None:
    environment = {
        "WELLKEEPER_RESPONDER_PUBLISHING_KEY": PUBLIC_KEY,
        "WELLKEEPER_RESPONDER_ACCOUNT_THUMBPRINT": f"{THUMBPRINT} {OTHER_THUMBPRINT}",
    }
    async with service(folder, environment=environment) as one:
        await one.until("READY=1")
        assert [await one.publish(), await one.publish(OTHER_THUMBPRINT)] == [201, 201]
        one.process.send_signal(signal.SIGHUP)
        await one.until("RELOADING=1")
        await one.until("READY=1")
        assert "this responder has no --trust file" in await one.ended()


async def test_renewal_succeeds_after_the_trust_file_was_rewritten(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        (host.issuer.state_dir / "publishing_key.pem").unlink()
        made = await host.issuer.run_well("init")
        assert f"{host.issuer.trust_path} differs: run 'wellkeeper trust --write'" in made.out
        refused = await host.issuer.run("renew")
        assert refused.exit_code == 1
        assert "add it to its trust file ('wellkeeper trust --write')" in refused.out
        assert orders(host.ca) <= 1
        written = await host.issuer.run_well("trust", "--write", "--json")
        assert written.json()["trust_file"]["is_written"]
        assert written.json()["responders"] == {"local": None}
        await host.issuer.run_well("renew", "--retry")
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_responder_with_another_file_is_noted(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.responder.process.stop()
        async with ResponderProcess(folder / "responder", trusting(folder / "other"), name="other"):
            finished = await host.issuer.run_well("trust", "--write")
    assert finished.out == (
        f"kept   {host.issuer.trust_path}, which is up to date\n"
        "note   the responder of node 'local' does not trust these values: check its log and its --trust\n"
    )


async def test_daemon_leaves_the_trust_file_alone(folder: Path) -> None:
    """Change a key while it runs: it reports the difference on each pass, and the file stays as it is."""
    async with running_host(folder, {"web": [NAME]}) as host:
        path = host.issuer.trust_path
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            (account_key,) = (host.issuer.state_dir / "accounts").glob("*.json")
            account_key.with_suffix(".pem").unlink()
            (host.issuer.state_dir / "publishing_key.pem").unlink()
            await host.issuer.run_well("init")
            before = path.stat().st_ctime_ns, path.read_bytes()
            await host.issuer.run_well("reload")
            refused = await host.issuer.run("renew", "--force", "web")
            assert refused.exit_code == 1
            assert "wellkeeper trust --write" in refused.out + daemon.log
            assert (path.stat().st_ctime_ns, path.read_bytes()) == before
            path.unlink()
            assert (await host.issuer.run("renew", "--force", "web")).exit_code == 1
            assert not path.exists()
            await daemon.end(signal.SIGTERM)
