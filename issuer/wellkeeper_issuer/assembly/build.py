"""Make the objects from the settings; with `build_passes`, the only place that does.

Modules that reading the state does not need are imported inside functions.
"""

import grp
import importlib.metadata
import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import JOURNAL, State, open_state
from wellkeeper_issuer.ports.people import Hooks, Notifications
from wellkeeper_issuer.ports.state import Held, Ownership
from wellkeeper_issuer.records import Event, Notice
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import directory_urls
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Node

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder
    from wellkeeper_node.certificates.folders import CertificateFolders
    from wellkeeper_node.nginx.local import LocalNginx
    from wellkeeper_node.responders.client import ResponderClient


def version() -> str:
    return importlib.metadata.version("wellkeeper")


def accounts(settings: Settings) -> "AccountFolder":
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder

    return AccountFolder(
        settings.state_dir,
        directory_urls(settings),
        contact=settings.contact,
        terms_of_service_agreed=settings.terms_of_service_agreed,
    )


def certificates(settings: Settings) -> "CertificateFolders":
    """Raises SettingsError when the owner or the group does not exist."""
    from wellkeeper_node.certificates.folders import CertificateFolders

    owner, group = settings.certificates_owner, settings.certificates_group
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else None
    except KeyError:
        raise SettingsError(
            f"cannot use certificates_owner = {owner!r}",
            "this host has no such user",
            "Create it, or name another user.",
        ) from None
    try:
        gid = grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        raise SettingsError(
            f"cannot use certificates_group = {group!r}",
            "this host has no such group",
            "Create it, or name another group.",
        ) from None
    return CertificateFolders(settings.certificates_dir, owner=uid, group=gid)


def ownership(settings: Settings) -> Ownership:
    return LocalOwnership(settings.state_dir)


@asynccontextmanager
async def owned_state(settings: Settings, command: str) -> AsyncIterator[tuple[State, Held]]:
    """Own the state as `command`, and open it to write. Raises JournalError, which names another owner."""
    async with (
        ownership(settings).hold(command) as held,
        open_state(settings.state_dir / JOURNAL, may_write=True) as opened,
    ):
        yield opened, held


def state_to_read(settings: Settings) -> AbstractAsyncContextManager[State]:
    """Open the state to read, without owning it or waiting. Raises JournalError."""
    return open_state(settings.state_dir / JOURNAL, may_write=False)


class _NoNotifications:
    """Implements `ports.Notifications` where no webhook is configured."""

    async def send(self, notice: Notice, lineage: str, detail: str) -> None: ...


def check_keys(settings: Settings) -> None:
    """Raise SettingsError when this host was not set up, before anything is opened."""
    _ = accounts(settings).publishing_key


def make_hooks(settings: Settings) -> Hooks:
    from wellkeeper_issuer.outside.host.hooks import CommandHooks

    hook_settings = settings.hooks
    commands = {
        Event.PRE: hook_settings.pre,
        Event.DEPLOY: hook_settings.deploy,
        Event.POST: hook_settings.post,
        Event.FAILED: hook_settings.failed,
    }
    given = {event: argv for event, argv in commands.items() if argv}
    return CommandHooks(given, hook_settings.timeout_seconds, os.environ)


def make_notifications(settings: Settings) -> Notifications:
    url = settings.notifications.webhook
    if url is None:
        return _NoNotifications()
    from wellkeeper_issuer.outside.host.notifications import Webhook

    return Webhook(url, SystemClock(), host=socket.gethostname(), version=version())


def make_nginx(settings: Settings) -> "LocalNginx":
    from wellkeeper_node.nginx.local import Control, LocalNginx

    nginx_settings = settings.nginx
    by_itself = (*nginx_settings.command, "-s", "reload") if nginx_settings.reload == "command" else None
    control = Control(
        nginx_settings.command,
        nginx_settings.pid_file,
        nginx_settings.reload_command or by_itself,
        nginx_settings.error_log,
    )
    return LocalNginx(control, SystemClock())


def nodes(settings: Settings) -> tuple[Node, ...]:
    return tuple(node.to_node() for node in settings.nodes)


def responder_clients(settings: Settings) -> "list[ResponderClient]":
    """Return one per node, not connected yet; raises SettingsError when the publishing key is missing."""
    from wellkeeper_node.responders.client import ResponderClient

    clock, key = SystemClock(), accounts(settings).publishing_key
    return [ResponderClient(one.name, one.responder, key, clock) for one in nodes(settings)]
