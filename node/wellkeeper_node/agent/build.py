"""Make an agent from the settings: the one place where its parts are connected."""

import asyncio
import grp
import importlib.metadata
import logging
import os
import random
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import trust_file
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.trust_file import TrustError
from wellkeeper_node.agent.agent import Agent, Own, Work
from wellkeeper_node.agent.clocks import nearest
from wellkeeper_node.agent.fetching import Fetching
from wellkeeper_node.agent.hook import DeployHook
from wellkeeper_node.agent.inbox import Inbox
from wellkeeper_node.agent.issuers import HeardIssuers
from wellkeeper_node.agent.kept_engine import KeptEngine
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.learned_keys import LearnedKeys, by_id
from wellkeeper_node.agent.links import Link
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.agent.numbers import ReportNumbers
from wellkeeper_node.agent.pending import Pending
from wellkeeper_node.agent.pickup import Parts, Pickup
from wellkeeper_node.agent.progress import LoggedProgress
from wellkeeper_node.agent.report import Report
from wellkeeper_node.agent.responder import OwnResponder
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.agent.stores import opened_stores
from wellkeeper_node.agent.tokens import Tokens
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.bundles.opening import Opener
from wellkeeper_node.bundles.retiring import retire
from wellkeeper_node.certificates.applying import apply_access
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.deliver.in_use import unused
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.durable import Owner
from wellkeeper_node.errors import FleetError, InstallError
from wellkeeper_node.model import Installed, Node, Old
from wellkeeper_node.nginx.factory import make_nginx
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.settings import NodeSettings

_log = logging.getLogger(__name__)

MANIFEST_FILE: Final = "manifest.jws"
# A bundle that is slow to arrive must not delay the others.
_PACE: Final = Pace(debounce_seconds=1.0, interval_seconds=5.0)


def read_fleet_keys(settings: NodeSettings) -> Mapping[str, Ed25519PublicKey]:
    """Return the fleet keys of the trust file, or those that followed them, by key id. Raises WellkeeperError."""
    return by_id(_learned_keys(settings).trusted)


def _learned_keys(settings: NodeSettings) -> LearnedKeys:
    path, remedy = settings.trust_file, "Run 'wellkeeper-node join' as root."
    try:
        found = trust_file.read(path).fleet_keys
    except TrustError as error:
        raise FleetError(error.what, remedy=error.remedy) from error
    except FileNotFoundError as error:
        raise FleetError(f"{path} does not exist", remedy=remedy) from error
    if not found:
        raise FleetError(f"{path} has no fleet_keys, so no issuer is trusted", remedy=remedy)
    return LearnedKeys(settings.state_dir, found)


@asynccontextmanager
async def running_agent(
    settings: NodeSettings, fleet_keys: Mapping[str, Ed25519PublicKey]
) -> AsyncIterator[tuple[Agent, list[Link]]]:
    """Yield an agent and its links, which `Agent.run` needs; closes all connections on leaving.

    Raises FleetError, for missing keys of the node or an unknown group.
    """
    clock, keys = SystemClock(), NodeKeys(settings.state_dir)
    keys.finish()
    signing_key = keys.signing_key
    links: list[Link] = []
    changed = asyncio.Event()

    def notify() -> None:
        for link in links:
            link.notify()

    async with AsyncExitStack() as stack:
        kept = KeptEngine(settings.state_dir, settings.name, fleet_keys, keys.sealing_key)
        stores = await stack.enter_async_context(opened_stores(settings, keys, kept.access(), clock))
        responder = OwnResponder(ResponderClient(settings.name, settings.responder, signing_key, clock), clock, notify)
        stack.push_async_callback(responder.close)
        probes = NodeProbes(speaks_proxy_protocol=settings.proxy_protocol)
        tokens = Tokens(responder, _node(settings), probes, clock, notify)
        stack.push_async_callback(tokens.close)
        opener = Opener(settings.name, fleet_keys, keys.sealing_key)
        fetching = Fetching(opener, [one.records for one in stores], clock)
        status = StatusFile(settings.name, settings.state_dir)

        async def show(report: Report) -> None:
            await status.write(Shown(report, {one.name: one.failure for one in links}, _contacts(links)))

        work = Work(
            inbox=Inbox(settings.name, fleet_keys, clock),
            tokens=tokens,
            responder=responder,
            manifests=Manifests(
                ManifestFile(settings.state_dir / MANIFEST_FILE, fleet_keys), clock, notify, _learned_keys(settings)
            ),
            fetching=fetching,
            pickup=Pickup(_parts(settings, fetching, probes), notify, clock),
            numbers=ReportNumbers(settings.state_dir, clock),
            issuers=HeardIssuers(fleet_keys, clock, notify),
            live=LiveFolder(settings.certificates_dir).versions,
            clock_ahead=lambda: nearest(one.clock_ahead() for one in stores),
            show=show,
            choose=random.SystemRandom().random,
            enrolled=lambda body: take_enrolled(keys, body),
            moved=kept.take,
        )
        agent = Agent(_own(settings, keys, fleet_keys), work, clock, changed)
        links += [Link(one.name, one.records, agent, clock, work.choose, one.kind) for one in stores]
        yield agent, links


