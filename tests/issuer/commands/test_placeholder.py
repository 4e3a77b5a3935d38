"""placeholder: made only for missing certificates."""

import asyncio

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders


def test_placeholder_is_made_for_each_missing_certificate(program: Program) -> None:
    program.configure("a.example", "2001:db8::7")
    finished = program.run("placeholder")
    live = program.certificates_dir / "live"
    assert finished.exit_code == 0
    assert finished.out.splitlines() == [
        f"a.example: placeholder for 7 days in {live}/a.example",
        f"2001-db8--7: placeholder for 7 days in {live}/2001-db8--7",
    ]
    certificate = reading.read_certificate((live / "a.example/fullchain.pem").read_bytes())
    assert reading.is_placeholder(certificate)
    assert certificate.identifiers == {dns("a.example")}
    assert (live / "a.example/privkey.pem").stat().st_mode & 0o7777 == 0o600


def test_installed_certificate_is_kept(program: Program) -> None:
    program.configure("a.example")
    folders, pair = CertificateFolders(program.certificates_dir), FakeCa().pair(dns("a.example"))

    async def install() -> None:
        await folders.switch("a.example", await folders.write("a.example", pair))

    asyncio.run(install())
    finished = program.run("placeholder")
    assert (finished.exit_code, finished.out) == (0, "No placeholder is needed: every certificate is installed.\n")
    assert (program.certificates_dir / "live/a.example/fullchain.pem").read_bytes() == pair.chain_pem


def test_certificate_with_a_csr_gets_no_placeholder(program: Program) -> None:
    program.configure("a.example")
    program.config.write_text(f"{program.config.read_text()}\ncsr = '/etc/a.csr'")
    finished = program.run("placeholder")
    assert finished.exit_code == 0
    assert finished.out == (
        "a.example: no placeholder, because its key is elsewhere (csr). Leave its server block on 443 out of nginx"
        " until the first certificate is installed; port 80 is enough to obtain it.\n"
    )
    assert not (program.certificates_dir / "live").exists()


def test_only_named_certificates_get_placeholders(program: Program) -> None:
    program.configure("a.example", "b.example")
    program.run("placeholder", "b.example")
    assert [path.name for path in (program.certificates_dir / "live").iterdir()] == ["b.example"]


@pytest.mark.parametrize("name", ["MÜNCHEN.example", "xn--mnchen-3ya.example"])
def test_name_may_be_written_in_unicode(program: Program, name: str) -> None:
    program.configure("münchen.example", "b.example")
    finished = program.run("placeholder", name)
    assert [path.name for path in (program.certificates_dir / "live").iterdir()] == ["xn--mnchen-3ya.example"]
    assert finished.exit_code == 0
    assert "no certificate is named 'ü..'" in program.run("placeholder", "ü..").err


@pytest.mark.parametrize(
    ("names", "arguments", "words"),
    [
        (
            ("a.example", "b.example"),
            ("c.example",),
            "no certificate is named 'c.example'",
        ),
        ((), (), "no certificates are configured"),
    ],
)
def test_unknown_names_are_reported(
    program: Program, names: tuple[str, ...], arguments: tuple[str, ...], words: str
) -> None:
    program.configure(*names)
    finished = program.run("placeholder", *arguments)
    assert finished.exit_code == 2
    assert words in finished.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "certificates_owner = 'no-such-owner'",
            "cannot use certificates_owner = 'no-such-owner'\n  this host has no such user",
        ),
        (
            "certificates_group = 'no-such-owner'",
            "cannot use certificates_group = 'no-such-owner'\n  this host has no such group",
        ),
    ],
)
def test_unknown_owners_are_reported(program: Program, more: str, words: str) -> None:
    program.configure("a.example", more=more)
    finished = program.run("placeholder")
    assert finished.exit_code == 2
    assert words in finished.err
