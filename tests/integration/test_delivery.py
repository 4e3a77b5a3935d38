"""Delivery to an nginx that stopped, restarts or hangs, and unusual certificates."""

import asyncio
import hashlib
import json
import os
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.issuer import Finished
from tests.integration.observed import (
    assert_next_pass_only_delivers,
    error_of,
    installed,
    outcomes,
    reloads,
    served,
)

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"
ADDRESS: Final = "127.0.0.1"


def details(finished: Finished) -> dict[str, str]:
    """Return the details at the end of each stage, from `--log-format json`."""
    lines = [json.loads(line) for line in finished.err.splitlines() if line.startswith("{")]
    return {one["stage"]: one["detail"] for one in lines if one["event"] == "finished"}


async def test_empty_pid_file_of_a_stopped_nginx_is_reported_and_the_certificate_waits(folder: Path) -> None:
    """Start from the empty pid file that a user's `nginx -t` creates; ours leaves none."""
    async with running_host(folder, {"web": [NAME]}) as host:
        original = host.nginx.settings
        host.nginx.write(replace(original, in_http="oops;"))
        assert (await host.issuer.run("renew")).exit_code == 1
        host.nginx.write(original)
        await host.nginx.process.stop()
        finished = await host.issuer.run("renew", "--retry", "--json")
        assert f"{host.nginx.pid_path} does not exist" in error_of(finished, "web")
        assert not host.nginx.pid_path.exists()
        host.nginx.pid_path.touch()
        finished = await host.issuer.run("renew", "--retry", "--json")
        assert host.nginx.pid_path.read_text() == ""
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert f"nginx is not running: {host.nginx.pid_path} is empty" in error_of(finished, "web")
        await host.nginx.process.start(host.nginx.is_ready)
        await assert_next_pass_only_delivers(host, NAME)


async def test_nginx_restarted_during_the_reload_is_reported_and_the_next_pass_delivers(folder: Path) -> None:
    asked, done = folder / "asked", folder / "done"
    for pipe in (asked, done):
        os.mkfifo(pipe)
    command = ["sh", "-c", f"echo > {asked}; cat {done}"]
    async with running_host(folder, {"web": [NAME]}) as host:
        config = host.issuer.config_path
        original = config.read_text()
        config.write_text(original.replace("[nginx]\n", f"[nginx]\nreload_command = {json.dumps(command)}\n"))
        running = asyncio.create_task(host.issuer.run("renew", "--json"))
        await asyncio.to_thread(asked.read_bytes)
        await host.nginx.process.stop()
        await host.nginx.process.start(host.nginx.is_ready)
        await asyncio.to_thread(done.write_text, "")
        finished = await running
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert "ended or was replaced during the reload" in error_of(finished, "web")
        config.write_text(original)
        await assert_next_pass_only_delivers(host, NAME)


async def test_old_worker_that_still_finishes_a_request_is_only_reported(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        reader, writer = await asyncio.open_connection(*host.http)
        writer.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n".encode())
        await writer.drain()
        finished = await host.issuer.run("renew", "--json", "--log-format", "json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert details(finished)["reload"].endswith(", 1 old worker still finishes requests")
        writer.write(b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        finished = await host.issuer.run("renew", "--force", "--json", "--log-format", "json")
        assert details(finished)["reload"] == "new workers, no old ones accepting"


async def test_certificates_of_two_key_types_in_one_server_block_are_both_verified(folder: Path) -> None:
    """Verify both, although clients that accept both get the ECDSA certificate."""
    async with running_host(folder, {"ecdsa": [NAME], "rsa": [NAME]}) as host:
        rsa = host.issuer.live("rsa")
        second = f"ssl_certificate {rsa}/fullchain.pem; ssl_certificate_key {rsa}/privkey.pem;"
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[:1], in_server=second))
        config = host.issuer.config_path
        before, _, after = config.read_text().rpartition("ecdsa-p256")
        config.write_text(f"{before}rsa-2048{after}")
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"ecdsa": "served", "rsa": "served"}), finished
        assert reloads(host.nginx) == 1
        assert await served(host, NAME) == installed(host.issuer, "ecdsa")
        assert await served_to_rsa_only(host) == installed(host.issuer, "rsa")


async def served_to_rsa_only(host: Host) -> str:
    context = ssl.create_default_context(cadata=(await host.ca.issuing_root()).decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    _, writer = await asyncio.open_connection(*host.https, ssl=context, server_hostname=NAME)
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return hashlib.sha256(leaf).hexdigest()


async def test_certificate_for_an_address_must_be_served_by_the_default_server(folder: Path) -> None:
    """Connect without a server name (RFC 6066 section 3), for which nginx uses the default server's certificate."""
    async with running_host(folder, {"web": [NAME], "address": [ADDRESS]}) as host:
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "served", "address": "failed"}), finished
        reported = error_of(finished, "address")
        assert f" for {ADDRESS} (" in reported
        assert "a default_server that answers instead" in reported
        settings = host.nginx.settings
        host.nginx.write(replace(settings, sites=settings.sites[::-1]))
        host.nginx.reload()
        finished = await host.issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served", "address": "served"}), finished
        assert await served(host, ADDRESS) == installed(host.issuer, "address")
