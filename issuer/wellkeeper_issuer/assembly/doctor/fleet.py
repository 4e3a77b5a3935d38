"""The checks of the relay, of an engine beside it, and of the nodes (checks in `doctor/fleet.py`)."""

from collections.abc import Sequence
from typing import Final

from wellkeeper_client import services
from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly import engines
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.assembly.engine_checks import look_at_engine
from wellkeeper_issuer.assembly.leases import read_lease
from wellkeeper_issuer.assembly.node_statuses import read_fullness, read_node_statuses
from wellkeeper_issuer.doctor import fleet
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.unit_states import read_units
from wellkeeper_issuer.outside.state.lock import DAEMON, LOCK, find_owner
from wellkeeper_issuer.outside.state.standby import read_standby
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.relay import RelayRecords

_HEARTBEAT: Final = f"{Kind.HEARTBEAT}/issuer"


async def _relay(context: CheckContext) -> Sequence[Finding]:
    settings = _with_relay(context)
    unit = (await read_units([fleet.UNIT])).get(fleet.UNIT, {}) if services.is_booted() else {}
    owner = find_owner(settings.state_dir / LOCK)
    relay, error, is_fed = RelayRecords(settings.fleet.relay, SystemClock()), None, False
    try:
        is_fed = await relay.get(_HEARTBEAT) is not None
    except RecordsError as found:
        error = found
    finally:
        await relay.close()
    return await fleet.check_relay(error, unit, is_fed=is_fed, has_daemon=owner is not None and owner[1] == DAEMON)


async def _nodes(context: CheckContext) -> Sequence[Finding]:
    settings = _with_relay(context)
    found = await read_node_statuses(settings)
    if not found:
        raise NotCheckedError("no other node has joined")
    return await fleet.check_nodes(found, SystemClock().now(), read_fullness(settings))


async def _engine(context: CheckContext) -> Sequence[Finding]:
    settings = _with_engine(context)
    try:
        found = await look_at_engine(settings, engines.required_address(settings))
    except SettingsError as error:
        found = [Finding(fleet.ENGINE, Verdict.FAIL, "", f"{error.what}: {error.why}", error.remedy)]
    return await fleet.check_engine(found)


async def _lease(context: CheckContext) -> Sequence[Finding]:
    settings = _with_engine(context)
    found = await read_lease(settings)
    return await fleet.check_lease(
        str(found),
        has_failed=bool(found.failure),
        is_elsewhere=found.is_elsewhere,
        is_standby=read_standby(settings.state_dir) is not None,
    )


def _with_engine(context: CheckContext) -> Settings:
    if not context.settings.fleet.engine.address:
        raise NotCheckedError("there is no engine: the settings have no [fleet.engine] address")
    need_owner(context.settings.state_dir)
    return context.settings


def _with_relay(context: CheckContext) -> Settings:
    if not context.settings.fleet.listen:
        raise NotCheckedError("there is no relay: the settings have no [fleet] listen")
    need_owner(context.settings.state_dir)
    return context.settings


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((fleet.RELAY,), _relay, is_cheap=True),
    # The daemon notifies the administrator of nodes itself.
    Check((fleet.NODES,), _nodes),
    Check((fleet.ENGINE,), _engine, is_cheap=True),
    Check((fleet.LEASE,), _lease),
)
