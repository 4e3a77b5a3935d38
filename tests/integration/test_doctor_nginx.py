"""`wellkeeper doctor` beside the real nginx and responder: each of these faults is named, with what to do."""

import grp
import os
import pwd
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from stand.host import Host, running_host
from stand.nginx import NginxServer
from stand.processes import PROJECT, Process
from tests.integration.observed import installed, reconfigure, served
from tests.unprivileged import as_unprivileged_user
from wellkeeper_client import services
from wellkeeper_issuer.assembly.doctor import examine
from wellkeeper_issuer.doctor.checks import Network
from wellkeeper_node.findings import Verdict

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"
Finding = dict[str, Any]


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    async with running_host(folder, {"web": [NAME]}) as running:
        yield running


async def found(host: Host) -> dict[str, Finding]:
    """Return the first finding of each check."""
    finished = await host.issuer.run("doctor", "--offline", "--json")
    assert finished.exit_code in {0, 1}, finished
    findings = finished.json()["findings"]
    return {one["check"]: one for one in reversed(findings)}


def verdicts(findings: dict[str, Finding], *checks: str) -> list[str]:
    return [findings[check]["verdict"] for check in checks]


async def test_all_is_ok_beside_a_healthy_nginx_and_responder(host: Host) -> None:
    findings = await found(host)
    for check in (
        *("settings", "directories", "private-keys", "clock", "hooks", "other-managers", "nginx-process"),
        *("nginx-signal", "nginx-test", "nginx-loaded", "nginx-keys", "upstream", "responder", "responder-trust"),
        "other-clients",
    ):
        assert check not in findings or findings[check]["verdict"] == "ok", findings[check]
    assert findings["service"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "does not exist"),
        ("", "is empty"),
        ("4194999", "names process 4194999"),
        (f"{os.getpid()}", "names process"),
    ],
    ids=["missing", "empty", "stale", "of another program"],
)
async def test_pid_file_that_does_not_name_the_running_nginx_is_a_failure(
    host: Host, content: str | None, cause: str
) -> None:
    pid_file, pid = host.nginx.pid_path, host.nginx.process.pid
    if content is None:
        pid_file.unlink()
    else:
        pid_file.write_text(content)
    findings = await found(host)
    assert findings["nginx-process"]["verdict"] == "fail"
    assert cause in findings["nginx-process"]["cause"]
    assert findings["nginx-process"]["cause"].endswith(f"but nginx runs as process {pid}")
    assert f"echo {pid} >{pid_file}" in findings["nginx-process"]["fix"]
    pid_file.write_text(f"{pid}\n")
    assert verdicts(await found(host), "nginx-process", "nginx-signal") == ["ok", "ok"]


async def test_renewal_names_the_nginx_that_runs_without_its_pid_file(host: Host) -> None:
    host.nginx.pid_path.write_text("")
    finished = await host.issuer.run("renew", "--json")
    (one,) = finished.json()["certificates"]
    assert one["outcome"] == "failed"
    assert f"but nginx runs as process {host.nginx.process.pid}" in str(one["error"])


async def test_configuration_that_changed_after_the_reload_is_a_warning_until_the_next_one(host: Host) -> None:
    settings = host.nginx.settings
    host.nginx.write(replace(settings, in_server="server_tokens off;"))
    later = time.time() + 60  # /proc shows hundredths of a second only
    os.utime(host.nginx.config_path, (later, later))
    findings = await found(host)
    assert findings["nginx-loaded"]["verdict"] == "warn"
    assert str(host.nginx.config_path) in findings["nginx-loaded"]["cause"]
    assert findings["nginx-loaded"]["fix"] == services.sentence("reload", "nginx")
    await reconfigure(host.nginx, host.nginx.settings)
    assert verdicts(await found(host), "nginx-loaded") == ["ok"]


async def test_words_and_line_of_nginx_are_reported(host: Host) -> None:
    host.nginx.write(replace(host.nginx.settings, in_http="oops;"))
    findings = await found(host)
    one = findings["nginx-test"]
    assert (one["verdict"], "unknown directive" in one["cause"]) == ("fail", True), one
    assert one["place"].startswith(f"{host.nginx.config_path}:")
    assert verdicts(findings, "upstream", "nginx-loaded", "nginx-process") == ["skipped", "skipped", "ok"]


def without_upstream(host: Host) -> str:
    text = host.nginx.config_path.read_text()
    start = text.index("    upstream wellkeeper_responder")
    return text[:start] + text[text.index("}\n", start) + 2 :]


async def test_missing_upstream_is_named_as_such(host: Host) -> None:
    host.nginx.config_path.write_text(without_upstream(host))
    one = (await found(host))["nginx-test"]
    assert (one["verdict"], 'host not found in upstream "wellkeeper_responder"' in one["cause"]) == ("fail", True), one
    assert re.match("Add 'include .*/upstream.conf;' to nginx's http block, then reload nginx", one["fix"]), one
    assert one["place"].startswith(f"{PROJECT}/nginx/snippets/challenge.conf:")


async def test_second_upstream_of_the_same_name_is_named_as_such(host: Host) -> None:
    twice = replace(host.nginx.settings, in_http="upstream wellkeeper_responder { server unix:/other.sock; }")
    host.nginx.write(twice)
    one = (await found(host))["nginx-test"]
    assert (one["verdict"], 'duplicate upstream "wellkeeper_responder"' in one["cause"]) == ("fail", True), one
    assert one["fix"].startswith("Remove one of the two")
    assert one["place"].startswith(f"{host.nginx.config_path}:")


