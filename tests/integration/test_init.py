"""init at a real CA: its questions in a terminal, and the options that it needs without one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stand.fault_proxy import FaultProxy, Kind
from stand.faults import changed
from stand.issuer import Issuer
from stand.pebble import Pebble
from stand.processes import PROGRAMS, search_path
from tests.integration.test_terminal import type_and_watch
from wellkeeper_node.process import Finished, run

pytestmark = pytest.mark.integration

TERMS = "data:text/plain,Do%20what%20thou%20wilt"


def trusting(ca_bundle: Path) -> Mapping[str, str]:
    return {"SSL_CERT_FILE": str(ca_bundle), "REQUESTS_CA_BUNDLE": str(ca_bundle)}


def directories(issuer: Issuer) -> tuple[str, ...]:
    return "--state-dir", str(issuer.state_dir), "--certificates-dir", str(issuer.certificates_dir)


async def run_without_terminal(issuer: Issuer, ca_bundle: Path, *arguments: str) -> Finished:
    environment = {"PATH": search_path(), "WELLKEEPER_CONFIG": str(issuer.config_path), **trusting(ca_bundle)}
    command = [str(PROGRAMS / "wellkeeper"), "init", *directories(issuer), *arguments]
    return await run(command, 60, environment=environment)


async def test_invalid_answers_are_asked_again_with_the_reason(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    answers = (
        *("*.example.org", "www.example.org, example.org"),
        *("letsencrypt-prod", pebble.directory_url),
        *("nobody", "admin@example.org"),
        *("perhaps", "y"),
    )
    session = await type_and_watch(
        issuer,
        *("init", *directories(issuer)),
        typed="".join(f"{one}\n" for one in answers),
        columns=200,
        environment=trusting(pebble.ca_bundle),
    )
    assert session.exit_code == 0, session.screen
    for reason in (
        "Error: unknown CA 'letsencrypt-prod'. Did you mean 'letsencrypt'?",
        "Error: 'nobody' is not an email address",
        "Error: '*.example.org' is a wildcard",
        "Error: invalid input",
        f"The terms of service of the CA localhost are at {TERMS}.",
    ):
        assert reason in session.screen
    settings = issuer.config_path.read_text()
    for line in (
        f'ca = "{pebble.directory_url}"',
        'contact = ["admin@example.org"]',
        "terms_of_service_agreed = true",
        'identifiers = ["www.example.org", "example.org"]',
    ):
        assert line in settings


async def test_interrupted_questions_return_the_answers_as_options(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    session = await type_and_watch(
        issuer, "init", typed=f"www.example.org,example.org\n{pebble.directory_url}\n\x04", columns=200
    )
    assert session.exit_code == 130
    shown = f"  wellkeeper init --certificate www.example.org,example.org --ca {pebble.directory_url}"
    assert shown in session.screen
    assert not issuer.config_path.exists()


async def test_trust_shows_the_same_lines_and_a_second_run_keeps_everything(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    session = await type_and_watch(
        issuer,
        *("init", *directories(issuer), "--certificate", "www.example.org", "--contact", "a@example.org"),
        typed=f"{pebble.directory_url}\ny\n",
        environment=trusting(pebble.ca_bundle),
    )
    assert session.exit_code == 0, session.screen
    reported = await issuer.run_well("trust")
    values, add, lines = reported.out.partition("Add to nginx's")
    assert values.startswith(f"{issuer.trust_path} is up to date:\n")
    for line in f"{add}{lines}".splitlines():
        assert line in session.screen
    made = await issuer.run_well("placeholder")
    assert made.out.startswith("www.example.org: placeholder")
    again = await issuer.run_well("init")
    assert again.out.startswith("kept ")
    assert "made " not in again.out
    assert (await issuer.run_well("trust")).out == reported.out


async def test_missing_agreement_is_named_with_the_terms_without_a_terminal(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    refused = await run_without_terminal(issuer, pebble.ca_bundle, "--ca", pebble.directory_url)
    assert refused.exit_code == 2
    assert (
        f"Error: Missing option '--agree-to-terms-of-service'. The terms of service of the CA localhost are at {TERMS}."
        " Read them, and pass the option to agree."
    ) in refused.output
    assert not issuer.config_path.exists()
    agreed = await run_without_terminal(
        issuer, pebble.ca_bundle, "--ca", pebble.directory_url, "--agree-to-terms-of-service"
    )
    assert agreed.exit_code == 0, agreed


async def test_ca_without_terms_needs_no_agreement(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    async with FaultProxy(folder, pebble) as proxy:
        proxy.stage(Kind.DIRECTORY, changed(lambda directory: directory["meta"].pop("termsOfService")), times=2)
        finished = await run_without_terminal(issuer, proxy.ca_bundle, "--ca", proxy.directory_url)
    assert finished.exit_code == 0, finished
    assert "terms_of_service_agreed = false" in issuer.config_path.read_text()


async def test_unreadable_terms_are_asked_about_with_the_cause(folder: Path, pebble: Pebble) -> None:
    issuer = Issuer(folder)
    session = await type_and_watch(
        issuer,
        *("init", *directories(issuer), "--certificate", "www.example.org", "--contact", "a@example.org"),
        *("--ca", pebble.directory_url),
        typed="n\n",
        columns=300,
    )
    assert session.exit_code == 0, session.screen
    assert "The terms of service of the CA localhost cannot be read (the TLS certificate of the CA" in session.screen
    assert "terms_of_service_agreed = false" in issuer.config_path.read_text()
