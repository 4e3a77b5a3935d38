"""The command line with missing or wrong parts: one clear message and the right exit status."""

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.host import running_host
from stand.issuer import Finished, Issuer, IssuerSettings, NodeUnderTest
from stand.ports import free_port
from stand.processes import PROGRAMS
from tests.integration.observed import asked, error_of, orders, tokens
from tests.issuer.settings_texts import schema_mistakes
from wellkeeper_node.process import run

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@pytest.fixture
def alone(folder: Path) -> tuple[Issuer, IssuerSettings]:
    """Yield an issuer with valid settings, without any other process."""
    http, https = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    node = NodeUnderTest("local", f"unix:{folder}/control.sock", http, https)
    ca_bundle = make_server_certificate(folder / "ca", ("localhost",)).ca_bundle
    url = f"https://localhost:{free_port()}/dir"
    settings = IssuerSettings(url, ca_bundle, {"web": [NAME]}, (node,), ["nginx"], folder / "nginx.pid")
    issuer = Issuer(folder)
    issuer.configure(settings)
    return issuer, settings


async def refused(issuer: Issuer, *arguments: str) -> str:
    """Return standard error: at most three lines, the later ones indented; the exit code is 2."""
    finished = await issuer.run(*arguments)
    assert (finished.exit_code, finished.out) == (2, ""), finished
    first, *others = finished.err.splitlines()
    assert first.startswith("wellkeeper: ")
    assert len(others) <= 2
    assert all(line.startswith("  ") for line in others)
    return finished.err


def failed(finished: Finished) -> str:
    assert finished.exit_code == 1, finished
    assert "Traceback" not in finished.err
    return error_of(finished, "web")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["renew", "--forse"], "No such option '--forse'"),
        (["renew", "--log-format", "xml"], "'xml' is not one of 'auto', 'text', 'json'"),
        (["renwe"], "No such command 'renwe'"),
        (["status", "surplus"], "unexpected extra argument (surplus)"),
    ],
)
async def test_wrong_usage_is_reported_with_the_correct_one(
    alone: tuple[Issuer, IssuerSettings], arguments: list[str], words: str
) -> None:
    finished = await alone[0].run(*arguments)
    assert (finished.exit_code, finished.out) == (2, "")
    assert words in finished.err
    assert "--help" in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("command", ["renew", "status", "trust", "placeholder"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before the command", "after it"])
async def test_missing_settings_file_is_named_with_the_remedy(folder: Path, command: str, is_before: bool) -> None:
    missing = str(folder / "none.toml")
    option = ("--config", missing)
    reported = await refused(Issuer(folder), *((*option, command) if is_before else (command, *option)))
    assert f"{missing} does not exist\n  Run 'wellkeeper init'" in reported


async def test_effective_settings_and_their_schema_are_printed(alone: tuple[Issuer, IssuerSettings]) -> None:
    issuer, settings = alone
    issuer.configure(settings)
    shown = tomllib.loads((await issuer.run_well("config", "show")).out)
    schema = json.loads((await issuer.run_well("config", "schema")).out)
    assert schema_mistakes(shown, schema) == []
    assert (shown["ca"], shown["certificates"][0]["name"]) == ([settings.directory_url], "web")


async def test_unknown_certificate_is_reported_with_the_closest_name(alone: tuple[Issuer, IssuerSettings]) -> None:
    issuer, settings = alone
    issuer.configure(replace(settings, certificates={"web": [NAME], "mail": ["mail.example.org"]}))
    for command in ("renew", "placeholder"):
        reported = await refused(issuer, command, "wbe")
        assert "'wbe'" in reported
        assert "Did you mean web?" in reported


@pytest.mark.parametrize("command", ["renew", "trust"])
async def test_missing_keys_are_named_with_the_remedy(alone: tuple[Issuer, IssuerSettings], command: str) -> None:
    reported = await refused(alone[0], command)
    assert f"{alone[0].state_dir}/" in reported
    assert "the file does not exist\n  Run 'wellkeeper init' to create it.\n" in reported


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("read_backs = true", "unknown key 'read_backs'"),
        ('read_back = "maybe"', "read_back = 'maybe'"),
        ('contact = ["nobody"]', "'nobody' is not an email address"),
        ('certificates_group = "no-such-group"', "certificates_group = 'no-such-group'"),
    ],
)
async def test_bad_settings_are_reported_with_file_key_and_value(
    alone: tuple[Issuer, IssuerSettings], line: str, words: str
) -> None:
    issuer, settings = alone
    await issuer.make_keys()
    issuer.configure(replace(settings, more=(line,)))
    reported = await refused(issuer, "renew")
    assert words in reported