async def test_upstream_that_leads_elsewhere_is_named_with_the_line_to_write(host: Host, folder: Path) -> None:
    host.nginx.write(replace(host.nginx.settings, responder_socket=folder / "other.sock"))
    findings = await found(host)
    one, wanted = findings["upstream"], f"unix:{host.responder.public_socket}"
    assert one["verdict"] == "fail"
    assert one["cause"] == f"nginx asks unix:{folder}/other.sock, but the responder of this node listens at {wanted}"
    assert f"'server {wanted} max_fails=0;'" in one["fix"]
    assert one["place"].startswith(f"{host.nginx.config_path}:")
    assert findings["responder-reach"]["cause"].endswith("No such file or directory")


async def test_upstream_that_leads_to_the_responder_of_another_node_is_a_failure(host: Host, folder: Path) -> None:
    config, own = host.issuer.config_path, f"unix:{host.responder.control_socket}"
    other = f"[[nodes]]\nname = 'far'\nresponder = '{own}'\nhttp_addresses = ['203.0.113.1:80']\n"
    config.write_text(f"{config.read_text().replace(own, f'unix:{folder}/none/control.sock')}\n{other}")
    one, asked = (await found(host))["upstream"], host.responder.public_socket
    assert one["verdict"] == "fail"
    assert one["cause"].startswith(f"nginx asks unix:{asked}, but the responder of this node listens at unix:{folder}/")
    assert str(asked) not in one["fix"]


@pytest.mark.root
async def test_socket_that_the_user_of_the_workers_cannot_reach_is_a_failure(host: Host, folder: Path) -> None:
    (folder / "responder").chmod(0o700)
    one = (await found(host))["responder-reach"]
    assert one["verdict"] == "fail"
    assert "cannot connect to the responder" in one["cause"]
    assert one["cause"].endswith("Permission denied")
    assert one["fix"].startswith(f"Run 'chmod o+x {folder}/responder'")
    (folder / "responder").chmod(0o755)
    (folder / "responder/public.sock").chmod(0o600)
    one = (await found(host))["responder-reach"]
    assert (one["verdict"], "--public-mode" in one["fix"]) == ("fail", True)


async def test_responder_that_does_not_run_is_a_failure(host: Host) -> None:
    await host.responder.process.stop()
    findings = await found(host)
    assert verdicts(findings, "responder", "responder-trust", "clock") == ["fail", "skipped", "ok"]
    assert findings["responder"]["subject"] == "local"


async def test_account_key_that_the_responder_does_not_trust_is_a_failure(host: Host) -> None:
    trust = host.issuer.trust_path
    other = trust.read_text().replace("account_thumbprints = [", 'account_thumbprints = [] # ["', 1)
    await host.responder.process.stop()
    trust.write_text(other)
    async with host.responder:
        one = (await found(host))["responder-trust"]
    assert one["verdict"] == "fail"
    assert "our account key at the CA" in one["cause"]
    assert one["fix"] == "Run 'wellkeeper trust --write', and copy the trust file to that node if it is another host."


@pytest.mark.root
async def test_other_users_get_no_failure_for_what_only_root_can_see(host: Host) -> None:
    path, offline = host.issuer.config_path, Network(is_offline=True)
    await examine(path, network=offline)  # loads all modules: other users may not read where root has its Python
    with as_unprivileged_user():
        findings = await examine(path, network=offline)
    assert [one for one in findings if one.verdict is Verdict.FAIL] == []
    skipped = {one.check for one in findings if one.verdict is Verdict.SKIPPED}
    assert {"service", "private-keys", "nginx-test", "nginx-signal", "responder", "other-managers"} <= skipped


@pytest.mark.root
async def test_master_that_is_not_root_needs_the_group_which_renew_then_applies(host: Host, folder: Path) -> None:
    """Start nginx as the user of its workers with a site on port 80, then add TLS: it cannot read the key."""
    tls, own = host.nginx.settings, nginx_of("www-data", host, folder / "own")
    await host.nginx.process.stop()
    settings = replace(host.issuer_settings, nginx_command=own.argv(), nginx_pid_file=own.pid_path)
    host.issuer.configure(settings)
    async with own:
        own.write(tls)
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 1
        assert "Permission denied" in f"{finished}"
        assert 'Set certificates_group = "www-data" in the settings' in f"{finished}"
        one = (await found(host))["nginx-keys"]
        key = host.issuer.live("web") / "privkey.pem"
        assert one["cause"] == f"nginx's master (www-data) cannot read {key}: Permission denied"
        assert one["fix"].startswith('Set certificates_group = "www-data" in the settings')
        host.issuer.configure(replace(settings, more=('certificates_group = "www-data"',)))
        assert (await found(host))["nginx-keys"]["fix"].startswith("Run 'wellkeeper renew'")
        finished = await host.issuer.run("renew", "web")
        assert finished.exit_code == 0, finished
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert verdicts(await found(host), "nginx-keys", "nginx-signal") == ["ok", "ok"]
    assert groups(host.issuer.certificates_dir / "archive/web") == {grp.getgrnam("www-data").gr_gid}


def nginx_of(name: str, host: Host, folder: Path) -> NginxServer:
    """Return an nginx that runs as this user and group only, without TLS."""
    server, user = NginxServer(folder, replace(host.nginx.settings, https=(), sites=())), pwd.getpwnam(name)
    argv = ("setpriv", "--reuid", name, "--regid", name, "--init-groups", *server.argv())
    server.process = Process("unprivileged nginx", argv, folder.with_suffix(".log"))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    return server


def groups(folder: Path) -> set[int]:
    """Return the groups of all versions of a certificate, with their directories."""
    return {path.lstat().st_gid for path in (folder, *folder.glob("*Z-*"), *folder.glob("*Z-*/*"))}
