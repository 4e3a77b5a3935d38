"""scripts/demo --fleet: three nodes join an issuer and get its certificates; one of them is away, and catches up.

All is done with the commands that an administrator runs; the issuer's host has no nginx. A step is over when handshakes
bring the newest certificate of every name, under a load of HTTPS requests to all nodes.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from stand.daemon import IssuerDaemon
from stand.demo_parts import Shown, Tell, address_text, served_leaf, trusting
from stand.fleet import Fleet, FleetNode, fleet_issuer
from stand.load import Counts, Load, Target, unverified_tls
from stand.processes import Process, StandError, temporary_folder

CERTIFICATES: Final = {
    "www": ("www.demo.test", "demo.test"),
    "shop": ("shop.demo.test",),
    "api": ("api.demo.test",),
}
NODES: Final = ("web1", "web2", "web3")
# Certificates and reports take about a second on an idle machine.
_ARRIVE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_LOAD_PAUSE_SECONDS: Final = 0.05
_SHOWN: Final = ("name", "identifiers", "serial", "fingerprint_sha256", "issued_by", "not_after")

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps that are over, with their durations."""

    tell: Tell
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        self.tell(text)
        started_at = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started_at, 2)


@dataclass(slots=True)
class _Demo:
    """A demo at work: all certificates that were obtained, and the newest among them."""

    steps: _Steps
    fleet: Fleet
    trusted: ssl.SSLContext
    certificates: list[_Json] = field(default_factory=list)
    newest: list[_Json] = field(default_factory=list)


async def demonstrate(tell: Tell) -> Shown:
    """Raises StandError when a step fails."""
    steps = _Steps(tell)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        with steps.step("set_up", "starting DNS and ACME server"):
            fleet = await stack.enter_async_context(fleet_issuer(folder, CERTIFICATES))
        with steps.step("listen", f"wellkeeper fleet listen {fleet.relay.address}"):
            await fleet.listen()
        with steps.step("join", "three nodes join; their nginx start with self-signed placeholders"):
            for name in NODES:
                tell(f"    {name}: wellkeeper node invite {name}, wellkeeper-node join, wellkeeper-node run")
                await fleet.join(name)
        await fleet.resolve_to(fleet.nodes)
        demo = _Demo(steps, fleet, await trusting(fleet.ca))
        tell("under load from here on: the daemon starts")
        load = Load(_targets(fleet), clients_per_target=2, pause_seconds=_LOAD_PAUSE_SECONDS)
        async with load.running() as counts, IssuerDaemon(fleet.issuer):
            nodes, table = await _renewals(demo)
        result = _result(demo, nodes, counts)
        return Shown(result, _printed(result, table), counts.reasons)


async def _renewals(demo: _Demo) -> tuple[list[_Json], str]:
    """Obtain and renew while the daemon runs; return the nodes and their table at the end."""
    step, tell, nodes = demo.steps.step, demo.steps.tell, demo.fleet.nodes
    with step("first_certificates", f"it obtains {len(CERTIFICATES)} certificates"):
        await _obtain(demo, "first certificate", nodes)
    with step("renewal", "wellkeeper renew --force"):
        await _obtain(demo, "renewal", nodes, "--force")
    await _status(demo, _is_current)  # what a node that is away serves is known from its last report
    away = nodes[-1]
    await away.agent.process.stop()
    await demo.fleet.resolve_to(nodes[:-1])
    tell(f"the agent of {away.name} is stopped, and DNS no longer has its address; its nginx still serves")
    with step("renewal_while_away", f"wellkeeper renew --force --without {away.name}"):
        event = f"renewal while {away.name} is away"
        await _obtain(demo, event, nodes[:-1], "--force", "--without", away.name)
        behind = await _status(demo, lambda one: _is_current(one) is (one["name"] != away.name))
    tell(f"wellkeeper status --nodes\n{await _table(demo)}")
    with step("catch_up", f"the agent of {away.name} starts again"):
        await away.agent.process.start(away.agent.is_ready)
        await _until_served(demo, [away])
        found = await _status(demo, _is_current)
    was_behind = {one["name"]: one["behind"] for one in behind}
    return [one | {"was_behind": was_behind[one["name"]]} for one in found], await _table(demo)


