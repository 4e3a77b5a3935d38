"""Makes the objects from the settings: the only place that does."""

import grp
import importlib.metadata
import os
import pwd
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from issuer.aftermath import Aftermath
from issuer.agenda import Agenda
from issuer.commands.authorities import AllAuthorities, directory_urls
from issuer.deliveries import Deliveries, Pace
from issuer.errors import SettingsError
from issuer.model import Node
from issuer.obtain.limits import Limits
from issuer.obtain.publish import ReadBacks, Vetoes
from issuer.obtain.request import Requests
from issuer.obtain.throttle import Throttle
from issuer.outside.accounts import AccountFolder
from issuer.outside.clock import SystemClock
from issuer.outside.disk import CertificateFolders
from issuer.outside.hooks import CommandHooks
from issuer.outside.proof import prove_places
from issuer.outside.state import State, open_state
from issuer.passes import Machine, Passes
from issuer.ports import Hooks, Notifications, Progress
from issuer.records import Event, Notice
from issuer.renew import Renewals
from issuer.settings import Settings
from issuer.sources import Sources

if TYPE_CHECKING:
    from issuer.outside.nginx import LocalNginx
    from issuer.outside.responder_client import ResponderClient

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


def state(
    settings: Settings, *, is_exclusive: bool = True, command: str = "renew"
) -> AbstractAsyncContextManager[State]:
    """The state on disk. `command` is what others are told is at work; raises JournalError when another one is."""
    return open_state(settings.state_dir / JOURNAL, is_exclusive=is_exclusive, command=command)


class _Nobody:
    """Implements `ports.Notifications` where nobody is to be told."""

    async def tell(self, notice: Notice, lineage: str, detail: str) -> None: ...


def check_keys(settings: Settings) -> None:
    """Raises SettingsError when this host was not set up: before anything is opened."""
    _ = accounts(settings).publishing_key


def make_hooks(settings: Settings) -> Hooks:
    told = settings.hooks
    commands = {Event.PRE: told.pre, Event.DEPLOY: told.deploy, Event.POST: told.post, Event.FAILED: told.failed}
    given = {event: argv for event, argv in commands.items() if argv}
    return CommandHooks(given, told.timeout_seconds, os.environ)


def make_notifications(settings: Settings) -> Notifications:
    url = settings.notifications.webhook
    if url is None:
        return _Nobody()
    from issuer.outside.notifications import Webhook

    return Webhook(url, SystemClock(), host=socket.gethostname(), version=version())


def make_nginx(settings: Settings) -> "LocalNginx":
    from issuer.outside.nginx import Control, LocalNginx

    told = settings.nginx
    by_itself = (*told.command, "-s", "reload") if told.reload == "command" else None
    control = Control(told.command, told.pid_file, told.reload_command or by_itself, told.error_log)
    return LocalNginx(control, SystemClock())


def nodes(settings: Settings) -> tuple[Node, ...]:
    return tuple(node.to_node() for node in settings.nodes)


def responder_clients(settings: Settings) -> "list[ResponderClient]":
    """One a node, not connected yet; raises SettingsError when the publishing key is missing."""
    from issuer.outside.responder_client import ResponderClient

    clock, key = SystemClock(), accounts(settings).publishing_key
    return [ResponderClient(one.name, one.responder, key, clock) for one in nodes(settings)]


@asynccontextmanager
async def renewals(
    settings: Settings, state: State, progress: Progress, clients: "Sequence[ResponderClient]"
) -> AsyncIterator[Renewals]:
    """What obtains and installs, connected; it ends the connections of `clients`. Raises SettingsError."""
    from issuer.outside.csr_files import CsrFolder
    from issuer.outside.probes import NodeProbes
    from issuer.outside.renewal_info import AcmeRenewalInfos
    from issuer.outside.responders import AllResponders

    clock, choose = SystemClock(), random.SystemRandom().random
    vetoes = Vetoes(state.journal, clock) if settings.read_back == "required" else None
    probes, folders = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol), certificates(settings)
    async with AsyncExitStack() as stack:
        authorities = stack.enter_context(AllAuthorities(settings, accounts(settings), clock, version=version()))
        bundles = {url: authorities.options(url).bundle for url in directory_urls(settings)}
        infos = AcmeRenewalInfos(bundles, user_agent=f"wellkeeper/{version()}", clock=clock)
        await stack.enter_async_context(infos)
        responders = AllResponders(clients, accounts(settings).publishing_key, clock)
        limits, throttle = Limits(state.ledger, clock, _registered_domain), Throttle(settings.orders_per_second, clock)
        yield Renewals(
            sources=Sources(authorities, limits, throttle, state.schedules, clock),
            agenda=Agenda(state.journal, state.schedules, infos, clock, progress, choose),
            journal=state.journal,
            responders=await stack.enter_async_context(responders),
            read_backs=ReadBacks(nodes(settings), probes, progress, vetoes),
            requests=Requests(folders, CsrFolder()),
            certificates=folders,
            clock=clock,
            progress=progress,
        )


@asynccontextmanager
async def passes(
    settings: Settings, state: State, progress: Progress, *, is_rehearsal: bool = False
) -> AsyncIterator[Passes]:
    """Everything that a pass needs, connected; ended on leaving. Raises SettingsError."""
    # aiohttp's client: what commands that do not renew need not load. The acme library waits for the first order.
    from issuer.commands.pins import check_pins
    from issuer.outside.probes import NodeProbes

    told, nginx, folders, clock = settings.nginx, make_nginx(settings), certificates(settings), SystemClock()
    choose, clients = random.SystemRandom().random, responder_clients(settings)
    pace = Pace(told.reload_debounce_seconds, told.reload_interval_seconds, told.finishing_workers)

    async def prepare() -> None:
        await prove_places(settings.state_dir, settings.certificates_dir)
        await check_pins(settings, accounts(settings), clients)

    async with renewals(settings, state, progress, clients) as ready:
        hooks, notifications = make_hooks(settings), make_notifications(settings)
        yield Passes(
            renewals=replace(ready, is_rehearsal=is_rehearsal),
            deliveries=Deliveries(nginx, folders, state.journal, clock, progress, pace),
            aftermath=Aftermath(state.schedules, state.notes, hooks, notifications, folders, clock, choose),
            machine=Machine(nginx, NodeProbes(speaks_proxy_protocol=told.proxy_protocol), told.https_addresses),
            prepare=prepare,
            at_once=settings.renewals_at_once,
        )


def _registered_domain(value: str) -> str:
    from issuer.outside.registered_domains import registered_domain

    return registered_domain(value)
