"""wellkeeper-publish --watch: files of a webroot become publications at a real responder."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes import FakeClock, run_tasks_until
from tests.responder.conftest import Running, settings
from tests.responder.http import Reply, ask_until
from tests.responder.messages import KEY, NOW, OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN, TRUST, withdrawal
from tests.responder.test_publishers import CERTBOT, CERTBOT_KEY
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_client import wire
from wellkeeper_client.publish import ResponderControl
from wellkeeper_client.publisher import WEBROOT, Publisher
from wellkeeper_client.signing import sign_withdrawal
from wellkeeper_client.webroot_watch import LOOK_SECONDS, WebrootWatch, read_regular, stamp_of
from wellkeeper_responder.app import Responder

_AUTHORIZATION = f"{TOKEN}.{THUMBPRINT}"


class Watched:
    """A watched webroot; `now` is its clock."""

    def __init__(self, folder: Path, control: object, key: Ed25519PrivateKey = KEY, identifier: str = WEBROOT) -> None:
        self.challenges = folder / "webroot/.well-known/acme-challenge"
        self.lines: list[str] = []
        self.now = 0.0
        responder = ResponderControl(str(control), key, now=lambda: NOW)
        publisher = Publisher(responder, "127.0.0.1:1")
        self._watch = WebrootWatch(publisher, folder / "webroot", self.lines.append, lambda: self.now, identifier)

    async def look(self) -> None:
        await asyncio.to_thread(self._watch.look)

    def look_here(self) -> None:
        """Look in this thread, whose user a test may change."""
        self._watch.look()

    async def look_until_cancelled(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def write(self, token: str = TOKEN, text: str = _AUTHORIZATION) -> None:
        self.challenges.mkdir(parents=True, exist_ok=True)
        (self.challenges / token).write_text(text)


@pytest.fixture
def watched(running: Running, tmp_path: Path) -> Watched:
    return Watched(tmp_path, running.control)


async def test_file_is_published_while_it_is_there(running: Running, watched: Watched) -> None:
    await watched.look()  # there is no directory yet
    watched.write(text=f"{_AUTHORIZATION}\n")
    for _ in range(2):
        await watched.look()
        assert (await running.get(TOKEN)).body == _AUTHORIZATION.encode()
    (watched.challenges / TOKEN).unlink()
    await watched.look()
    assert (await running.get(TOKEN)).status == 404
    assert watched.lines == [f"published {TOKEN}", f"withdrew {TOKEN}"]


async def test_file_that_is_still_being_written_is_published_when_it_is_complete(
    running: Running, watched: Watched
) -> None:
    for text in ("", _AUTHORIZATION[:10], _AUTHORIZATION[:-1]):
        watched.write(text=text)
        await watched.look()
        assert (await running.get(TOKEN)).status == 404
    watched.write()
    await watched.look()
    assert (await running.get(TOKEN)).status == 200


async def test_file_that_is_written_again_with_the_same_content_stays_published(
    running: Running, watched: Watched
) -> None:
    watched.write()
    await watched.look()
    watched.write(text=f"{_AUTHORIZATION}\n")
    await watched.look()
    assert (await running.get(TOKEN)).status == 200
    assert watched.lines == [f"published {TOKEN}"]


async def test_file_whose_name_is_not_its_token_is_left_alone(running: Running, watched: Watched) -> None:
    watched.write()
    file = watched.challenges / TOKEN
    file.rename(file.with_name(OTHER_TOKEN))  # its content is for another token
    await watched.look()
    assert watched.lines == []
    assert (await running.get(OTHER_TOKEN)).status == 404


async def test_new_content_replaces_the_publication(running: Running, watched: Watched) -> None:
    watched.write()
    await watched.look()
    watched.write(text="junk")
    await watched.look()
    assert (await running.get(TOKEN)).status == 404


async def test_links_pipes_and_other_names_are_left_alone(running: Running, watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(_AUTHORIZATION)
    watched.write("index.html", "hello")
    (watched.challenges / TOKEN).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(watched.challenges / OTHER_TOKEN)
    await watched.look()
    assert watched.lines == []
    assert (await running.get(TOKEN)).status == 404


async def test_refusal_is_reported_once_and_retried_each_second(running: Running, watched: Watched) -> None:
    watched.write(text=f"{TOKEN}.{OTHER_THUMBPRINT}")
    for watched.now in (0.0, 0.5, 1.0, 2.0):
        await watched.look()
    assert len(watched.lines) == 1
    assert OTHER_THUMBPRINT in watched.lines[0]
    running.responder.replace_trust(replace(TRUST, account_thumbprints=(OTHER_THUMBPRINT,)))
    await watched.look()
    assert len(watched.lines) == 1
    watched.now = 3.0
    await watched.look()
    assert watched.lines[1:] == [f"published {TOKEN}"]


async def test_tokens_that_a_restarted_responder_lost_are_published_again(running: Running, watched: Watched) -> None:
    watched.write()
    watched.write(OTHER_TOKEN, f"{OTHER_TOKEN}.{THUMBPRINT}")
    await watched.look()
    for token in (TOKEN, OTHER_TOKEN):
        jti = (await running.read(wire.TOKENS_PREFIX + token)).json()["jti"]
        await running.put(token, sign_withdrawal(withdrawal(jti, token=token), KEY), "DELETE")
        assert (await running.get(token)).status == 404
    await watched.look()
    assert [(await running.get(token)).status for token in (TOKEN, OTHER_TOKEN)] == [200, 200]
    await running.responder.stop()
    watched.now = 2.0
    await watched.look()  # it cannot be asked
    assert len(watched.lines) == 4


@pytest.mark.root
def test_what_may_not_be_read_is_reported_once() -> None:
    with shared_folder() as folder:
        watched = Watched(folder, "127.0.0.1:1")
        watched.write()
        for path in (watched.challenges / TOKEN, watched.challenges):
            path.chmod(0)
            with as_unprivileged_user():
                watched.look_here()
                watched.look_here()
            assert (
                watched.lines.pop()
                == f"cannot read {path}: permission denied. Give the user of wellkeeper-publish read access."
            )
            assert watched.lines == []


async def test_directory_that_cannot_be_read_for_a_moment_withdraws_nothing(running: Running, watched: Watched) -> None:
    watched.write()
    await watched.look()
    aside = watched.challenges.rename(watched.challenges.with_name("aside"))
    watched.challenges.symlink_to(watched.challenges)  # ELOOP
    await watched.look()
    assert (await running.get(TOKEN)).status == 200
    watched.challenges.unlink()
    aside.rename(watched.challenges)
    await watched.look()
    assert watched.lines == [f"published {TOKEN}"]


async def test_publisher_watches_a_webroot_for_one_of_its_names(running: Running, tmp_path: Path) -> None:
    running.responder.replace_trust(replace(TRUST, publishers=(CERTBOT,)))
    authorization = f"{TOKEN}.{OTHER_THUMBPRINT}"
    nameless, named = (Watched(tmp_path, running.control, CERTBOT_KEY, one) for one in (WEBROOT, "a.example"))
    named.write(text=authorization)
    await nameless.look()
    assert "add one of the publisher's names: wellkeeper-publish --watch DIR NAME" in nameless.lines[0]
    await named.look()
    assert named.lines == [f"published {TOKEN}"]
    assert (await running.get(TOKEN, {"Host": "a.example"})).body == authorization.encode()


async def test_withdrawal_that_fails_is_reported(running: Running, watched: Watched) -> None:
    watched.write()
    await watched.look()
    (watched.challenges / TOKEN).unlink()
    await running.responder.stop()
    await watched.look()
    assert watched.lines[1].startswith(f"cannot withdraw {TOKEN}: cannot reach")


async def test_ten_of_ten_quick_clients_succeed_when_the_responder_holds_early_requests(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.step(NOW - clock.now().timestamp())
    (tmp_path / "run").mkdir()
    async with Responder(replace(settings(tmp_path / "run"), hold_unknown_seconds=60.0), clock) as responder:
        running = Running(responder, clock)
        watched = Watched(tmp_path, running.control)
        looking = asyncio.create_task(watched.look_until_cancelled())
        for number in range(10):
            token = f"{TOKEN[:-1]}{number}"
            watched.write(token, f"{token}.{THUMBPRINT}")
            assert (await running.get(token)).status == 200
            await run_tasks_until(lambda: f"published {token}" in watched.lines)  # noqa: B023 - it ends before the next
            (watched.challenges / token).unlink()
        looking.cancel()
        await asyncio.wait([looking])


async def test_sigterm_withdraws_everything(running: Running, tmp_path: Path) -> None:
    running.clock.step(time.time() - NOW)
    watched = Watched(tmp_path, running.control)
    watched.write()
    key = tmp_path / "key.pem"
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    options = (
        "--control",
        str(running.control),
        "--key",
        str(key),
        "--watch",
        str(tmp_path / "webroot"),
        "Example.com.",
    )
    command = (sys.executable, "-m", "wellkeeper_client.publish_command", *options)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    await ask_until(running.public, wire.CHALLENGE_PREFIX + TOKEN, _is_answered, seconds=60)
    shown = (await running.read(wire.TOKENS_PREFIX + TOKEN)).json()
    assert shown["identifier"] == "example.com"
    process.send_signal(signal.SIGTERM)
    _, reported = await process.communicate()
    assert (process.returncode, reported.decode().splitlines()) == (0, [f"published {TOKEN}", f"withdrew {TOKEN}"])
    assert (await running.get(TOKEN)).status == 404


def _is_answered(reply: Reply) -> bool:
    return reply.status == 200


def test_file_that_was_replaced_since_it_was_found_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(_AUTHORIZATION)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    found = {name: read_regular(tmp_path / name) for name in ("file", "link", "pipe", "gone")}
    assert found == {"file": _AUTHORIZATION, "link": "", "pipe": "", "gone": ""}


def _entries(folder: Path) -> Mapping[str, "os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return {one.name: one for one in entries}


def test_file_that_was_removed_since_it_was_found_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "gone").write_text("")
    entry = _entries(tmp_path)["gone"]
    (tmp_path / "gone").unlink()
    assert stamp_of(entry) is None


def test_file_that_becomes_readable_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(_AUTHORIZATION)
    before, limit = stamp_of(_entries(tmp_path)["file"]), time.monotonic() + 60
    while stamp_of(_entries(tmp_path)["file"]) == before and time.monotonic() < limit:
        path.chmod(0o644)  # the kernel's clock may not have advanced yet
    assert stamp_of(_entries(tmp_path)["file"]) != before
