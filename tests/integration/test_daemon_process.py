"""The daemon as a process: its own work, requests, new settings, and shutdown."""

import contextlib
import os
import re
import signal
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Issuer
from tests.integration.observed import installed, issued, orders, outcomes, served, tokens
from tests.integration.under_way import Gate, renewing
from tests.json_docs import assert_documented
from tests.promtool import complaints

pytestmark = pytest.mark.integration

NAME = "www.example.org"
OTHER = "other.example.org"
GATE_ADDRESS = "127.0.0.9"


@asynccontextmanager
async def quick_host(folder: Path, certificates: Mapping[str, Sequence[str]] | None = None) -> AsyncIterator[Host]:
    """Run a host whose nginx may be reloaded without an interval."""
    async with running_host(folder, certificates or {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1))
        yield host


@asynccontextmanager
async def gated_host(folder: Path) -> AsyncIterator[tuple[Host, Gate]]:
    """Run a host whose CA cannot fetch tokens until the test opens the gate."""
    async with quick_host(folder) as host:
        await host.dns.set_default_address(GATE_ADDRESS)
        async with Gate((GATE_ADDRESS, host.http[1]), host.http) as gate:
            yield host, gate


def drop_in(issuer: Issuer, name: str, identifier: str) -> Path:
    path = issuer.config_path.with_suffix(".d") / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"[[certificates]]\nname = '{name}'\nidentifiers = ['{identifier}']\n")
    return path


async def test_daemon_obtains_missing_certificates_and_answers_requests(folder: Path) -> None:
    async with quick_host(folder, {"web": [NAME], "other": [OTHER]}) as host, IssuerDaemon(host.issuer) as daemon:
        path = host.issuer.state_dir / "daemon.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for certificate in ("web", "other"):
            await daemon.until(certificate=certificate, stage="verify", event="finished")
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert issued(host.ca) == 2
        before = installed(host.issuer, "web")

        nothing = await host.issuer.run_well("renew", "--json")
        assert outcomes(nothing) == {"web": "unchanged", "other": "unchanged"}
        forced = await host.issuer.run_well("renew", "--force", "web", "--json", "--log-format", "json")

        assert outcomes(forced) == {"web": "served"}
        (report,) = forced.json()["certificates"]
        assert report["fingerprint_sha256"] == installed(host.issuer, "web") != before
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert '"stage": "finalize", "event": "finished"' in forced.err
        assert '"certificate": "other"' not in forced.err
        await _check_metrics(host)
        ended = await daemon.end(signal.SIGTERM)
    assert (ended.exit_code, ended.out) == (0, "")
    assert "Traceback" not in ended.err
    assert not path.exists()


async def _check_metrics(host: Host) -> None:
    """Check that the metrics of a command have what the daemon counted."""
    metrics = (await host.issuer.run_well("status", "--prometheus")).out
    assert complaints(metrics) == ""
    assert 'wellkeeper_certificate_state{certificate="web",state="served"} 1.0' in metrics
    assert 'wellkeeper_stage_seconds_count{stage="finalize"} 3.0' in metrics
    assert re.search(r'^wellkeeper_ca_requests_total\{ca="[^"]+",reply="2xx"\} [1-9]', metrics, re.MULTILINE)


async def test_reload_obtains_a_new_certificate_at_once(folder: Path) -> None:
    async with quick_host(folder) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        drop_in(host.issuer, "other", OTHER)
        unknown = await host.issuer.run("renew", "other")
        assert unknown.exit_code == 2
        assert "Run 'wellkeeper reload'." in unknown.err
        assert (await host.issuer.run_well("reload")).out == (
            f"read {host.issuer.config_path}: 2 certificates; 1 new: other\n"
        )
        assert_documented("reload", (await host.issuer.run_well("reload", "--json")).json())
        await daemon.until(certificate="other", stage="verify", event="finished")
        assert issued(host.ca) == 2


