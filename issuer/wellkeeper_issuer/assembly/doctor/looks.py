"""Facts that several checks of this host need; `CheckContext.once` reads each of them once."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from wellkeeper_client import services
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor.checks import NotCheckedError
from wellkeeper_issuer.doctor.managers import TIMERS
from wellkeeper_issuer.doctor.service import PASS_UNIT, TIMER, UNIT
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.cron import CronLine, read_cron
from wellkeeper_issuer.outside.host.unit_states import Properties, read_units
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.doctor.responder import Asked, ask
from wellkeeper_node.errors import InstallError


async def responders(context: CheckContext) -> tuple[Asked, ...]:
    """Return the status of every responder. Raises NotCheckedError without a publishing key."""
    need_owner(context.settings.state_dir)
    try:
        clients = build.responder_clients(context.settings)
    except SettingsError as error:
        raise NotCheckedError(error.what) from error
    try:
        return tuple(await asyncio.gather(*map(ask, clients)))
    finally:
        for client in clients:
            await client.close()


async def valid_from(context: CheckContext) -> Mapping[str, datetime]:
    """Return the dates of the installed certificates by name, without placeholders and what this user cannot read."""
    folder, names = context.settings.certificates_dir, [one.name for one in context.lineages]
    try:
        leaves = await read_leaves(folder, await LiveFolder(folder).versions(names))
    except InstallError:
        return {}
    return {name: leaf.not_before for name, leaf in leaves.items() if not leaf.is_self_signed}


async def unit_properties(_context: CheckContext) -> Mapping[str, Properties]:
    """Return the properties of our units and of other clients' timers; none without systemd."""
    return await read_units([UNIT, PASS_UNIT, TIMER, *TIMERS]) if services.is_booted() else {}


async def cron_lines(_context: CheckContext) -> tuple[CronLine, ...]:
    return await asyncio.to_thread(read_cron)
