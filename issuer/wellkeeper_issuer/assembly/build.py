"""Make the objects from the settings; with `build_passes`, the only place that does.

Modules that reading the state does not need are imported inside functions.
"""

import grp
import importlib.metadata
import logging
import os
import pwd
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import JOURNAL, State, open_state
from wellkeeper_issuer.ports.people import Hooks
from wellkeeper_issuer.ports.state import Held, Ownership
from wellkeeper_issuer.records import Event
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import directory_urls
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Node

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder
    from wellkeeper_node.certificates.folders import CertificateFolders
    from wellkeeper_node.history import HistoryFile
    from wellkeeper_node.nginx.absent import AbsentNginx
    from wellkeeper_node.nginx.control import Control
    from wellkeeper_node.nginx.factory import HostNginx
    from wellkeeper_node.responders.client import ResponderClient

_log = logging.getLogger(__name__)


def version() -> str:
    return importlib.metadata.version("wellkeeper")


def accounts(settings: Settings) -> "AccountFolder":
    from wellkeeper_issuer.outside.keys.accounts import AccountFolder

    return AccountFolder(
        settings.state_dir,
        directory_urls(settings),
        contact=settings.contact,
        terms_of_service_agreed=settings.terms_of_service_agreed,
        history=history(settings.state_dir),
    )


def history(state_dir: Path) -> "HistoryFile":
    """Return the history, as this process writes it."""
    from wellkeeper_node.history import HistoryFile, author

    return HistoryFile(state_dir, lambda: author("wellkeeper", sys.argv[1:], os.environ), SystemClock())


def certificates(settings: Settings) -> "CertificateFolders":
    """Raises SettingsError when the owner or the group does not exist."""
    from wellkeeper_node.certificates.folders import CertificateFolders

    uid, gid = file_ids(settings)
    return CertificateFolders(settings.certificates_dir, owner=uid, group=gid)


async def apply_file_access(settings: Settings) -> None:
    """Give what is installed to certificates_owner and certificates_group; a failure is logged.

    Raises SettingsError when they do not exist.
    """
    uid, gid = file_ids(settings)
    if uid is None and gid is None:
        return
    from wellkeeper_node.certificates.applying import apply_access
    from wellkeeper_node.durable import Owner

    try:
        changed = await apply_access(
            settings.certificates_dir, Owner(-1 if uid is None else uid, -1 if gid is None else gid)
        )
    except InstallError as error:
        _log.warning("%s", error)
    else:
        if changed:
            _log.info("gave the files of %s to the group %s", ", ".join(changed), settings.certificates_group)


def file_ids(settings: Settings) -> tuple[int | None, int | None]:
    """Return the user and group of installed files, if the settings name them. Raises SettingsError."""
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
    return uid, gid


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


def nginx_control(settings: Settings) -> "Control":
    from wellkeeper_node.nginx.control import AUTO, Control

    nginx_settings = settings.nginx
    by_itself = (*nginx_settings.command, "-s", "reload") if nginx_settings.reload == "command" else None
    return Control(
        nginx_settings.command,
        None if nginx_settings.pid_file == AUTO else Path(nginx_settings.pid_file),
        nginx_settings.reload_command or by_itself,
        nginx_settings.error_log,
        nginx_settings.test,
        nginx_settings.agent,
    )


def make_nginx(settings: Settings) -> "HostNginx":
    from wellkeeper_node.nginx import factory

    return factory.make_nginx(nginx_control(settings), SystemClock())


def nginx(settings: Settings) -> "HostNginx | AbsentNginx":
    """Return the nginx of this host, or one that has nothing to do."""
    from wellkeeper_node.nginx.absent import AbsentNginx

    return make_nginx(settings) if settings.local_node else AbsentNginx()


def nodes(settings: Settings) -> tuple[Node, ...]:
    """Return the nodes in the settings, and without any the one of this host, if it has an nginx."""
    is_implicit = "nodes" not in settings.model_fields_set
    return tuple(node.to_node() for node in settings.nodes if settings.local_node or not is_implicit)


def responder_clients(settings: Settings) -> "list[ResponderClient]":
    """Return one per node, not connected yet; raises SettingsError when the publishing key is missing."""
    from wellkeeper_node.responders.client import ResponderClient

    clock, key = SystemClock(), accounts(settings).publishing_key
    return [ResponderClient(one.name, one.responder, key, clock) for one in nodes(settings)]
