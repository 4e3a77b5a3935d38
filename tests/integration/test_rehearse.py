"""A rehearsal on a real host: it finds problems and changes nothing live."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stand.host import Host, running_host
from stand.issuer import Finished
from stand.nginx import SNIPPETS
from stand.pebble import Pebble, PebbleSettings
from stand.responder import ResponderProcess
from tests.integration.observed import asked
from tests.json_docs import assert_documented
from tests.trust_files import trusting
from wellkeeper_client import trust_file

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@asynccontextmanager
async def renewed_host(folder: Path) -> AsyncIterator[Host]:
    """Run a host that serves one certificate."""
    async with running_host(folder, {NAME: (NAME, "example.org")}) as host:
        await host.issuer.run_well("renew")
        yield host


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    async with renewed_host(folder) as running:
        yield running


def everything_in(folder: Path) -> dict[str, str]:
    """Return every file with its content and every link with its target."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


async def rehearse(host: Host) -> Finished:
    """Run a rehearsal and check that installed files stay the same, byte for byte."""
    before = everything_in(host.issuer.certificates_dir)
    finished = await host.issuer.run("rehearse")
    assert everything_in(host.issuer.certificates_dir) == before
    return finished


async def last_rehearsal(host: Host) -> dict[str, Any]:
    [shown] = (await host.issuer.run_well("status", "--json")).json()["certificates"]
    found: dict[str, Any] = shown["rehearsal"]
    return found


def failed_lines(finished: Finished) -> list[str]:
    """Return the lines of failed stages, without date and level."""
    return [line.split(" ", 2)[2] for line in finished.err.splitlines() if " s  failed: " in line]


async def test_rehearsal_succeeds_and_discards_the_certificate_of_a_test_ca(host: Host, folder: Path) -> None:
    (folder / "test-ca").mkdir()
    settings = PebbleSettings(host.dns.address, host.http[1], nonces_rejected_percent=0)
    async with Pebble(folder / "test-ca", settings) as test_ca:
        more = (
            "[rehearsal]",
            'ca = "test"',
            "[[cas]]",
            'name = "test"',
            f'directory = "{test_ca.directory_url}"',
            f'bundle = "{test_ca.ca_bundle}"',
        )
        host.issuer.configure(replace(host.issuer_settings, more=more))
        await host.issuer.make_keys()
        finished = await rehearse(host)
    assert finished.exit_code == 0, finished
    steps = [line.split()[1:3] for line in finished.err.splitlines()]
    assert steps == [
        [f"{NAME}:", step] for step in ("trust", "nginx", "directory", "nonce", "account", "publish", "order", "verify")
    ]
    assert "test issued a chain of 2 certificates, which was discarded" in finished.err
    assert finished.out.startswith(f"{NAME}: every step succeeded\n")
    assert 'is_renewal_under_way": true' not in (await host.issuer.run_well("status", "--json")).out
    assert (await last_rehearsal(host))["is_well"]


async def test_test_ca_that_reuses_authorizations_looks_at_every_rehearsal(folder: Path) -> None:
    async with running_host(folder, {NAME: [NAME]}, authorizations_reused_percent=100) as host:
        host.issuer.configure(replace(host.issuer_settings, more=("[rehearsal]", f'ca = "{host.ca.directory_url}"')))
        validated = []
        for _ in range(3):
            await host.issuer.run_well("rehearse")
            validated.append(asked(host.ca, "/chalZ/"))
        assert validated[0] < validated[1] < validated[2]


async def test_recorded_account_is_looked_up_and_none_is_registered(host: Host) -> None:
    finished = await host.issuer.run("renew", "--dry-run", "--json")
    assert finished.exit_code == 0, finished
    assert_documented("rehearse", finished.json())
    url = (await host.issuer.run_well("account", "show", "--json")).json()["cas"][0]["account_url"]
    details = {step["step"]: step["detail"] for step in finished.json()["steps"]}
    assert details["account"] == f"localhost: {url}"
    [record] = (host.issuer.state_dir / "accounts").glob("*.json")
    record.unlink()
    before = asked(host.ca, "/sign-me-up")
    without = await rehearse(host)
    assert without.exit_code == 0, without
    assert "localhost: no account yet, the first renewal registers it" in without.err
    assert asked(host.ca, "/sign-me-up") == before
    assert not record.exists()


async def test_unreachable_ca_is_reported(host: Host) -> None:
    await host.ca.process.stop()
    finished = await rehearse(host)
    assert finished.exit_code == 1
    assert [line.split()[1] for line in failed_lines(finished)] == ["directory"]


async def test_responder_that_is_down_is_reported(host: Host) -> None:
    await host.responder.process.stop()
    finished = await rehearse(host)
    assert finished.exit_code == 1
    assert [line.split()[1] for line in failed_lines(finished)] == ["trust", "publish"]
    assert all("wellkeeper-responder runs there" in line for line in failed_lines(finished))
    assert finished.out.startswith(f"{NAME}: a renewal would fail: trust: ")
    [warning] = [line for line in finished.err.splitlines() if "WARNING" in line]
    assert "cannot reach the responder of node 'local'" in warning
    assert warning.endswith("waiting 10 s for it")
    assert not (await last_rehearsal(host))["is_well"]


async def test_token_that_nginx_does_not_serve_is_reported(host: Host) -> None:
    config, snippet = host.nginx.config_path.read_text(), f"include {SNIPPETS}/challenge.conf;"
    # Only the first server block, which listens on port 80.
    host.nginx.config_path.write_text(config.replace(snippet, 'location /.well-known/ { return 404 "mine\\n"; }', 1))
    host.nginx.reload()
    finished = await rehearse(host)
    [line] = failed_lines(finished)
    assert finished.exit_code == 1
    assert line.startswith(f"{NAME}: publish ")
    assert f"node 'local' at 127.0.0.1:{host.http[1]}: http://{NAME}/.well-known/acme-challenge/" in line
    assert "gave HTTP 404" in line


async def test_configuration_that_nginx_would_refuse_is_reported(host: Host) -> None:
    host.nginx.config_path.write_text(f"{host.nginx.config_path.read_text()}\nnonsense on;\n")
    finished = await rehearse(host)
    [line] = failed_lines(finished)
    assert finished.exit_code == 1
    assert "nginx refuses its present configuration" in line
    assert 'unknown directive "nonsense"' in line


async def test_unpinned_account_key_is_reported(host: Host, folder: Path) -> None:
    await host.responder.process.stop()
    other = replace(trust_file.read(host.issuer.trust_path), account_thumbprints=("A" * 43,))
    async with ResponderProcess(folder / "responder", trusting(folder / "other", other)):
        finished = await rehearse(host)
    assert finished.exit_code == 1
    assert [line.split()[1] for line in failed_lines(finished)] == ["trust", "publish"]
    assert "does not trust our account key at the CA" in failed_lines(finished)[0]


async def test_hooks_receive_the_rehearsal_flag(host: Host, folder: Path) -> None:
    heard = folder / "heard"
    command = ["/bin/sh", "-c", f'echo "$WELLKEEPER_EVENT $WELLKEEPER_REHEARSAL" >> {heard}; exit 3']
    more = ("[hooks]", f"deploy = {command!r}")
    host.issuer.configure(replace(host.issuer_settings, more=more))
    finished = await rehearse(host)
    assert heard.read_text() == "deploy 1\n"
    [line] = failed_lines(finished)
    assert "hook deploy" in line
    assert finished.exit_code == 1
