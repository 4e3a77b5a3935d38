"""Makes the objects from the settings: the only place that does."""

import grp
import importlib.metadata
import pwd
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from issuer.commands.authorities import AllAuthorities, directory_urls
from issuer.errors import SettingsError
from issuer.obtain.publish import ReadBacks, Vetoes
from issuer.outside.accounts import AccountFolder
from issuer.outside.clock import SystemClock
from issuer.outside.disk import CertificateFolders
from issuer.outside.state import open_state
from issuer.passes import Passes
from issuer.ports import Progress
from issuer.renew import Renewals
from issuer.settings import Settings

JOURNAL: Final = "state.db"


def version() -> str:
    return importlib.metadata.version("wellkeeper")


def accounts(settings: Settings) -> AccountFolder:
    return AccountFolder(
        settings.state_dir,
        directory_urls(settings),
        contact=settings.contact,
        terms_of_service_agreed=settings.terms_of_service_agreed,
    )


def certificates(settings: Settings) -> CertificateFolders:
    """Raises SettingsError when the owner or the group does not exist."""
    owner, group = settings.certificates_owner, settings.certificates_group
    try:
        uid = pwd.getpwnam(owner).pw_uid if owner else None
    except KeyError:
        raise SettingsError(
            f"certificates_owner = {owner!r}: this host has no such user; make it, or name another"
        ) from None
    try:
        gid = grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        raise SettingsError(
            f"certificates_group = {group!r}: this host has no such group; make it, or name another"
        ) from None
    return CertificateFolders(settings.certificates_dir, owner=uid, group=gid)


@asynccontextmanager
async def passes(settings: Settings, progress: Progress, *, is_rehearsal: bool = False) -> AsyncIterator[Passes]:
    """Everything that a pass needs, connected; ended on leaving. Raises SettingsError and JournalError."""
    # aiohttp's client: what commands that do not renew need not load.
    from issuer.outside.nginx import Control, LocalNginx
    from issuer.outside.probes import NodeProbes
    from issuer.outside.responder_client import ResponderClient
    from issuer.outside.responders import AllResponders

    clock, folder = SystemClock(), accounts(settings)
    probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
    publishing_key = folder.publishing_key
    told = settings.nginx
    by_itself = (*told.command, "-s", "reload") if told.reload == "command" else None
    nginx = LocalNginx(Control(told.command, told.pid_file, told.reload_command or by_itself, told.error_log), clock)
    nodes = tuple(node.to_node() for node in settings.nodes)
    clients = [ResponderClient(node.name, node.responder, publishing_key, clock) for node in nodes]
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(open_state(settings.state_dir / JOURNAL, is_exclusive=True))
        vetoes = Vetoes(state.journal, clock) if settings.read_back == "required" else None
        responders = await stack.enter_async_context(AllResponders(clients, publishing_key, clock))
        authorities = stack.enter_context(AllAuthorities(settings, folder, clock, version=version()))
        ca = authorities.open(settings.all_cas()[0].directory)
        renewals = Renewals(
            ca=ca,
            journal=state.journal,
            responders=responders,
            read_backs=ReadBacks(nodes, probes, progress, vetoes),
            certificates=certificates(settings),
            clock=clock,
            progress=progress,
            is_rehearsal=is_rehearsal,
        )
        yield Passes(renewals, nginx, probes, settings.nginx.https_addresses)
