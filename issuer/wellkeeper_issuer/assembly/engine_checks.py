"""Try an engine as the issuer and as a node, without changing anything that others use."""

import asyncio
import math
import secrets
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_issuer.assembly import build, engines
from wellkeeper_issuer.assembly.engine_records import judge_records
from wellkeeper_issuer.doctor import engine as judged
from wellkeeper_issuer.doctor.engine import Command
from wellkeeper_issuer.fleet.lease import shown
from wellkeeper_issuer.fleet.reports import PROBE
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.engine import EngineAddress
from wellkeeper_node.records.port import Update

if TYPE_CHECKING:
    from wellkeeper_node.records.engine_calls import EngineCalls
    from wellkeeper_node.records.valkey import ValkeyRecords

_LEASE_SECONDS: Final = 5
_RECORD_SECONDS: Final = 60.0
_SEEN_SECONDS: Final = 10.0
# More than issuer and nodes wait, so that a slow engine is called slow.
_CALL_SECONDS: Final = 5.0
# As in `status --nodes`.
_LATELY_SECONDS: Final = 180.0
_OF_AN_ENGINE_IN_USE: Final = frozenset({"memory", "server"})
_NETWORK: Final = (
    "Check the address (rediss:// only with TLS), the firewall, and the user's line in the engine's ACL file."
)


@dataclass(frozen=True, slots=True)
class _User:
    """A user of the engine, and its view of the records."""

    name: str
    calls: "EngineCalls"
    records: "ValkeyRecords"


async def check_engine(settings: Settings, address: EngineAddress) -> list[Finding]:
    """Return what was tried. Raises SettingsError."""
    issuer, nodes = _users(settings, address)
    try:
        found = [await _connects(one) for one in (issuer, nodes)]
        connected = [one.verdict is not Verdict.FAIL for one in found]
        found.insert(0, judged.judge_encryption(address, is_connected=any(connected)))
        if all(connected):
            found += [await _lease(issuer.records), await _follow(issuer, nodes), await _report(issuer, nodes)]
            found += await _rights(issuer, judged.issuer_rights(address.prefix))
            found += await _rights(nodes, judged.node_rights(address.prefix))
            found += await _info(issuer, address)
            found += await judge_records(settings, issuer.calls, address)
            found += await _nodes(settings, issuer.records)
        return found
    finally:
        await issuer.records.close()
        await nodes.records.close()


def _users(settings: Settings, address: EngineAddress) -> Iterator[_User]:
    for name, calls in zip(("issuer", "nodes"), engines.calls(settings, address, _CALL_SECONDS), strict=True):
        from wellkeeper_node.records.valkey import ValkeyRecords

        yield _User(name, calls, ValkeyRecords(calls, SystemClock(), "" if name == "issuer" else "check"))


async def look_at_engine(settings: Settings, address: EngineAddress) -> list[Finding]:
    """Return what is wrong with an engine in use: its memory, and what else is among the records. It only reads.

    Raises SettingsError.
    """
    issuer, nodes = _users(settings, address)
    try:
        found = [await _connects(issuer)]
        if found[0].verdict is not Verdict.FAIL:
            found = [one for one in await _info(issuer, address) if one.check in _OF_AN_ENGINE_IN_USE]
            found += await judge_records(settings, issuer.calls, address)
        return [one for one in found if one.verdict is not Verdict.OK]
    finally:
        await issuer.records.close()
        await nodes.records.close()


async def _connects(user: _User) -> Finding:
    try:
        await user.records.get("heartbeat/issuer")
    except RecordsError as error:
        return _failed("connection", user.name, error)
    return Finding("connection", Verdict.OK, user.name, "connected, and the password is accepted")


async def _lease(issuer: "ValkeyRecords") -> Finding:
    try:
        lease = await issuer.acquire(f"check-{secrets.token_hex(4)}", _LEASE_SECONDS)
        if lease is None:
            return Finding("lease", Verdict.OK, "", f"held by an issuer: {shown(await issuer.holder() or '?')}")
        await issuer.extend(lease, _LEASE_SECONDS)
        await issuer.extend(lease, 0)
    except RecordsError as error:
        return _failed("lease", "issuer", error)
    return Finding("lease", Verdict.OK, "", "free; acquired, extended and released")


