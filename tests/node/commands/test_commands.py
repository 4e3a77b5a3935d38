"""join, init and leave as a person runs them, with a real relay; the test plays the issuer."""

import asyncio
import importlib.metadata
import os
import pty
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.joins import INVITE, OTHER, PINS, answer, record_of
from tests.relay.conftest import settings as relay_settings
from tests.relay.messages import signed
from wellkeeper_client import trust_file
from wellkeeper_client.joining import Invite, parse_request
from wellkeeper_client.records import Kind
from wellkeeper_client.trust_file import Trust
from wellkeeper_node import history, settings
from wellkeeper_node.agent.join import name_of
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import RelayRecords
from wellkeeper_relay.app import Relay
from wellkeeper_responder.clock import SystemClock as RelayClock

CERTIFICATES = {"web": ("dns:www.example.org", "ip:192.0.2.7")}


@dataclass(frozen=True, slots=True)
class Finished:
    exit_code: int | None
    out: str
    err: str


class Node:
    """The program with directories of its own; `changes` are those of the played issuer's answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, self.trust = folder / "etc/node.toml", folder / "etc/trust.toml"
        self.changes: dict[str, Any] = {"certificates": CERTIFICATES}
        self.is_reusable = False

    async def run(self, *arguments: str, stdin: str = "") -> Finished:
        process = await self._start(arguments, asyncio.subprocess.PIPE)
        out, err = await process.communicate(stdin.encode())
        return Finished(process.returncode, out.decode(), err.decode())

    async def type(self, *arguments: str, prompt: bytes, line: str) -> Finished:
        """Run it with a terminal, and type the line at the prompt."""
        controller, terminal = pty.openpty()
        try:
            process = await self._start(arguments, terminal)
            assert process.stderr is not None
            asked = await process.stderr.readuntil(prompt)
            os.write(controller, f"{line}\n".encode())
            out, err = await process.communicate()
        finally:
            os.close(terminal)
            os.close(controller)
        return Finished(process.returncode, out.decode(), (asked + err).decode())

    async def join(self, *more: str, **changes: Any) -> Finished:  # noqa: ANN401 - members of all types
        async with self.issuer() as invite:
            return await self.run(*self.arguments(*more), stdin=f"{replace(invite, **changes).line}\n")

    def arguments(self, *more: str) -> tuple[str, ...]:
        places = (f"--state-dir={self.folder}/state", f"--certificates-dir={self.folder}/certificates")
        return ("join", f"--config={self.config}", *places, *more)

    @asynccontextmanager
    async def issuer(self) -> AsyncIterator[Invite]:
        """Run a relay and play the issuer; yield an invite."""
        (self.folder / "relay").mkdir(exist_ok=True)
        made, now = relay_settings(self.folder / "relay"), int(time.time())
        async with Relay(made, RelayClock()) as relay:
            records = RelayRecords(str(made.issuer), SystemClock())
            offered = signed(f"invite/{INVITE.id}", seconds=3600, issued_at=now, is_reusable=self.is_reusable)
            await records.put(f"invite/{INVITE.id}", offered)
            answering = asyncio.create_task(self._answer(records))
            try:
                yield replace(INVITE, addresses=(str(relay.node_addresses[0]),), expires_at=now + 3600)
            finally:
                answering.cancel()
                await asyncio.wait([answering])
                await records.close()

    async def _answer(self, records: RelayRecords) -> None:
        async for update in records.follow(Kind.JOIN):
            for one in update.records:
                key, found = one.key.replace("join", "answer"), answer(parse_request(one.value), **self.changes)
                await records.put(key, record_of(found, key=key, issued_at=int(time.time())))

    async def _start(self, arguments: Sequence[str], stdin: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-B", "-m", "wellkeeper_node"),
            *arguments,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )


@pytest.fixture
def node(folder: Path) -> Node:
    return Node(folder)


async def test_program_has_a_version(node: Node) -> None:
    assert importlib.metadata.version("wellkeeper") in (await node.run("--version")).out


async def test_init_prints_the_same_public_line_each_time(node: Node) -> None:
    first = await node.run("init", f"--state-dir={node.folder}/state")
    assert first.out == NodeKeys(node.folder / "state").public.line + "\n"
    assert await node.run("init", f"--state-dir={node.folder}/state") == first


async def test_join_may_be_repeated_and_leave_undoes_it(node: Node) -> None:
    first = await node.join()
    assert first.exit_code == 0, first
    live = node.folder / "certificates/live/web"
    assert f"ssl_certificate {live}/fullchain.pem" in first.out
    assert "note   wellkeeper-node.service was not started: " in first.out
    assert "note   not all certificates have arrived yet" in first.out
    wanted = Trust(PINS.account_thumbprints, PINS.publishing_keys, PINS.fleet_keys, PINS.publishers)
    assert trust_file.read(node.trust) == wanted
    again = await node.join()
    assert again.exit_code == 0, again
    refused = await node.run("leave", f"--config={node.config}")
    assert (refused.exit_code, node.config.exists()) == (2, True)
    no = await node.type("leave", f"--config={node.config}", prompt=b"[y/N]: ", line="n")
    assert (no.out, node.config.exists()) == ("Nothing was deleted.\n", True)
    left = await node.type("leave", f"--config={node.config}", prompt=b"[y/N]: ", line="y")
    assert left.exit_code == 0, left
    assert "sudo wellkeeper node remove web9" in left.out
    assert not node.config.exists()
    assert not (node.folder / "state").exists()
    assert f"kept  {live}, valid until " in left.out
    assert f"kept  {node.trust}, which the responder reads" in left.out
    assert (live / "fullchain.pem").exists()
    assert node.trust.exists()
    missing = await node.run("leave", f"--config={node.config}", "--yes")
    assert (missing.exit_code, "Run 'wellkeeper-node join' first." in missing.err) == (1, True)


async def test_invite_typed_in_a_terminal_is_not_shown(node: Node) -> None:
    node.changes = {"certificates": {}}
    async with node.issuer() as invite:
        found = await node.type(*node.arguments(), prompt=b"printed it: ", line=invite.line)
    assert found.exit_code == 0, found
    assert "no certificates yet" in found.out
    assert invite.line not in found.err


@pytest.mark.parametrize("line", ["", "wk1.x"])
async def test_other_lines_are_refused(node: Node, line: str) -> None:
    found = await node.run(*node.arguments(), stdin=line)
    assert (found.exit_code, "cannot use the invite" in found.err) == (2, True)


async def test_group_that_does_not_exist_is_refused_before_anything_is_sent(node: Node) -> None:
    found = await node.run(*node.arguments("--certificates-group=no-such-group"), stdin=INVITE.line)
    assert (found.exit_code, "this host has no such group" in found.err) == (1, True)
    assert not (node.folder / "state").exists()


async def test_relay_at_a_public_address_is_refused(node: Node) -> None:
    found = await node.join(addresses=("8.8.8.8:1",))
    assert (found.exit_code, "only to private addresses" in found.err) == (1, True)


async def test_host_is_one_node(node: Node) -> None:
    await node.join()
    found = await node.join(node="web8")
    assert (found.exit_code, "this host is node web9" in found.err) == (1, True)


async def test_node_names_itself_for_a_reusable_invite_and_keeps_its_name(node: Node) -> None:
    node.is_reusable = True
    for _ in range(2):
        found = await node.join(is_reusable=True)
        assert found.exit_code == 0, found
    name = name_of(socket.gethostname(), NodeKeys(node.folder / "state").public.signing_key)
    assert settings.read(node.config).name == name
    other = await node.join("--name=web7", is_reusable=True)
    assert (other.exit_code, f"this host is node {name}" in other.err) == (1, True)
    again = await node.join("--name=web7", "--replace", is_reusable=True)
    assert (again.exit_code, settings.read(node.config).name) == (0, "web7")


@pytest.mark.parametrize("name", ["web8", "../x"])
async def test_name_of_a_named_invite_is_fixed_and_others_must_be_names(node: Node, name: str) -> None:
    found = await node.join(f"--name={name}")
    assert (found.exit_code, "--name" in found.err) == (2, True)
    assert not (node.folder / "state").exists()


async def test_trust_file_of_others_is_replaced_only_on_request(node: Node) -> None:
    node.trust.parent.mkdir()
    for text in (trust_file.to_toml(Trust(("u" * 43,), (OTHER,))), "version = 5"):
        node.trust.write_text(text)
        found = await node.join()
        assert (found.exit_code, f"cannot replace {node.trust}" in found.err) == (1, True)
        assert node.trust.read_text() == text
        assert not node.config.exists()
    assert (await node.join("--replace")).exit_code == 0
    node.trust.write_text(trust_file.to_toml(Trust(("u" * 43,), (OTHER,))))
    assert (await node.join("--replace")).exit_code == 0
    assert list(trust_file.read(node.trust).fleet_keys) == list(PINS.fleet_keys)


async def test_trust_file_of_others_is_refused_before_anything_is_sent(node: Node) -> None:
    node.trust.parent.mkdir()
    node.trust.write_text(trust_file.to_toml(Trust(("u" * 43,), (OTHER,))))
    line = replace(INVITE, addresses=("127.0.0.1:1",), expires_at=int(time.time()) + 3600).line
    found = await node.run(*node.arguments(), stdin=line)
    assert (found.exit_code, f"cannot replace {node.trust}" in found.err) == (1, True)
    assert not (node.folder / "state").exists()


async def test_join_uses_the_directories_that_the_settings_name(node: Node) -> None:
    await node.join()
    keys, moved = NodeKeys(node.folder / "state").public, node.folder / "moved"
    for name in ("state", "certificates"):
        (node.folder / name).rename(node.folder / f"moved-{name}")
        node.config.write_text(node.config.read_text().replace(f'/{name}"', f'/moved-{name}"'))
    node.trust.rename(moved)
    node.config.write_text(node.config.read_text().replace(str(node.trust), str(moved)))
    found = await node.join()
    assert found.exit_code == 0, found
    assert f"{node.folder}/moved-certificates/live/web" in found.out
    assert NodeKeys(node.folder / "moved-state").public == keys
    assert not [path for path in (node.folder / "state", node.folder / "certificates", node.trust) if path.exists()]


async def test_settings_of_a_person_are_kept(node: Node) -> None:
    await node.join()
    node.config.write_text(node.config.read_text() + "[hooks]\ndeploy = ['x']\n")
    before = node.config.read_text()
    assert (await node.join()).exit_code == 0
    node.changes = {"answers": False, "relays": ("10.0.0.9:1",)}
    found = await node.join()
    assert (found.exit_code, "the relays are 10.0.0.9:1, and answers is false" in found.err) == (1, True)
    assert node.config.read_text() == before
    assert (await node.join("--replace")).exit_code == 0
    assert settings.read(node.config).relays == ("10.0.0.9:1",)


@pytest.mark.parametrize("certificates", [{"Web": ("dns:a.example",)}, {"web": ("uri:x",)}], ids=["name", "identifier"])
async def test_answer_with_other_certificates_is_refused(node: Node, certificates: dict[str, Any]) -> None:
    node.changes = {"certificates": certificates}
    found = await node.join()
    assert (found.exit_code, "cannot use the answer" in found.err) == (1, True)


async def test_directory_that_cannot_be_written_is_named(node: Node) -> None:
    node.config.parent.write_text("")
    found = await node.join()
    assert (found.exit_code, str(node.config.parent) in found.err) == (1, True)


async def test_rotate_makes_the_next_keys_once(folder: Path) -> None:
    node = Node(folder)
    assert (await node.join()).exit_code == 0
    before = NodeKeys(folder / "state").public
    first, second = [await node.run("rotate", f"--config={node.config}") for _ in range(2)]
    made = [f"made   {folder}/state/{name}.next.pem" for name in ("signing_key", "sealing_key")]
    assert (first.exit_code, first.out.splitlines()[:2]) == (0, made)
    assert (second.exit_code, len(second.out.splitlines())) == (0, 1)
    assert NodeKeys(folder / "state").public == before
    kinds = [one.what for one in history.read(folder / "state")[0]]
    assert kinds == ["trust-written", "node-joined", "key-made", "key-made"]
