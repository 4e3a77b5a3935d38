"""Make what a pass needs, from the settings; a separate file, since reading the state must not import all this."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import AllAuthorities
from wellkeeper_issuer.assembly.local_probes import local_probes
from wellkeeper_issuer.assembly.notifications import make_notifications
from wellkeeper_issuer.assembly.pins import check_pins
from wellkeeper_issuer.fleet.delivery import FleetDelivery
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.starting import Starting
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.obtain.vetoes import Vetoes
from wellkeeper_issuer.outside.ca.renewal_info import AcmeRenewalInfos
from wellkeeper_issuer.outside.host.csr_files import CsrFolder
from wellkeeper_issuer.outside.state.proof import prove_places
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.passes import Passes
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Sources, always_alone
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.ports import Progress
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.publications import AllResponders


@asynccontextmanager
async def renewals(  # noqa: PLR0913 - all that it works with
    settings: Settings,
    state: State,
    progress: Progress,
    clients: Sequence[ResponderClient],
    fleet: Fleet | None = None,
    *,
    activity: Activity | None = None,
) -> AsyncIterator[Renewals]:
    """Yield what obtains and installs, connected; closes `clients` on leaving. Raises SettingsError."""
    clock, choose = SystemClock(), random.SystemRandom().random
    vetoes = Vetoes(state.vetoes, clock) if settings.read_back == "required" else None
    probes, folders = local_probes(settings), build.certificates(settings)
    accounts = build.accounts(settings)
    async with AsyncExitStack() as stack:
        authorities = AllAuthorities(settings, accounts, clock, version=build.version(), activity=activity)
        infos = AcmeRenewalInfos((await stack.enter_async_context(authorities)).server, clock)
        remote, alone = (fleet.responder, fleet.others.check) if fleet else (None, always_alone)
        everyone: list[Connection] = [*clients, *([remote] if remote else [])]
        responders = AllResponders(everyone, accounts.publishing_key, clock, state.publications)
        await stack.enter_async_context(responders)
        await stack.enter_async_context(responders.withdrawing_left())
        limits, throttle = Limits(state.ledger, clock, _registered_domain), Throttle(settings.orders_per_second, clock)
        yield Renewals(
            sources=Sources(authorities, limits, throttle, clock, check_alone=alone),
            planner=RenewalPlanner(state.schedules, infos, clock, progress, choose),
            records=state,
            attempts=state.attempts,
            delivery_records=state.deliveries,
            responders=responders,
            read_backs=ReadBacks(build.nodes(settings), probes, progress, vetoes, remote),
            learned_fetches=LearnedFetches(state.fetch_counts),
            locations=Locations(build.nodes(settings), probes, state.vetoes if vetoes else None, clock),
            requests=Requests(folders, CsrFolder()),
            certificates=folders,
            nginx=build.nginx(settings),
            clock=clock,
            progress=progress,
        )


@asynccontextmanager
async def passes(  # noqa: PLR0913 - keywords say what it is for
    settings: Settings,
    state: State,
    progress: Progress,
    fleet: Fleet | None = None,
    *,
    is_staging: bool = False,
    activity: Activity | None = None,
) -> AsyncIterator[Passes]:
    """Yield everything that a pass needs, connected; closed on leaving. Raises SettingsError.

    A daemon has its `activity`, and waits for programs that start with it.
    """
    nginx_settings, nginx, folders, clock = (
        settings.nginx,
        build.nginx(settings),
        build.certificates(settings),
        SystemClock(),
    )
    choose, clients = random.SystemRandom().random, build.responder_clients(settings)
    pace = Pace(
        nginx_settings.reload_debounce_seconds, nginx_settings.reload_interval_seconds, nginx_settings.finishing_workers
    )
    batch = Deliveries(nginx, folders, state.deliveries, clock, progress, pace)
    probes = NodeProbes(speaks_proxy_protocol=nginx_settings.proxy_protocol)

    unusable: dict[str, str] = {}

    async def prepare() -> None:
        await prove_places(settings.state_dir, settings.certificates_dir)
        found = await check_pins(settings, build.accounts(settings), clients)
        unusable.clear()
        unusable.update(found)

    def permit() -> None:
        if fleet is not None:
            fleet.others.permit()
            fleet.restored.check(clock.now())

    delivery: Delivery = LocalDelivery(nginx, probes, folders, nginx_settings.https_addresses, batch)
    async with renewals(settings, state, progress, clients, fleet, activity=activity) as ready:
        starting = Starting(clock, lambda: _ask(clients)) if activity is not None else None
        sources = replace(ready.sources, unusable=unusable, starting=starting)
        hooks, notifications = build.make_hooks(settings), make_notifications(settings, state.outbox)
        history = build.history(settings.state_dir)
        yield Passes(
            renewals=replace(ready, is_staging=is_staging, sources=sources, permit=permit),
            delivery=FleetDelivery(delivery, fleet.distribution, nginx) if fleet else delivery,
            follow_up=FollowUp(state.schedules, state.notes, hooks, notifications, folders, clock, choose, history),
            prepare=prepare,
            at_once=settings.renewals_at_once,
        )


async def _ask(responders: Sequence[ResponderClient]) -> None:
    """Raise PublishError when one does not answer."""
    for one in responders:
        await one.status()


def _registered_domain(value: str) -> str:
    from wellkeeper_issuer.outside.ca.registered_domains import registered_domain

    return registered_domain(value)
