"""Make what a rehearsal needs from the settings, for the command and the daemon."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import AllAuthorities
from wellkeeper_issuer.assembly.check_now import ServedNow
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.ports.state import Notes
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.rehearse import RehearsalDeps, rehearse
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError
from wellkeeper_node.ports import Progress
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_node.responders.client import ResponderClient
    from wellkeeper_node.responders.connection import Connection

# As long as Boulder's: 43 characters of base64url.
_TOKEN_BYTES: Final = 32


async def rehearse_all(
    settings: Settings, lineages: Sequence[Lineage], progress: Progress, notes: Notes | None = None
) -> list[Rehearsal]:
    """Return one result per lineage, and record it if `notes` are given. Raises SettingsError and JournalError."""
    async with _dependencies(settings, progress) as deps:
        results = await rehearse(lineages, deps)
    if notes is not None:
        for result in results:
            await notes.record_rehearsal(result)
    return results


@asynccontextmanager
async def _dependencies(settings: Settings, progress: Progress) -> AsyncIterator[RehearsalDeps]:
    """Yield the dependencies, connected; closed on leaving."""
    from wellkeeper_issuer.assembly.local_probes import local_probes
    from wellkeeper_issuer.assembly.rehearsed_nodes import remote_nodes
    from wellkeeper_issuer.outside.ca.first_requests import FirstRequests
    from wellkeeper_issuer.outside.host.csr_files import CsrFolder
    from wellkeeper_node.responders.publications import AllResponders

    clock, accounts, folders = SystemClock(), build.accounts(settings), build.certificates(settings)
    clients = build.responder_clients(settings)
    async with AsyncExitStack() as stack:
        authorities = AllAuthorities(settings, accounts, clock, version=build.version())
        remote, answering = await stack.enter_async_context(remote_nodes(settings)) or (None, ())
        everyone: list[Connection] = [*clients, *([remote] if remote else [])]
        yield RehearsalDeps(
            authorities=await stack.enter_async_context(authorities),
            responders=await stack.enter_async_context(AllResponders(everyone, accounts.publishing_key, clock)),
            nodes=build.nodes(settings),
            probes=local_probes(settings),
            nginx=build.nginx(settings),
            hooks=build.make_hooks(settings),
            clock=clock,
            progress=progress,
            check_trust=lambda: _check_trust(settings, clients),
            ask_ca=lambda url: FirstRequests(authorities.open(url).connection).in_order,
            make_token=lambda: secrets.token_urlsafe(_TOKEN_BYTES),
            live_path=folders.live_path,
            request=Requests(folders, CsrFolder()).request,
            throttle=Throttle(settings.orders_per_second, clock),
            describe_served=ServedNow(settings).describe,
            remote=remote,
            remote_count=len(answering),
            test_directory_url=settings.find_ca(settings.rehearsal.ca).directory if settings.rehearsal.ca else None,
        )


async def _check_trust(settings: Settings, clients: "Sequence[ResponderClient]") -> str:
    """Return what is trusted; raise with all that is missing, while a pass would go on without a fallback CA."""
    from wellkeeper_issuer.assembly.pins import wanted_pins
    from wellkeeper_issuer.outside.keys.pins import find_unpinned

    pins = wanted_pins(settings, build.accounts(settings))
    missing = []
    for client in clients:
        try:
            missing += [str(one) for one in await find_unpinned(pins, client)]
        except PublishError as error:
            missing.append(str(error))
    if missing:
        raise PublishError("not every responder trusts all accounts", "; ".join(missing))
    where = counted(len(clients), "responder")
    return f"account keys of {', '.join(pin.ca for pin in pins)} trusted by {where}"
