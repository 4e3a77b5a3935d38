"""The checks of what clients and CAs get from nginx (checks in `doctor/ipv6.py`, `reachability.py`, `served.py`)."""

from collections.abc import Sequence
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor import ipv6, reachability, served
from wellkeeper_issuer.doctor.checks import Check
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.findings import Finding

_MANY_NAMES_SECONDS: Final = 300.0


async def _check_ipv6(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_client.own_addresses import own_addresses
    from wellkeeper_issuer.assembly.nginx_plan import ports_of

    configuration, ports = await context.configuration(), ports_of(context.settings)
    return ipv6.check_ipv6(await context.resolved(), own_addresses(), configuration, ports)


async def _check_reach(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_node.probes.probes import NodeProbes

    settings, resolved = context.settings, await context.resolved()
    is_required = settings.read_back == "required"
    return await reachability.check_reach(resolved, build.nodes(settings), NodeProbes(), is_required=is_required)


async def _check_served(context: CheckContext) -> Sequence[Finding]:
    from wellkeeper_issuer.assembly.doctor.served_looks import ServedLooks

    need_owner(context.settings.certificates_dir)
    return await served.check_served(context.lineages, ServedLooks(context.settings), SystemClock().now())


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((ipv6.IPV6,), _check_ipv6, needs_network=True, seconds=_MANY_NAMES_SECONDS),
    Check((reachability.REACH,), _check_reach, needs_network=True, seconds=_MANY_NAMES_SECONDS),
    Check((served.SERVED, served.CERTIFICATE, served.CHAIN), _check_served, seconds=_MANY_NAMES_SECONDS),
)
