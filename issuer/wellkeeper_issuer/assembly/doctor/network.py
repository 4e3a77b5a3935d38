"""The checks of DNS and of the CAs (checks in `doctor/dns.py`, `caa.py`, `authority.py` and `limits.py`)."""

import asyncio
from collections.abc import Sequence
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor import authority, caa, dns, limits
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.findings import Finding

# Ten thousand names take minutes.
_MANY_NAMES_SECONDS: Final = 300.0
_CA_SECONDS: Final = 120.0


async def _check_records(context: CheckContext) -> Sequence[Finding]:
    return dns.check_records(await context.resolved())


async def _check_target(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_client.own_addresses import own_addresses
    from wellkeeper_node.probes.probes import NodeProbes

    nodes = build.nodes(context.settings)
    here = own_addresses() | {host for node in nodes for host, _ in node.http_addresses}
    return await dns.check_target(await context.resolved(), here, NodeProbes())


async def _check_cas(context: CheckContext) -> Sequence[Finding]:
    """Check all CAs at once, then the CAA records, which name a CA and our account there."""
    from wellkeeper_issuer.assembly.authorities import open_authorities
    from wellkeeper_issuer.outside.ca.inspection import CaInspector

    settings, clock = context.settings, SystemClock()
    need_owner(settings.state_dir)
    try:
        opened = open_authorities(settings)
    except SettingsError as error:  # `settings-files` has why
        raise NotCheckedError(error.what) from error
    async with opened as authorities:

        async def look(ca: CaSettings) -> authority.Seen:
            used = authority.UsedCa(ca.name, ca.directory, ca.profile)
            inspector = CaInspector(authorities.connect(ca.directory))
            return await authority.check_authority(used, context.ordered, inspector, clock)

        cas = settings.all_cas()
        seen = await asyncio.gather(*map(look, cas))
    issuers = {ca.directory: one.issuer for ca, one in zip(cas, seen, strict=True) if one.issuer is not None}
    found = [finding for one in seen for finding in one.findings]
    return [*found, *await caa.check_caa(context.ordered, issuers, await context.dns())]


async def _check_limits(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_issuer.outside.state.state import has_state
    from wellkeeper_issuer.status.overview import read_budgets

    settings = context.settings
    need_owner(settings.state_dir)
    names = {ca.directory: ca.name for ca in settings.all_cas()}
    now = SystemClock().now()
    if not has_state(settings.state_dir):
        return [*limits.check_limits(list(names.values()), []), *limits.check_blocks(names, [], {}, now)]
    async with build.state_to_read(settings) as state:
        budgets, blocks = await read_budgets(settings, state), await state.ledger.read_blocks()
        failures = await state.schedules.read_failures()
    chosen = {one.name for one in context.lineages}
    of_chosen = {name: failure for name, failure in failures.items() if name in chosen}
    return [*limits.check_limits(list(names.values()), budgets), *limits.check_blocks(names, blocks, of_chosen, now)]


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((dns.RECORDS,), _check_records, needs_network=True, seconds=_MANY_NAMES_SECONDS),
    Check((dns.TARGET,), _check_target, needs_network=True, seconds=_MANY_NAMES_SECONDS),
    Check(
        (authority.DIRECTORY, authority.CLOCK, authority.ACCOUNT, authority.TERMS, authority.PROFILE, caa.CAA),
        _check_cas,
        needs_network=True,
        seconds=_CA_SECONDS,
    ),
    Check((limits.LIMITS, limits.BLOCKS), _check_limits, is_cheap=True),
)
