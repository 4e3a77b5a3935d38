"""The checks of what nginx answers to challenges (checks in `wellkeeper_node.nginx.route`)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.nginx_plan import ports_of
from wellkeeper_issuer.doctor.checks import Check
from wellkeeper_node.findings import Finding
from wellkeeper_node.nginx.route import findings

# 10 000 names take some ten seconds, and more on a busy machine.
_MANY_NAMES_SECONDS: Final = 120.0


async def _routes(context: CheckContext) -> Sequence[Finding]:
    node, configuration = context.local_node, await context.configuration()
    identifiers = dict.fromkeys(one for lineage in context.ordered for one in lineage.identifiers)
    return await findings.check_routes(
        configuration,
        identifiers,
        ports_of(context.settings),
        await _addresses(context),
        speaks_proxy_protocol=node.proxy_protocol,
    )


async def _addresses(context: CheckContext) -> Mapping[str, Collection[str]] | None:
    """Return the addresses in DNS of each name that has some; None offline."""
    if context.network.is_offline:
        return None
    resolved = await context.resolved()
    return {identifier.value: one.addresses for identifier, one in resolved.items() if one.addresses}


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check(tuple(findings.CHECKS.values()), _routes, is_cheap=True, seconds=_MANY_NAMES_SECONDS),
)
