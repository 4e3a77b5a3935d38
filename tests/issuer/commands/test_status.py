"""status: from disk and journal alone."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from issuer import pki
from issuer.model import Attempt, Flip, Pair
from issuer.outside.disk import CertificateFolders
from issuer.outside.state import open_state
from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program

NAME = "a.example"
NOW = datetime.now(UTC).replace(microsecond=0)
UNTIL = NOW - timedelta(hours=1) + timedelta(days=90)
RENEWED = NOW - timedelta(hours=1) + timedelta(days=60)
ATTEMPT = Attempt(NAME, "https://ca.example/", (dns(NAME),), b"key", b"csr")


@pytest.fixture
def ca() -> FakeCa:
    return FakeCa(NOW)


def install(program: Program, pair: Pair) -> str:
    """Returns the version."""
    folders = CertificateFolders(program.certificates_dir)

    async def work() -> str:
        version = await folders.write(NAME, pair)
        await folders.switch(NAME, version)
        return version

    return asyncio.run(work())


def record(
    program: Program,
    version: str,
    *,
    is_reloaded: bool = False,
    is_served: bool = False,
    is_under_way: bool = False,
) -> None:
    async def work() -> None:
        async with open_state(program.state_dir / "state.db", is_exclusive=True) as state:
            journal = state.journal
            await journal.record_attempt(ATTEMPT)
            await journal.record_flip(Flip(NAME, None, version))
            if is_reloaded:
                await journal.record_reloaded([NAME])
            if is_served:
                await journal.record_served(NAME)
            if is_under_way:
                await journal.record_attempt(ATTEMPT)

    program.make_keys()
    asyncio.run(work())


def line(program: Program) -> str:
    finished = program.run("status")
    assert finished.exit_code == 0
    return finished.out.strip()


def test_nothing_configured(program: Program) -> None:
    program.configure()
    assert line(program) == "the settings name no certificate; add [[certificates]]"


def test_nothing_there(program: Program) -> None:
    program.configure(NAME)
    assert line(program) == f"{NAME}: missing: run renew"
    assert program.run("status", "--json").json() == {
        "certificates": [
            {
                "name": NAME,
                "state": "missing: run renew",
                "is_renewal_under_way": False,
                "identifiers": [],
                "serial": None,
                "fingerprint_sha256": None,
                "issued_by": None,
                "not_after": None,
                "renew_at": None,
            }
        ]
    }
    assert not program.state_dir.exists()


def test_placeholder(program: Program) -> None:
    program.configure(NAME)
    install(program, pki.make_self_signed([dns(NAME)], 7, NOW))
    assert line(program).startswith(f"{NAME}: placeholder: run renew, valid until {NOW + timedelta(days=7):%Y-%m-%d}")


@pytest.mark.parametrize(
    ("is_reloaded", "is_served", "state"),
    [
        (False, False, "installed, nginx not reloaded yet: run renew"),
        (True, False, "installed, not served yet"),
        (True, True, "served"),
    ],
)
def test_states_of_a_delivery(program: Program, ca: FakeCa, is_reloaded: bool, is_served: bool, state: str) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=is_reloaded, is_served=is_served)
    assert line(program) == f"{NAME}: {state}, valid until {UNTIL:%Y-%m-%d}, renewed from {RENEWED:%Y-%m-%d}"
    assert program.run("status", "--check").exit_code == (0 if is_served else 1)


def test_what_nobody_proved_is_not_called_served(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    assert line(program).startswith(f"{NAME}: installed, never proven to be served: run renew")


def test_expired_is_said_before_all_else(program: Program) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW - timedelta(days=91)).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    assert line(program).startswith(f"{NAME}: expired: run renew, valid until ")


def test_version_that_nginx_refused_is_told(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    record(program, "20990101T000000Z-00000000")
    assert line(program).startswith(f"{NAME}: an older version, nginx refused the newer one: run renew")


def test_json(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    pair = ca.pair(dns(NAME))
    record(program, install(program, pair), is_reloaded=True, is_served=True, is_under_way=True)
    certificate = pki.read_certificate(pair.chain_pem)
    assert program.run("status", "--json").json() == {
        "certificates": [
            {
                "name": NAME,
                "state": "served",
                "is_renewal_under_way": True,
                "identifiers": [NAME],
                "serial": certificate.serial,
                "fingerprint_sha256": certificate.fingerprint_sha256,
                "issued_by": "Fake Intermediate",
                "not_after": UNTIL.isoformat(),
                "renew_at": RENEWED.isoformat(),
            }
        ]
    }


def test_damaged_journal_is_told(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()
    (program.state_dir / "state.db").write_bytes(b"nothing of ours" * 100)
    finished = program.run("status")
    assert finished.exit_code == 1
    assert finished.err.startswith(f"wellkeeper-issuer: journal: {program.state_dir}/state.db: ")
    assert "the file is damaged: restore it from a backup, or move it" in finished.err
