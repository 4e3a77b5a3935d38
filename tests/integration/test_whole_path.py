"""The complete main job: three names, a real nginx and ACME server, responder and issuer as processes."""

from pathlib import Path

import pytest

from stand.host import running_host
from tests.integration.observed import (
    asked,
    fetches,
    installed,
    journal,
    journal_bytes,
    mode,
    outcomes,
    reloads,
    served,
    served_unverified,
    tokens,
    version,
    workers,
)
from tests.responder.http import ask
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NAMES = ("www.example.org", "example.org", "shop.example.org")


async def test_three_names_are_served_with_the_certificate_that_was_installed(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES}) as host:
        placeholder = await served_unverified(host, NAMES[0])
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 0, finished
        assert outcomes(finished) == {"web": "served"}
        fingerprint = installed(host.issuer, "web")
        assert fingerprint != placeholder
        assert [await served(host, name) for name in NAMES] == [fingerprint] * 3
        (reported,) = finished.json()["certificates"]
        assert (reported["fingerprint_sha256"], reported["served_fingerprint_sha256"]) == (fingerprint, fingerprint)
        assert reported["identifiers"] == list(NAMES)
        assert list(reported["seconds"]) == ["order", "publish", "validate", "finalize", "install", "reload", "verify"]
        assert reloads(host.nginx) == 1


async def test_only_the_pair_and_its_record_are_left(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES}) as host:
        await host.issuer.run_well("renew")
        assert await tokens(host.responder) == 0
        assert {one["status"] for one in await fetches(host.responder)} == {200}
        rows = journal(host.issuer)
        assert rows["attempts"] == []
        (delivery,) = rows["deliveries"]
        assert (delivery["lineage"], delivery["directory_url"], delivery["version_after"], delivery["state"]) == (
            "web",
            host.ca.directory_url,
            version(host.issuer, "web"),
            "served",
        )
        assert b"PRIVATE KEY" not in journal_bytes(host.issuer)
        certificate_key = (host.issuer.live("web") / "privkey.pem").read_bytes()
        assert certificate_key.splitlines()[1] not in journal_bytes(host.issuer)


async def test_live_is_one_relative_link_and_keys_are_owner_only(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES}) as host:
        await host.issuer.run_well("renew")
        live, state = host.issuer.live("web"), host.issuer.state_dir
        assert live.readlink() == Path("../archive/web") / version(host.issuer, "web")
        assert not any(path.is_symlink() for path in live.iterdir())
        secrets = [live / "privkey.pem", state / "publishing_key.pem", *(state / "accounts").glob("*.pem")]
        assert [mode(path) for path in secrets] == [0o600] * 3
        assert {mode(path) for path in state.glob("state.*")} == {0o600}
        assert [mode(path) for path in (state, state / "accounts")] == [0o700] * 2
        assert mode(live / "fullchain.pem") == 0o644


async def test_token_is_not_answered_after_issuance(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES[:1]}) as host:
        await host.issuer.run_well("renew")
        token = (await fetches(host.responder))[0]["token"]
        reply = await ask(UnixAddress(host.responder.public_socket), "GET", wire.CHALLENGE_PREFIX + token)
        assert (reply.status, reply.body) == (404, wire.NO_SUCH_TOKEN.encode())


async def test_log_and_result_contain_no_key_or_request_header(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES[:1]}) as host:
        finished = await host.issuer.run_well("renew", "--json", "--log-format", "json")
        seen = finished.out + finished.err + host.responder.process.log.read_text()
        for path in (host.issuer.live("web") / "privkey.pem", host.issuer.state_dir / "publishing_key.pem"):
            assert path.read_text().splitlines()[1] not in seen
        assert "PRIVATE KEY" not in seen
        assert "Bearer" not in seen


async def test_second_pass_sends_no_requests_and_reloads_nothing(folder: Path) -> None:
    async with running_host(folder, {"web": NAMES}) as host:
        await host.issuer.run_well("renew")
        before = (asked(host.ca), reloads(host.nginx), workers(host.nginx), host.issuer.live("web").readlink())
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "unchanged"})
        after = (asked(host.ca), reloads(host.nginx), workers(host.nginx), host.issuer.live("web").readlink())
        assert after == before


async def test_ip_address_is_validated_and_served_without_a_server_name(folder: Path) -> None:
    async with running_host(folder, {"web": [NAMES[0], "127.0.0.1"]}) as host:
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert {one["host"] for one in await fetches(host.responder)} == {NAMES[0], "127.0.0.1"}
        assert await served(host, "127.0.0.1") == installed(host.issuer, "web")