async def _follow(issuer: _User, nodes: _User) -> Finding:
    """Let a node follow, and see a record come and go."""
    clock, key = SystemClock(), f"{Kind.HEARTBEAT}/check-{secrets.token_hex(4)}"
    try:
        async with aclosing(nodes.records.follow(Kind.HEARTBEAT)) as updates, asyncio.timeout(_SEEN_SECONDS):
            while not (await anext(updates)).is_whole:
                pass
            began = clock.monotonic()
            end = clock.now().timestamp() + _RECORD_SECONDS
            version = await issuer.records.put(key, b"check", expires_at=end)
            while not _has(await anext(updates), key):
                pass
            seconds = clock.monotonic() - began
            await issuer.records.delete(key, expected=version)
            while key not in (await anext(updates)).removed:
                pass
    except RecordsError as error:
        return _failed("follow", "", error)
    except TimeoutError:
        cause = f"a node did not see within {_SEEN_SECONDS:g} s what the issuer wrote"
        return Finding("follow", Verdict.FAIL, "", cause, "Check that one primary answers at the address.")
    cause = f"a node saw a record {seconds * 1000:.0f} ms after it was written"
    if seconds <= engines.CALL_SECONDS:
        return Finding("follow", Verdict.OK, "", cause)
    limit = f"issuer and nodes wait {engines.CALL_SECONDS * 1000:.0f} ms for a reply"
    return Finding("follow", Verdict.WARN, "", f"{cause}; {limit}", "Use an engine that is closer or less busy.")


async def _report(issuer: _User, nodes: _User) -> Finding:
    """Let a node report, as it does: in a transaction."""
    key, end = f"{Kind.REPORT}/check-{secrets.token_hex(4)}", SystemClock().now().timestamp() + _RECORD_SECONDS
    try:
        await issuer.records.delete(key, expected=await nodes.records.put(key, PROBE, expires_at=end))
    except RecordsError as error:
        return _failed("report", "nodes", error)
    return Finding("report", Verdict.OK, "nodes", "a node can report")


def _has(update: Update, key: str) -> bool:
    return any(one.key == key for one in update.records)


async def _rights(user: _User, rights: tuple[Mapping[str, Command], Mapping[str, Command]]) -> list[Finding]:
    needed, forbidden = rights
    tried = {**needed, **forbidden}
    try:
        async with user.calls.apart() as connection:  # it ends inside the transaction, so nothing is executed
            replies = await connection.ask(("MULTI",), *tried.values())
    except RecordsError as error:
        return [_failed("rights", user.name, error)]
    from wellkeeper_node.records.engine_errors import is_denied

    found = dict(zip(tried, replies[1:], strict=True))
    # An engine that is full, or a replica, refuses commands that the user may run.
    allowed = [one for one in needed if not is_denied(found[one])]
    allowed += [one for one in forbidden if isinstance(found[one], bytes)]
    return list(judged.judge_rights(user.name, needed, forbidden, allowed))


async def _info(issuer: _User, address: EngineAddress) -> list[Finding]:
    try:
        async with issuer.calls.apart() as connection:
            (reply,) = await connection.ask(("INFO",))
    except RecordsError as error:
        return [_failed("server", "issuer", error)]
    if not isinstance(reply, bytes):
        cause = f"its memory, persistence and replicas are unknown: {reply}"
        return [Finding("server", Verdict.WARN, "", cause, judged.ACL)]
    return judged.judge_info(judged.parse_info(reply.decode("utf-8", "replace")), address)


async def _nodes(settings: Settings, issuer: "ValkeyRecords") -> list[Finding]:
    """Compare the nodes with those that have reported to the engine lately, if the fleet uses one."""
    if not settings.fleet.engine.address or not has_state(settings.state_dir):
        return []
    async with build.state_to_read(settings) as state:
        nodes = await state.fleet.read_nodes()
    now = SystemClock().now().timestamp()
    return [_node(name, now - await _reported_at(issuer, name, one.signing_key)) for name, one in nodes.items()]


async def _reported_at(issuer: "ValkeyRecords", node: str, signing_key: str) -> float:
    """Return when the node signed the report that the engine has, -inf without one."""
    key = decode_public_key(signing_key)
    try:
        stored = await issuer.get(f"{Kind.REPORT}/{node}")
        return records.read(stored.value, {key_id(key): key}, Kind.REPORT).issued_at if stored else -math.inf
    except (RecordsError, MessageError):
        return -math.inf


def _node(name: str, age_seconds: float) -> Finding:
    if age_seconds <= _LATELY_SECONDS:
        return Finding("nodes", Verdict.OK, name, f"it reported to the engine {max(age_seconds, 0):.0f} s ago")
    cause = "it has not reported to the engine lately, and may follow only the relay"
    fix = (
        "Read the log of wellkeeper-node there: it is too old, lacks the extra 'valkey', or does not reach the engine."
    )
    return Finding("nodes", Verdict.WARN, name, cause, fix)


def _failed(check: str, subject: str, error: RecordsError) -> Finding:
    cause = f"{error.what}: {error.why}" if error.why else error.what
    return Finding(check, Verdict.FAIL, subject, cause, error.remedy or _NETWORK)
