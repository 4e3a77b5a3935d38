"""Hooks and the webhook around real renewals: order, environment, and failures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from stand.host import Host, running_host
from stand.issuer import Finished, IssuerSettings
from stand.ports import free_port
from tests.integration.observed import asked, error_text, installed, outcomes, served

pytestmark = pytest.mark.integration

NAME = "www.example.org"


class Notes:
    """Records written by hooks; `fail` makes the event's hook fail until `repair`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notes"
        self._folder = folder

    def read(self) -> list[str]:
        """Return the records since the last call."""
        found = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.unlink(missing_ok=True)
        return found

    def fail(self, event: str) -> None:
        (self._folder / f"{event}-fails").touch()

    def repair(self, event: str) -> None:
        (self._folder / f"{event}-fails").unlink()

    def hook(self, event: str, more: str = "true") -> str:
        """Return the hook as a line of TOML for the top of the file."""
        note = 'echo "$WELLKEEPER_EVENT:$WELLKEEPER_CERTIFICATE"'
        fails = f"{self._folder}/{event}-fails"
        script = f"{note} >> {self.path}; {more}; if [ -e {fails} ]; then echo cannot {event} >&2; exit 3; fi"
        return f"hooks.{event} = {json.dumps(['sh', '-c', script])}"

    def hooks(self) -> tuple[str, ...]:
        return tuple(self.hook(event) for event in ("pre", "deploy", "post", "failed"))


def unreachable(settings: IssuerSettings) -> IssuerSettings:
    """Make every read-back fail, so that renewals fail before the CA validates."""
    return replace(settings, nodes=(replace(settings.nodes[0], http_address=("127.0.0.1", free_port())),))


@pytest.fixture
def notes(folder: Path) -> Notes:
    return Notes(folder)


def configure(host: Host, more: Sequence[str]) -> IssuerSettings:
    settings = replace(host.issuer_settings, more=tuple(more))
    host.issuer.configure(settings)
    return settings


def error(finished: Finished) -> str:
    return error_text(finished.json()["certificates"][0]["error"])


async def test_hooks_run_in_order_and_only_when_a_certificate_is_due(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"a": ["a.example.org"], "b": ["b.example.org"]}) as host:
        configure(host, notes.hooks())
        await host.issuer.run_well("renew")
        ran = notes.read()
        assert (ran[0], sorted(ran[1:3]), ran[3:]) == ("pre:a b", ["deploy:a", "deploy:b"], ["post:a b"])
        await host.issuer.run_well("renew")
        assert notes.read() == []


async def test_certbot_deploy_hook_runs_unchanged(folder: Path, notes: Notes) -> None:
    """Check that it finds the new certificate in RENEWED_LINEAGE while nginx serves the same one."""
    copy = folder / "copy.pem"
    async with running_host(folder, {"web": [NAME, "example.org"]}) as host:
        script = f'cat "$RENEWED_LINEAGE/cert.pem" > {copy}; echo "$RENEWED_DOMAINS" >> {notes.path}'
        configure(host, [notes.hook("deploy", script)])
        await host.issuer.run_well("renew")
        assert notes.read() == ["deploy:web", f"{NAME} example.org"]
        assert copy.read_text() == (host.issuer.live("web") / "cert.pem").read_text()
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_post_hook_of_certbot_gets_the_renewed_and_the_failed_names(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"web": [NAME, "example.org"], "old": ["old.example.org"]}) as host:
        await host.dns.set_addresses("old.example.org", "127.0.0.77")
        script = f'echo "renewed $RENEWED_DOMAINS, failed $FAILED_DOMAINS" >> {notes.path}'
        configure(host, [notes.hook("post", script)])
        assert (await host.issuer.run("renew")).exit_code == 1
        assert notes.read() == ["post:web old", f"renewed {NAME} example.org, failed old.example.org"]


async def test_failing_deploy_hook_fails_the_pass_and_runs_again_until_it_succeeds(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        configure(host, notes.hooks())
        notes.fail("deploy")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert (
            "exited with status 3: cannot deploy. Fix the hook: it runs again with the next pass. The certificate is"
            in error(finished)
        )
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert notes.read() == ["pre:web", "deploy:web", "failed:web", "post:web"]
        before = asked(host.ca)
        assert (await host.issuer.run("renew", "--retry")).exit_code == 1
        notes.repair("deploy")
        await host.issuer.run_well("renew", "--retry")
        assert notes.read() == ["deploy:web", "failed:web", "deploy:web"]
        await host.issuer.run_well("renew", "--retry")
        assert (notes.read(), asked(host.ca)) == ([], before)


async def test_failing_pre_hook_stops_the_pass_before_the_ca_is_asked(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        configure(host, notes.hooks())
        notes.fail("pre")
        before = asked(host.ca)
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert "cannot pre. Fix the hook: nothing is renewed while it fails." in error(finished)
        assert asked(host.ca) == before
        notes.repair("pre")
        await host.issuer.run_well("renew", "--retry")


async def test_failing_post_hook_fails_the_pass_with_everything_installed(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        configure(host, notes.hooks())
        notes.fail("post")
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert "cannot post. Fix the hook: it runs again after the next renewal. The certificates are" in error(
            finished
        )
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_hanging_hook_is_killed(folder: Path, notes: Notes) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        configure(host, [notes.hook("deploy", "sleep 600"), "hooks.timeout_seconds = 0.5"])
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert "did not end within 0.5 s and was killed" in error(finished)


class Receiver:
    """A webhook at `url` that keeps the requests it received."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[dict[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(await request.json())
        return web.Response()


@pytest.fixture
async def receiver(aiohttp_server: AiohttpServer) -> Receiver:
    made, app = Receiver(), web.Application()
    app.router.add_post("/hook", made.take)
    made.url = str((await aiohttp_server(app)).make_url("/hook"))
    return made


async def test_failure_and_recovery_are_notified_once_each(folder: Path, receiver: Receiver) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        settings = configure(host, [f"notifications.webhook = {json.dumps(receiver.url)}"])
        host.issuer.configure(unreachable(settings))
        for _ in range(3):
            assert (await host.issuer.run("renew", "--retry")).exit_code == 1
        (reported,) = receiver.received
        assert (reported["event"], reported["certificate"]) == ("failure", "web")
        assert NAME in reported["detail"]
        host.issuer.configure(settings)
        for _ in range(2):
            await host.issuer.run_well("renew", "--retry")
        assert [one["event"] for one in receiver.received] == ["failure", "recovery"]


async def test_failed_notification_is_sent_later(folder: Path, receiver: Receiver) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        webhook = f"http://127.0.0.1:{free_port()}/secret-path"
        settings = configure(host, [f"notifications.webhook = {json.dumps(webhook)}"])
        host.issuer.configure(unreachable(settings))
        finished = await host.issuer.run("renew")
        assert "cannot notify the webhook at 127.0.0.1 of the failure of web" in finished.err
        assert "secret-path" not in f"{finished}"
        more = (f"notifications.webhook = {json.dumps(receiver.url)}",)
        host.issuer.configure(replace(unreachable(settings), more=more))
        await host.issuer.run("renew", "--retry")
        assert [one["event"] for one in receiver.received] == ["failure"]
