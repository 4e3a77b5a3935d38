"""Revoke what a compromised node could read: the archive does not say which CA issued it."""

from tests.fleet import PAIR
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from wellkeeper_issuer.assembly.exposed import Exposed, revoke
from wellkeeper_issuer.settings import read_settings

OTHER_CA = f"{UNREACHABLE_CA}/other"


async def test_version_that_no_ca_revoked_has_the_reason_of_each(program: Program) -> None:
    program.configure("web.example", more=f"[[cas]]\nname = 'other'\ndirectory = '{OTHER_CA}'\n")
    settings = read_settings(program.config)
    (lineage,) = settings.lineages()
    found = await revoke(settings, [Exposed(lineage, (PAIR,), (UNREACHABLE_CA, OTHER_CA))])
    what, why, *_ = found[lineage.name].lines
    assert what == "no CA has revoked a version of it"
    assert UNREACHABLE_CA in why
    assert OTHER_CA in why
