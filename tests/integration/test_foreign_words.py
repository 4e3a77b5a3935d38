"""A CA's words that try to pass for ours: in the terminal, in logs, the state, JSON, the webhook and hooks."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stand.fault_proxy import Fault, Kind
from stand.faults import changed, problem
from stand.ports import free_port
from tests.hostile import HOSTILE, assert_harmless, assert_imitates_nothing
from tests.integration.misbehaving import misbehaving
from tests.issuer.outside.states import execute

pytestmark = pytest.mark.integration


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL, and what it received."""
    received: list[dict[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        received.append(json.loads(await request.read()))
        return web.Response()

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/", received
    finally:
        await runner.cleanup()


def invalid(members: dict[str, Any]) -> None:
    members["status"] = "invalid"
    error = {"type": HOSTILE, "detail": HOSTILE, "subproblems": [{"detail": HOSTILE + "x" * 5_000}] * 90}
    for challenge in members["challenges"]:
        challenge.update(status="invalid", error=error)


@pytest.mark.parametrize(
    ("kind", "fault", "after"),
    [
        (Kind.NEW_ORDER, problem(400, "malformed", HOSTILE), 0),
        (Kind.AUTHORIZATION, changed(invalid), 1),
    ],
    ids=["problem", "challenge"],
)
async def test_words_of_a_ca_are_harmless_in_every_channel(folder: Path, kind: Kind, fault: Fault, after: int) -> None:
    async with misbehaving(folder) as ca, webhook() as (url, received):
        error_path = folder / "error"
        hook = folder / "hook"
        hook.write_text(f'#!/bin/sh\nprintf %s "$WELLKEEPER_ERROR" > {error_path}\n')
        hook.chmod(0o755)
        more = ("[notifications]", f'webhook = "{url}"', "[hooks]", f'failed = ["{hook}"]')
        ca.host.issuer.configure(replace(ca.host.issuer_settings, more=more))
        ca.proxy.stage(kind, fault, times=9, after=after)
        finished = await ca.host.issuer.run("renew", "-v", "--log-format", "text")
        assert finished.exit_code == 1
        assert_harmless(finished.out)
        assert_imitates_nothing(finished.err)
        ((message,),) = execute(ca.host.issuer.state_dir / "state.db", "SELECT message FROM failures")
        assert_harmless(message)
        assert len(message) < 5_000
        (notice,) = received
        assert_harmless(notice["detail"])
        assert_harmless(notice["text"])
        assert_harmless(error_path.read_text())
        for command in ("status", "why", "list"):
            shown = await ca.host.issuer.run(command, *(["web"] if command == "why" else []))
            assert_imitates_nothing(shown.out + shown.err)
        (certificate,) = (await ca.host.issuer.run("status", "--json")).json()["certificates"]
        assert HOSTILE not in json.dumps(certificate)


async def test_words_of_the_account_and_the_directory_are_harmless(folder: Path) -> None:
    def spoil(members: dict[str, Any]) -> None:
        members["meta"] |= {"termsOfService": HOSTILE, "profiles": {HOSTILE: HOSTILE}, "caaIdentities": [HOSTILE]}

    async with misbehaving(folder) as ca:
        await ca.serves()
        ca.proxy.stage(Kind.DIRECTORY, changed(spoil), times=9)
        ca.proxy.stage(Kind.OUR_ACCOUNT, changed(lambda members: members.update(contact=[HOSTILE])), times=9)
        assert_harmless((await ca.host.issuer.run("account", "show")).out)
        assert_harmless((await ca.host.issuer.run("account", "update")).out)