async def test_status_shows_missing_certificates_before_the_first_pass(alone: tuple[Issuer, IssuerSettings]) -> None:
    finished = await alone[0].run("status")
    assert (finished.exit_code, finished.err) == (0, "")
    assert finished.out.splitlines()[::5] == ["1 certificate: 1 missing", "Next: sudo wellkeeper renew"]


async def test_unreachable_ca_is_named_with_reason_and_remedy(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.ca.process.stop()
        reported = failed(await host.issuer.run("renew", "--json"))
        assert f"to the request for its directory {host.issuer_settings.directory_url}" in reported
        assert "Connection refused" in reported
        assert "Check network, proxy and DNS of this host" in reported


async def test_untrusted_certificate_of_the_ca_is_reported_with_the_remedy(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        config = host.issuer.config_path
        lines = config.read_text().splitlines(keepends=True)
        config.write_text("".join(line for line in lines if not line.startswith("ca_bundle")))
        reported = failed(await host.issuer.run("renew", "--json"))
        assert "the TLS certificate of the CA localhost is not trusted" in reported
        assert "For a test CA, set ca_bundle" in reported


async def test_responder_that_does_not_run_is_named_with_the_remedy(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.responder.process.stop()
        reported = failed(await host.issuer.run("renew", "--json"))
        assert f"cannot reach the responder of node 'local' (unix:{host.responder.control_socket})" in reported
        assert "Check that wellkeeper-responder runs there with this --control address." in reported
        assert asked(host.ca, "/chalZ") == 0


async def test_nginx_that_does_not_run_is_reported_before_the_ca_is_asked(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.nginx.process.stop()
        reported = failed(await host.issuer.run("renew", "--json"))
        assert f"cannot find the nginx master: {host.nginx.pid_path} does not exist. Start nginx" in reported
        assert orders(host.ca) == 0
        assert await tokens(host.responder) == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["status", "list", "config check", "renew nope"])
async def test_closed_standard_stream_is_not_an_error(
    alone: tuple[Issuer, IssuerSettings], closed: str, command: str
) -> None:
    issuer, settings = alone
    issuer.configure(replace(settings, certificates={"web": [NAME]}))
    script = f"{sys.executable} -m wellkeeper_issuer {command} --config {issuer.config_path} {closed}"
    finished = await run(["sh", "-c", script], 120)
    assert finished.exit_code == (2 if "nope" in command else 0), finished
    assert "Traceback" not in finished.output


@pytest.mark.root
@pytest.mark.parametrize(("program", "remedy"), [("wellkeeper", "with sudo"), ("wellkeeper-node", "as root")])
async def test_settings_that_another_user_may_not_read_are_named_with_the_remedy(
    folder: Path, program: str, remedy: str
) -> None:
    config = folder / "settings.toml"
    config.touch(0o600)
    other = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(PROGRAMS / program))
    option = ["--config", str(config)]
    finished = await run([*other, *(["status", *option] if program == "wellkeeper-node" else [*option, "status"])], 120)
    assert finished.exit_code == 2 - (program == "wellkeeper-node"), finished
    lines = finished.output.splitlines()
    assert lines[:2] == [f"{program}: cannot read {config}", "  Permission denied"]
    assert remedy in lines[2]


async def test_relative_path_in_a_deleted_directory_is_an_error_with_a_remedy(folder: Path) -> None:
    deleting = ("sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', str(folder / "deleted"))
    finished = await run([*deleting, str(PROGRAMS / "wellkeeper"), "--config", "issuer.toml", "list"], 120)
    assert finished.exit_code == 1, finished
    assert finished.output.splitlines() == [
        "wellkeeper: cannot use a relative path",
        "  the working directory was deleted",
        "  Change to another directory, then run the command again.",
    ]