async def _obtain(demo: _Demo, event: str, nodes: Sequence[FleetNode], *arguments: str) -> None:
    """Let the daemon obtain what is missing, or all with `--force`, and wait until these nodes serve it."""
    finished = await demo.fleet.issuer.run("renew", "--json", *arguments)
    found = finished.json().get("certificates", [])
    if finished.exit_code != 0:
        raise StandError("\n".join([f"{event} failed", *_reasons(found or [finished.json()])]))
    demo.newest = [{"event": event, **{key: one[key] for key in _SHOWN}, "served_by": []} for one in found]
    demo.certificates += demo.newest
    await _until_served(demo, nodes)


def _reasons(found: Sequence[_Json]) -> list[str]:
    """Return what failed, why and what to do, for each certificate."""
    errors = [(one.get("name", "wellkeeper"), one["error"]) for one in found if one["error"]]
    return [f"    {name}: {error['what']}: {error['why']}\n    {error['remedy']}" for name, error in errors]


async def _until_served(demo: _Demo, nodes: Sequence[FleetNode]) -> None:
    """Wait until handshakes with these nodes bring the newest certificates. Raises StandError."""
    for node in nodes:
        for one in demo.newest:
            what = f"{node.name} does not serve certificate {one['name']} with serial {one['serial']}"
            async with _limited(what, node.agent.process):
                while await _served(demo, node, one["identifiers"]) != {one["fingerprint_sha256"]}:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
            one["served_by"].append(node.name)
    demo.steps.tell(f"    verified by handshakes with {', '.join(node.name for node in nodes)}")


async def _served(demo: _Demo, node: FleetNode, names: Sequence[str]) -> set[str]:
    """Return the fingerprints that the node serves for the names; none if one is not from the CA, or not served."""
    try:
        return {await served_leaf(node.https, name, demo.trusted) for name in names}
    except OSError:  # SSLError is one
        return set()


async def _status(demo: _Demo, is_wanted: Callable[[_Json], bool]) -> list[_Json]:
    """Return the nodes as the issuer's reports show them, once all are as wanted. Raises StandError."""
    found: list[_Json] = []
    async with _limited("the issuer has no reports of what its nodes serve", demo.fleet.relay.process):
        while not (found and all(map(is_wanted, found))):
            found = (await demo.fleet.issuer.run_well("status", "--nodes", "--json")).json()["nodes"]
    return found


@asynccontextmanager
async def _limited(what: str, process: Process) -> AsyncIterator[None]:
    """Raise StandError with the last lines of the process's log if the body takes too long."""
    try:
        async with asyncio.timeout(_ARRIVE_SECONDS):
            yield
    except TimeoutError:
        raise StandError(f"{what} after {_ARRIVE_SECONDS:g} s\n{process.tail()}") from None


async def _table(demo: _Demo) -> str:
    return (await demo.fleet.issuer.run_well("status", "--nodes")).out.rstrip()


def _is_current(node: _Json) -> bool:
    return bool(node["current"] == node["certificates"] == len(CERTIFICATES))


def _targets(fleet: Fleet) -> list[Target]:
    names = [name for names in CERTIFICATES.values() for name in names]
    return [Target(*node.https, name, unverified_tls()) for node in fleet.nodes for name in names]


def _result(demo: _Demo, nodes: Sequence[_Json], counts: Counts) -> _Json:
    more = {
        node.name: {"https_address": address_text(node.https), "challenges_answered": node.challenges()}
        for node in demo.fleet.nodes
    }
    return {
        "nodes": [one | more[one["name"]] for one in nodes],
        "certificates": demo.certificates,
        "seconds": demo.steps.seconds,
        "requests_served": counts.served,
        "requests_failed": counts.failed,
    }


def _printed(result: _Json, table: str) -> Sequence[str]:
    durations = ", ".join(f"{name.replace('_', ' ')} {seconds:.1f}" for name, seconds in result["seconds"].items())
    answered = ", ".join(f"{one['name']} {one['challenges_answered']}" for one in result["nodes"])
    return (
        table,
        f"tokens that the CA fetched: {answered}",
        f"seconds: {durations}",
        f"requests: {result['requests_served']} served, {result['requests_failed']} failed",
    )