async def test_certificate_is_added_and_removed_through_the_daemon(folder: Path) -> None:
    async with quick_host(folder) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        added = await host.issuer.run("certificate", "add", OTHER)
        assert added.exit_code == 0, added
        assert f"The daemon read {host.issuer.config_path}: 2 certificates; 1 new: {OTHER}\n" in added.out
        assert f"\n{OTHER}: installed, not served yet" in added.out
        assert (host.issuer.live(OTHER) / "privkey.pem").exists()
        assert issued(host.ca) == 2

        removed = await host.issuer.run_well("certificate", "remove", OTHER, "--yes", "--delete-files")
        assert removed.out.startswith("removed ")
        assert not host.issuer.live(OTHER).exists()
        assert [one["name"] for one in (await host.issuer.run_well("list", "--json")).json()["certificates"]] == ["web"]
        assert (await daemon.end(signal.SIGTERM)).exit_code == 0


async def test_sighup_applies_new_settings_and_bad_ones_change_nothing(folder: Path) -> None:
    async with quick_host(folder) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        good = host.issuer.config_path.read_text()
        host.issuer.config_path.write_text(f"bogus = 1\n{good}")
        refused = await host.issuer.run("reload")
        assert (refused.exit_code, refused.out) == (2, "")
        assert f"{host.issuer.config_path}:1: unknown key 'bogus'" in refused.err
        daemon.signal(signal.SIGHUP)
        reported = await daemon.until(level="error")
        assert reported["detail"].startswith("new settings rejected, keeping the current ones: ")
        assert ":1: unknown key 'bogus'" in reported["detail"]

        host.issuer.config_path.write_text(good.replace(str(host.issuer.state_dir), f"{folder}/elsewhere"))
        daemon.signal(signal.SIGHUP)
        assert "cannot change state_dir to" in (await daemon.until(level="error"))["detail"]

        host.issuer.config_path.write_text(f"renewals_at_once = 1\n{good}")
        drop_in(host.issuer, "other", OTHER)
        daemon.signal(signal.SIGHUP)
        await daemon.until(certificate="other", stage="verify", event="finished")
        assert (await daemon.end(signal.SIGTERM)).exit_code == 0


async def test_second_daemon_is_refused_and_commands_use_the_first(folder: Path) -> None:
    async with quick_host(folder) as host, IssuerDaemon(host.issuer) as daemon:
        second = await host.issuer.run("run")
        assert second.exit_code == 1
        assert f"A Wellkeeper daemon (pid {daemon.pid}) already manages {host.issuer.state_dir}" in second.err
        staged = await host.issuer.run("renew", "--staging")
        assert staged.exit_code == 1
        assert "cannot use --staging while the daemon runs" in staged.err
        await daemon.until(certificate="web", stage="verify", event="finished")


async def test_status_works_during_a_renewal_whose_client_may_disconnect(folder: Path) -> None:
    async with gated_host(folder) as (host, gate), IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="validate", event="started")
        await gate.knocked()
        (found,) = (await host.issuer.run_well("status", "--json")).json()["certificates"]
        assert found["is_renewal_under_way"]
        async with renewing(host.issuer, "web") as client:
            await daemon.until(detail="received a request to renew web (retry)")
            ended = await client.end(signal.SIGTERM)
        assert ended.exit_code == 143
        assert "continues in the background; 'wellkeeper status' shows the result" in ended.err
        gate.open()
        await daemon.until(certificate="web", stage="verify", event="finished")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


async def test_stopped_daemon_withdraws_its_tokens_and_the_next_one_resumes(folder: Path) -> None:
    async with gated_host(folder) as (host, gate):
        async with IssuerDaemon(host.issuer) as daemon:
            await gate.knocked()
            async with renewing(host.issuer, "web") as client:
                await daemon.until(detail="received a request to renew web (retry)")
                assert await tokens(host.responder) == 1
                assert (await daemon.end(signal.SIGTERM)).exit_code == 0
                reported = await client.finish()
            assert reported.exit_code == 1
            assert "the daemon is stopping\n  The next run resumes the work.\n" in reported.err
        assert await tokens(host.responder) == 0
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="validate", event="started")
            gate.open()
            await daemon.until(certificate="web", stage="verify", event="finished")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)