def take_enrolled(keys: NodeKeys, body: NodeBody) -> bool:
    """Take the next keys if the issuer has enrolled them, as its record says; return whether it has.

    Raises FleetError and InstallError.
    """
    following = keys.following
    if following is None or following.public.texts != (body.signing_key, body.sealing_key):
        return False
    keys.take_next()
    _log.info("this node uses its next keys, which the issuer has enrolled")
    return True


def _own(settings: NodeSettings, keys: NodeKeys, fleet_keys: Mapping[str, Ed25519PublicKey]) -> Own:
    version, following = importlib.metadata.version("wellkeeper"), keys.following
    line = following.public.line if following else None
    return Own(settings.name, version, keys.signing_key, settings.answers, tuple(fleet_keys), line)


def _contacts(links: Iterable[Link]) -> Mapping[str, float | None]:
    return {link.name: link.contact_at for link in links}


async def apply_group(settings: NodeSettings) -> None:
    """Give what is installed to `certificates_group`, as new versions are; a failure is logged. Raises FleetError."""
    group = _group(settings.certificates_group)
    if group is None:
        return
    try:
        changed = await apply_access(settings.certificates_dir, Owner(group=group))
    except InstallError as error:
        _log.warning("%s", error)
    else:
        if changed:
            _log.info("gave the files of %s to the group %s", ", ".join(changed), settings.certificates_group)


def check(settings: NodeSettings) -> None:
    """Raise FleetError for settings that this host cannot fulfil."""
    _group(settings.certificates_group)


def _node(settings: NodeSettings) -> Node:
    return Node(
        settings.name,
        settings.responder,
        settings.http_addresses,
        settings.https_addresses,
        speaks_proxy_protocol=settings.proxy_protocol,
    )


def _parts(settings: NodeSettings, fetching: Fetching, probes: NodeProbes) -> Parts:
    clock = SystemClock()
    nginx = make_nginx(settings.nginx, clock)
    folders = CertificateFolders(settings.certificates_dir, group=_group(settings.certificates_group))
    pending = Pending(settings.state_dir, has_hook=settings.deploy is not None)
    batch = Deliveries(nginx, folders, pending, clock, LoggedProgress(), _PACE)
    hook = DeployHook(settings.deploy, os.environ) if settings.deploy else None

    async def run_hook(installed: Installed) -> None:
        if hook is not None:
            await hook.run(installed, folders.live_path(installed.lineage))

    async def retire_one(lineage: str, manifest: Manifest) -> None:
        async def find_unused(old: Collection[Old]) -> Collection[Old]:
            return await unused(old, nginx, settings.https_addresses, probes)

        await retire(lineage, manifest, settings.certificates_dir, folders, find_unused)

    return Parts(
        fetching=fetching,
        certificates=folders,
        delivery=LocalDelivery(nginx, probes, folders, settings.https_addresses, batch),
        pending=pending,
        hook=run_hook if hook else None,
        retire=retire_one,
    )


def _group(name: str | None) -> int | None:
    """Raises FleetError for a group that does not exist here."""
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError:
        why, remedy = "this host has no such group", "Create it, or name another group."
        raise FleetError(f"cannot use certificates_group = {name!r}", why, remedy) from None
