"""The checks of this host: settings, directories, the service (checks in `doctor/host.py` and `service.py`)."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from wellkeeper_client import services
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.doctor import looks
from wellkeeper_issuer.assembly.doctor.asking import ask_daemon
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.assembly.doctor.rights import need_owner
from wellkeeper_issuer.doctor import hooks, host, managers, notifications, service
from wellkeeper_issuer.doctor import settings as settings_checks
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.messages import Backlog
from wellkeeper_issuer.outside.host import installed
from wellkeeper_issuer.outside.host.other_clients import read_other_lineages
from wellkeeper_issuer.outside.state.lock import LOCK, find_owner
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding


async def _settings(context: CheckContext) -> Sequence[Finding]:
    found = context.found
    return await settings_checks.check_settings(found.path, found.sources, found.settings, found.error)


async def _directories(context: CheckContext) -> Sequence[Finding]:
    settings = context.settings
    try:
        owner = build.file_ids(settings)[0]
    except SettingsError as error:
        raise NotCheckedError(f"{error.what}: {error.why}") from error
    return await host.check_directories(settings.state_dir, settings.certificates_dir, owner)


async def _private_keys(context: CheckContext) -> Sequence[Finding]:
    need_owner(context.settings.state_dir)
    live = context.settings.certificates_dir / "live"
    return await host.check_private_keys(
        context.settings.state_dir, {one.name: live / one.name for one in context.lineages}
    )


async def _clock(context: CheckContext) -> Sequence[Finding]:
    try:
        asked = await context.once(looks.responders)
    except NotCheckedError:
        asked = ()
    return await host.check_clock(SystemClock().now(), asked, await context.once(looks.valid_from))


async def _service(context: CheckContext) -> Sequence[Finding]:
    need_owner(context.settings.state_dir)
    owner = find_owner(context.settings.state_dir / LOCK)
    return await service.check_service(
        owner, await context.once(looks.unit_properties), await context.once(looks.cron_lines)
    )


async def _daemon(context: CheckContext) -> Sequence[Finding]:
    answer, sources = await ask_daemon(context.settings), context.found.sources
    build_now = await asyncio.to_thread(installed.fingerprint) if answer is not None else ""
    return await service.check_daemon(answer, sources.digest if sources else None, build_now)


async def _hooks(context: CheckContext) -> Sequence[Finding]:
    given = context.settings.hooks
    commands = {"pre": given.pre, "deploy": given.deploy, "post": given.post, "failed": given.failed}
    found = await context.once(looks.unit_properties)
    is_timed = found.get(service.TIMER, {}).get("ActiveState") == "active"
    unit = service.PASS_UNIT if is_timed else service.UNIT
    present = {name: argv for name, argv in commands.items() if argv}
    sources = context.found.sources
    places = {name: sources.name_place(("hooks", name)) for name in present} if sources else {}
    return await hooks.check_hooks(present, hooks.Sandbox(unit, found.get(unit, {})), places)


async def _rehearsals(context: CheckContext) -> Sequence[Finding]:
    days = context.settings.rehearsal.every_days
    return await service.check_rehearsals(
        [one.name for one in context.ordered],
        await _read_rehearsals(context),
        await context.once(looks.valid_from),
        SystemClock().now(),
        timedelta(days=days) if days else None,
    )


async def _notifications(context: CheckContext) -> Sequence[Finding]:
    settings, now = context.settings, SystemClock().now()
    if not settings.notifications.names:
        raise NotCheckedError("no notification targets are configured")
    need_owner(settings.state_dir)
    try:
        async with build.state_to_read(settings) as state:
            backlogs = await state.outbox.read_backlogs()
    except WellkeeperError as error:
        raise NotCheckedError(f"{error.what}: {error.why}") from error
    targets = {name: backlogs.get(name, Backlog(0)) for name in settings.notifications.names}
    return await notifications.check_notifications(targets, now)


async def _read_rehearsals(context: CheckContext) -> Mapping[str, Rehearsal]:
    need_owner(context.settings.state_dir)
    try:
        if not has_state(context.settings.state_dir):
            return {}
        async with build.state_to_read(context.settings) as state:
            return await state.notes.read_rehearsals()
    except WellkeeperError as error:
        raise NotCheckedError(f"{error.what}: {error.why}" if error.why else error.what) from error


async def _managers(context: CheckContext) -> Sequence[Finding]:
    try:
        others = await asyncio.to_thread(read_other_lineages)
    except PermissionError as error:
        raise NotCheckedError(NEEDS_ROOT) from error
    return await managers.check_managers(
        [str(identifier) for one in context.ordered for identifier in one.identifiers],
        others,
        await context.once(looks.unit_properties),
        await context.once(looks.cron_lines),
        is_systemd=services.is_booted(),
    )


CHECKS: Final[tuple[Check[CheckContext], ...]] = (
    Check((settings_checks.ID, settings_checks.FILES), _settings, is_cheap=True),
    Check((host.DIRECTORIES,), _directories, is_cheap=True),
    Check((host.KEYS,), _private_keys, is_cheap=True),
    Check((host.CLOCK,), _clock, is_cheap=True),
    Check((service.SERVICE,), _service, is_cheap=True),
    Check((service.DAEMON_STATE,), _daemon),
    Check((hooks.ID,), _hooks, is_cheap=True),
    Check((service.REHEARSAL,), _rehearsals),
    Check((notifications.ID,), _notifications, is_cheap=True),
    Check((managers.ID,), _managers, is_cheap=True),
)
