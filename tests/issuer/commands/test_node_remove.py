"""node remove --compromised where the CA revokes nothing: certificates are replaced, and the error is shown."""

from datetime import UTC, datetime

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from wellkeeper_issuer.assembly.exposed import Exposed, revoke
from wellkeeper_issuer.commands.node_remove import Removed, outcome_lines
from wellkeeper_issuer.settings import read_settings


async def test_certificate_that_the_ca_did_not_revoke_is_named(program: Program) -> None:
    program.configure("a.example")
    program.make_keys()
    settings = read_settings(program.config)
    pair = FakeCa(datetime.now(UTC)).pair(dns("a.example"))
    errors = await revoke(settings, [Exposed(settings.lineages()[0], (pair,), (UNREACHABLE_CA,))])
    removed = Removed((), ("b.example",), errors)
    assert removed.has_failed
    first, second = outcome_lines(removed)
    assert first == "revoked the previous versions of b.example"
    assert second.startswith("a.example: the previous versions are not revoked: ")
