"""list: configured certificates and their expiry."""

from dataclasses import replace

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import LIMITED, NAME, NOW, UNTIL, install, schedule, write
from wellkeeper_issuer.known_cas import TEST_DIRECTORIES
from wellkeeper_node.certificates.placeholders import make_self_signed

MORE = """
[[certificates]]
name = "shop"
identifiers = ["xn--mnchen-3ya.example", "192.0.2.7"]
key_type = "rsa-3072"
ca = ["letsencrypt", "test"]
"""

IDENTIFIERS = "xn--mnchen-3ya.example (münchen.example), 192.0.2.7"


def test_no_configured_certificates_are_reported(program: Program) -> None:
    program.configure()
    assert program.run("list").out == ("no certificates are configured\nNext: sudo wellkeeper certificate add NAME\n")
    assert program.run("list", "--json").json() == {"schema_version": 1, "certificates": [], "is_reload_needed": False}


def test_list_shows_names_cas_key_type_and_expiry(program: Program) -> None:
    program.configure(NAME, more=LIMITED + MORE)
    install(program, FakeCa(NOW).pair(dns(NAME)))
    assert program.run("list").out.splitlines() == [
        "NAME       CA                 KEY TYPE    EXPIRES               IDENTIFIERS",
        f"shop       letsencrypt, test  rsa-3072    not issued yet        {IDENTIFIERS}",
        f"{NAME}  test               ecdsa-p256  {UNTIL:%Y-%m-%d} (89 days)  {NAME}",
    ]
    assert program.run("list", "--json").json()["certificates"] == [
        {
            "name": "shop",
            "identifiers": ["xn--mnchen-3ya.example", "192.0.2.7"],
            "cas": ["letsencrypt", "test"],
            "key_type": "rsa-3072",
            "not_after": None,
        },
        {
            "name": NAME,
            "identifiers": [NAME],
            "cas": ["test"],
            "key_type": "ecdsa-p256",
            "not_after": UNTIL.isoformat(),
        },
    ]


def test_key_type_is_not_that_of_a_certificate_that_another_client_obtains(program: Program) -> None:
    program.configure(more=f'[[certificates]]\nname = "{NAME}"\nidentifiers = ["{NAME}"]\nsource = "external"\n')
    assert program.run("list").out.splitlines()[1].split() == [NAME, "-", "-", "not", "issued", "yet", NAME]
    assert program.run("list", "--json").json()["certificates"][0]["key_type"] is None


def expiry(program: Program) -> str:
    """Return the column EXPIRES of the only certificate."""
    _, found = program.run("list").out.splitlines()
    return found.split("ecdsa-p256  ")[1].removesuffix(NAME).rstrip()


def test_placeholder_is_not_issued_yet(program: Program) -> None:
    program.configure(NAME)
    install(program, make_self_signed([dns(NAME)], 7, NOW))
    assert expiry(program) == "placeholder (not issued yet)"


@pytest.mark.parametrize("url", sorted(TEST_DIRECTORIES))
def test_certificate_of_a_staging_ca_is_a_test_certificate(program: Program, url: str) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    plan = replace(schedule(version), directory_url=url)
    write(program, lambda state: state.schedules.record_schedule(plan))
    assert expiry(program) == f"test certificate, {UNTIL:%Y-%m-%d} (89 days)"