async def test_socket_of_a_killed_daemon_is_replaced(folder: Path) -> None:
    async with gated_host(folder) as (host, gate):
        async with IssuerDaemon(host.issuer) as daemon:
            await gate.knocked()
            await daemon.end(signal.SIGKILL)
        assert (host.issuer.state_dir / "daemon.sock").is_socket()
        gate.open()
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            assert outcomes(await host.issuer.run_well("renew", "--json")) == {"web": "unchanged"}
        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert outcomes(await host.issuer.run_well("renew", "--json")) == {"web": "unchanged"}


async def test_daemon_starts_without_a_ca_and_survives_failing_certificates(folder: Path) -> None:
    async with quick_host(folder) as host:
        settings = replace(host.issuer_settings, directory_url="https://127.0.0.1:1/directory", nginx_command=["false"])
        host.issuer.configure(settings)
        async with IssuerDaemon(host.issuer) as daemon:
            reported = await daemon.until(level="error", logger="daemon")
            assert reported["detail"].startswith("certificate web: failed: ")
            assert "(next try at" in reported["detail"]
            failed = await host.issuer.run("renew", "web")
            assert failed.exit_code == 1
            host.issuer.configure(host.issuer_settings)
            await host.issuer.run_well("reload")
            assert outcomes(await host.issuer.run_well("renew", "web", "--json")) == {"web": "served"}
            assert os.getpgid(daemon.pid) == daemon.pid


async def test_daemon_that_lost_its_state_ends_with_the_reason(folder: Path) -> None:
    async with quick_host(folder) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        (host.issuer.state_dir / "state.lock").unlink()
        await host.issuer.run("renew", "web")  # refused, unless the daemon has noticed by itself before
        ended = await daemon.ended()
        assert ended.exit_code == 1
        assert f"(pid {daemon.pid}) no longer owns {host.issuer.state_dir}" in ended.err
        assert "state.lock was deleted" in ended.err
        assert ended.err.count("no longer owns") == 1
        assert outcomes(await host.issuer.run_well("renew", "--json")) == {"web": "unchanged"}


@pytest.mark.parametrize(("text", "words"), [("bogus = 1\n", "unknown key 'bogus'"), (None, "does not exist")])
async def test_daemon_does_not_start_with_bad_settings(folder: Path, text: str | None, words: str) -> None:
    issuer = Issuer(folder)
    if text:
        issuer.config_path.parent.mkdir()
        issuer.config_path.write_text(text)
    finished = await issuer.run("run")
    assert (finished.exit_code, finished.out) == (2, "")
    assert words in finished.err


async def test_reload_without_a_daemon_is_reported(folder: Path) -> None:
    issuer = Issuer(folder)
    issuer.config_path.parent.mkdir()
    issuer.config_path.write_text(f"state_dir = '{folder}/issuer'\n")
    finished = await issuer.run("reload")
    assert finished.exit_code == 1
    assert (
        f"wellkeeper: the daemon is not running\n  no process answers at {folder}/issuer/daemon.sock\n" in finished.err
    )


async def test_service_manager_is_notified_of_each_state(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as reported:
        reported.bind(f"{folder}/notify")
        environment = {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "10000000"}
        async with quick_host(folder) as host, IssuerDaemon(host.issuer, environment) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            await host.issuer.run_well("reload")
            await daemon.end(signal.SIGTERM)
        words = [line.partition("=")[0] for line in received(reported)]
    assert "WATCHDOG" in words
    states = [word for word in words if word not in {"WATCHDOG", "STATUS", "MONOTONIC_USEC"}]
    assert states == ["READY", "RELOADING", "READY", "STOPPING"]


def received(listener: socket.socket) -> list[str]:
    """Return all waiting lines."""
    lines = list[str]()
    with contextlib.suppress(BlockingIOError):
        while True:
            lines += listener.recv(1000).decode().splitlines()
    return lines
