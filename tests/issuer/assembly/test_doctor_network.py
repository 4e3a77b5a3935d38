"""doctor's checks over the network, as they are put together from settings, state and installed certificates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.name_server import NameServer, answering
from tests.node.probes.test_probes import tls_server
from tests.unprivileged import as_unprivileged_user
from wellkeeper_issuer.assembly.doctor import examine, host, network, serving
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.internal_cas import is_internal, is_trusted_by_clients
from wellkeeper_issuer.assembly.doctor.served_looks import ServedLooks
from wellkeeper_issuer.doctor.checks import Check, Network
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.deliver.addresses import Question
from wellkeeper_node.errors import InstallError
from wellkeeper_node.findings import Finding, Verdict

A = dns("a.example")
NO_NGINX = "[nginx]\ncommand = ['false']"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as running:
        running.default = answering()
        yield running


async def find(program: Program, server: NameServer, checks: Sequence[Check[CheckContext]]) -> Mapping[str, Finding]:
    found = await examine(program.config, checks=checks, network=Network(dns_servers=(server.address,)))
    return {one.check: one for one in found}


async def install(program: Program, *names: str) -> None:
    """Install a certificate for each of these names."""
    folders, ca = CertificateFolders(program.certificates_dir), FakeCa(datetime.now(UTC))
    for name in names:
        await folders.switch(name, await folders.write(name, ca.pair(dns(name))))


def settings_of(ca: str, text: str = "") -> Settings:
    return Settings.model_validate({"ca": ca, **({"ca_bundle": text} if text else {})})


@pytest.mark.parametrize(
    ("ca", "bundle", "internal", "trusted"),
    [
        ("letsencrypt", "", False, True),
        ("letsencrypt", "/ca.pem", False, True),
        ("letsencrypt-staging", "", False, False),
        ("https://acme.ca.example/directory", "", False, True),
        ("https://acme.ca.example/directory", "/ca.pem", True, False),
        ("https://ca.corp/directory", "", True, False),
        ("https://ca/directory", "", True, False),
        ("https://10.0.0.1/directory", "", True, False),
        ("https://9.9.9.9/directory", "", False, True),
    ],
)
def test_internal_and_test_cas_are_recognized(ca: str, bundle: str, internal: bool, trusted: bool) -> None:
    url = CA_DIRECTORIES.get(ca, ca)
    found = settings_of(ca, bundle)
    assert (is_internal(found, url), is_trusted_by_clients(found, url)) == (internal, trusted)


async def test_host_before_its_first_certificate_has_nothing_to_check(program: Program, server: NameServer) -> None:
    program.configure("a.example", more=NO_NGINX)
    found = await find(program, server, (*network.CHECKS, *serving.CHECKS))
    assert found["dns-records"].cause == "the name has neither A nor AAAA records"
    assert {found[one].verdict for one in ("dns-target", "dns-ipv6", "served", "certificate")} == {Verdict.SKIPPED}
    assert (found["ca-directory"].verdict, found["caa"].verdict) == (Verdict.FAIL, Verdict.OK)
    assert (found["ca-limits"].verdict, found["ca-blocks"].verdict) == (Verdict.OK, Verdict.OK)
    assert found["reach"].verdict is Verdict.FAIL


async def test_name_of_an_installed_certificate_was_reached_before(program: Program, server: NameServer) -> None:
    program.configure("a.example", "b.example", more="")
    text = program.config.read_text().partition("\n")[2]
    program.config.write_text(f"ca = 'letsencrypt'\n{text}")
    server.default = answering("a.example. 60 IN A 10.0.0.5", "b.example. 60 IN A 10.0.0.5")
    await install(program, "a.example")
    found = await examine(program.config, checks=network.CHECKS[:1], network=Network(dns_servers=(server.address,)))
    assert [(one.subject, one.verdict) for one in found] == [("a.example", Verdict.WARN), ("b.example", Verdict.FAIL)]


async def test_certificates_that_cannot_be_listed_prove_nothing(program: Program, server: NameServer) -> None:
    program.configure("a.example")
    program.certificates_dir.mkdir()
    (program.certificates_dir / "live").write_text("not a directory")
    found = await find(program, server, network.CHECKS[:1])
    assert found["dns-records"].verdict is Verdict.FAIL


async def test_damaged_state_is_reported(program: Program, server: NameServer) -> None:
    program.configure("a.example")
    program.make_keys()
    (program.state_dir / "state.db").write_bytes(b"not a database" * 100)
    found = await find(program, server, network.CHECKS[-1:])
    assert {one: found[one].verdict for one in found} == {"ca-limits": Verdict.FAIL, "ca-blocks": Verdict.SKIPPED}
    assert (found["ca-limits"].verdict, str(program.state_dir) in found["ca-limits"].cause) == (Verdict.FAIL, True)


async def test_bundle_that_cannot_be_used_is_reported_once(program: Program, server: NameServer) -> None:
    program.configure("a.example", more="ca_bundle = '/nowhere/ca.pem'")
    program.make_keys()
    found = await find(program, server, [host.CHECKS[0], *(one for one in network.CHECKS if "caa" in one.ids)])
    assert {one for one in found if found[one].verdict is Verdict.FAIL} == {"settings-files"}
    assert found["settings-files"].cause == "ca_bundle: cannot read /nowhere/ca.pem: No such file or directory"
    assert found["ca-directory"].cause == "cannot use ca_bundle = '/nowhere/ca.pem'"


async def test_owner_of_certificates_that_does_not_exist_is_reported(program: Program, server: NameServer) -> None:
    program.configure("a.example", more="certificates_owner = 'no-such-user'")
    found = await find(program, server, [one for one in serving.CHECKS if "served" in one.ids])
    assert {one for one in found if found[one].verdict is Verdict.FAIL} == {"served"}


@pytest.mark.root
async def test_other_users_than_the_owner_get_the_advice_to_use_sudo(program: Program, server: NameServer) -> None:
    program.configure("a.example")
    program.make_keys()
    await install(program, "a.example")
    for folder in (program.folder, program.certificates_dir):
        folder.chmod(0o755)
    with as_unprivileged_user():
        found = await find(program, server, [*network.CHECKS[2:], serving.CHECKS[-1]])
    assert {one.cause for one in found.values()} == {"only root may do this; run it with sudo"}
    assert set(found) == {id_ for check in (*network.CHECKS[2:], serving.CHECKS[-1]) for id_ in check.ids}


async def test_damaged_files_are_reported_as_renewals_do(program: Program) -> None:
    program.configure("a.example")
    await install(program, "a.example")
    for chain in program.certificates_dir.rglob("fullchain.pem"):
        chain.write_bytes(b"")
    async with CheckContext.open(program.config, (), Network()) as context:
        looks = ServedLooks(context.settings)
        with pytest.raises(InstallError, match=r"Run 'wellkeeper renew a\.example' to repair it"):
            await looks.installed(context.lineages[0])


async def test_only_handshakes_that_get_the_certificate_are_judged(program: Program, tmp_path: Path) -> None:
    ca = FakeCa(datetime.now(UTC))
    pair, folders = ca.pair(A, dns("mail.example")), CertificateFolders(program.certificates_dir)
    async with tls_server(tmp_path, pair.chain_pem, pair.certificate_key_pem) as port:
        program.configure("a.example")
        addresses = f"https_addresses = ['127.0.0.1:{port}', '127.0.0.1:1']"
        program.config.write_text(f"{program.config.read_text()}\n{addresses}")
        async with CheckContext.open(program.config, (), Network()) as context:
            looks, [lineage] = ServedLooks(context.settings), context.lineages
            await folders.switch("a.example", await folders.write("a.example", pair))
            installed = await looks.installed(lineage)
            assert installed is not None
            found = await looks.questions(lineage, installed)
            assert {one.address for one in found} == {("127.0.0.1", port)}
            await install(program, "a.example")
            other = await looks.installed(lineage)
            assert other is not None
            assert await looks.questions(lineage, other) == ()


async def test_roots_that_cannot_be_read_are_reported(program: Program, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    program.configure("a.example", more=f"ca_bundle = '{bundle}'")
    async with CheckContext.open(program.config, (), Network()) as context:
        with pytest.raises(SettingsError, match=f"cannot use the CA certificates in {bundle}: "):
            await ServedLooks(context.settings).distrust(Question(("127.0.0.1", 1), A), context.lineages[0])
