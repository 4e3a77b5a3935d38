"""setup in a real terminal: its questions, and waiting while the user changes nginx."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from stand.issuer import Issuer
from stand.nginx import nginx_program
from stand.pebble import Pebble
from stand.processes import search_path
from tests.integration.observed import asked, installed
from tests.integration.setups import NAME, Bare, bare_host
from tests.integration.test_terminal import Session, type_and_watch
from wellkeeper_node.process import Finished

pytestmark = pytest.mark.integration

END_OF_INPUT = "\x04"
LATER = "Run 'sudo wellkeeper setup' to see them again and to continue here."
TERMS = "data:text/plain,Do%20what%20thou%20wilt"


async def apply_when_written(host: Bare) -> Finished:
    """Do what the user does: run the line that setup printed, once it is there."""
    path = host.issuer.config_path.with_name("nginx.patch")
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
    patch = f"patch -d / -p0 -i {path}"
    nginx = " ".join(host.nginx.argv())
    return await host.apply(f"{patch} && {nginx} -t && {nginx} -s reload")


async def watch(host: Bare, typed: str, *, interrupted_at: str = "") -> Session:
    return await type_and_watch(host.issuer, "setup", typed=typed, interrupted_at=interrupted_at, columns=200)


async def test_chosen_names_are_obtained_once_the_user_has_changed_nginx(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    names = (NAME, "*.example.net")
    async with bare_host(folder, pebble, http_port, *names, rehearsal_ca=pebble.directory_url) as host:
        await host.issuer.make_keys()
        async with host.responder:
            session, applied = await asyncio.gather(watch(host, "7\nno name\n1\n"), apply_when_written(host))
        assert applied.exit_code == 0, applied.output
        assert session.exit_code == 0, session.screen
        for words in (
            f" 1  {NAME}  ({host.folder}/nginx/sites-enabled/site:1)",
            "*.example.net",
            "http-01 cannot prove a wildcard",
            "Error: 7 is not in the list",
            "Error: ",
            "Waiting for nginx to load the changes.",
            "A test with the staging CA:",
            f"{NAME}: every step succeeded",
            f"{NAME}: served, valid until ",
        ):
            assert words in session.screen
        assert installed(host.issuer, NAME)


async def test_daemon_starts_although_the_test_with_the_staging_ca_failed(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    async with bare_host(folder, pebble, http_port, rehearsal_ca="https://127.0.0.1:1/directory") as host:
        await host.issuer.make_keys()
        async with host.responder:
            session, applied = await asyncio.gather(watch(host, "1\n"), apply_when_written(host))
    assert applied.exit_code == 0, applied.output
    assert session.exit_code == 1
    tested, failed, rest = session.screen.partition(
        "Fix this. The daemon retries; 'wellkeeper setup' repeats the test."
    )
    assert "A test with the staging CA:" in tested
    assert failed
    assert "wellkeeper.service was not started: systemd does not run here" in rest


async def test_user_who_leaves_finds_everything_written(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        other = f"server {{ listen {http_port}; server_name other.example; }}\n"
        host.site.write_text(f"{host.site.read_text()}\n\n\n\n{other}")
        session = await watch(host, f"1\n\n{END_OF_INPUT}")
        assert f"not yet  {NAME}: " in session.screen
        assert f"the server block at {host.folder}/nginx/sites-enabled/site:1 does not include" in session.screen
        assert LATER in session.screen
        assert session.exit_code == 0, session.screen
        assert asked(pebble, "/order-plz") == 0
        again = await watch(host, f"\n{END_OF_INPUT}")
    assert "  1  other.example  (" in again.screen
    assert "Other certificates to obtain" in again.screen
    assert "+    include snippets/wellkeeper/challenge.conf;" in again.screen.splitlines()
    assert again.screen.count("server_name") == 1


async def test_user_who_interrupts_the_wait_continues_with_another_setup(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        session = await watch(host, "1\n", interrupted_at="Waiting for nginx to load the changes.")
        assert session.exit_code == 130, session.screen
        assert LATER in session.screen
        assert "wellkeeper.service was not started: systemd does not run here" in session.screen
        async with host.responder:
            again, applied = await asyncio.gather(watch(host, ""), apply_when_written(host))
        assert (again.exit_code, applied.exit_code) == (0, 0), again.screen
        assert installed(host.issuer, NAME)


def with_nginx(host: Bare, ca_bundle: Path) -> Mapping[str, str]:
    """Return the environment of a user whose nginx is that of the host, and whose system trusts the CA."""
    program = host.folder / "bin/nginx"
    program.parent.mkdir()
    arguments = " ".join(host.nginx.argv()[1:])
    program.write_text(f'#!/bin/sh\nexec {nginx_program()} {arguments} "$@"\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{search_path()}", "SSL_CERT_FILE": str(ca_bundle)}


async def test_interrupted_questions_return_the_answers_as_options(
    folder: Path, pebble: Pebble, http_port: int
) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        host.issuer.config_path.unlink()
        session = await type_and_watch(
            host.issuer,
            "setup",
            typed=f"{NAME},example.org\nnonsense\n{pebble.directory_url}\nnobody\nadmin@example.org\n{END_OF_INPUT}",
            columns=200,
            environment=with_nginx(host, pebble.ca_bundle),
        )
    assert session.exit_code == 130
    for words in (
        "Error: unknown CA 'nonsense'",
        "Error: 'nobody' is not an email address",
        f"The terms of service of the CA localhost are at {TERMS}.",
        f"  wellkeeper setup --certificate {NAME},example.org --ca {pebble.directory_url} --contact admin@example.org",
    ):
        assert words in session.screen
    assert not host.issuer.config_path.exists()


async def test_declined_terms_end_setup_and_keep_the_answers(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        host.issuer.config_path.unlink()
        environment = with_nginx(host, pebble.ca_bundle)
        answers = f"{NAME}\n{pebble.directory_url}\n\nn\n"
        session = await type_and_watch(host.issuer, "setup", typed=answers, columns=200, environment=environment)
    assert session.exit_code == 130
    assert "Without your agreement, the CA issues no certificates." in session.screen
    assert f"  wellkeeper setup --certificate {NAME} --ca {pebble.directory_url}\r\n" in session.screen
    assert not host.issuer.config_path.exists()


async def test_internal_ca_needs_no_file_but_its_bundle(folder: Path, pebble: Pebble, http_port: int) -> None:
    async with bare_host(folder, pebble, http_port) as host:
        host.issuer.config_path.unlink()
        environment = with_nginx(host, folder / "no-such-bundle.pem")
        arguments = ("--certificate", NAME, "--ca", pebble.directory_url, "--ca-bundle", str(pebble.ca_bundle))
        missing = await host.issuer.run("setup", *arguments, *directories(host.issuer), environment=environment)
        assert missing.exit_code == 2
        assert TERMS in missing.err
        agreed = (*arguments, "--agree-to-terms-of-service", *directories(host.issuer))
        await_done = await host.issuer.run("setup", *agreed, environment=environment)
        assert await_done.exit_code == 0, await_done
        settings = host.issuer.config_path.read_text()
    assert f'ca_bundle = "{pebble.ca_bundle}"' in settings
    assert f'pid_file = "{host.nginx.pid_path}"' in settings


def directories(issuer: Issuer) -> tuple[str, ...]:
    return "--state-dir", str(issuer.state_dir), "--certificates-dir", str(issuer.certificates_dir)
