"""Judge what is among the records in an engine: only those of this fleet should be."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import KEY
from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly.engine_contents import fleet_keys
from wellkeeper_issuer.fleet.feeds import ENGINE_KINDS
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.engine import EngineAddress
from wellkeeper_node.records.port import Records
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_node.records.engine_calls import EngineCalls

_CHECK: Final = "records"
_OWN_PREFIX: Final = (
    "Give each fleet its own: run 'wellkeeper engine acl' with '?prefix=NAME' at the end of the address, set the users "
    "by its lines, and use this address."
)


async def judge_records(settings: Settings, calls: "EngineCalls", address: EngineAddress) -> list[Finding]:
    """Return a finding for each kind of foreign entries, or for another fleet. `calls` are those of the issuer."""
    from wellkeeper_node.records.engine_strangers import Strangers
    from wellkeeper_node.records.valkey import ValkeyRecords

    found = list[Finding]()

    def tell(cause: str, fix: str) -> None:
        found.append(Finding(_CHECK, Verdict.WARN, "", cause, fix))

    engine = ValkeyRecords(calls, SystemClock(), "", Strangers(calls, tell))
    try:
        if await _is_of_another_fleet(settings, engine):
            cause = f"another fleet uses the prefix {address.prefix!r} in this engine"
            return [Finding(_CHECK, Verdict.FAIL, "", cause, _OWN_PREFIX)]
        count = await _count(engine)
    except RecordsError as error:
        return [*found, Finding(_CHECK, Verdict.FAIL, "", f"{error.what}: {error.why}", error.remedy)]
    return found or [Finding(_CHECK, Verdict.OK, "", f"it has {counted(count, 'record')}, and nothing else among them")]


async def _is_of_another_fleet(settings: Settings, engine: Records) -> bool:
    """Return whether the heartbeat there is that of an issuer with other fleet keys."""
    stored = await engine.get(KEY)
    try:
        if stored is not None:
            records.read(stored.value, fleet_keys(settings), Kind.HEARTBEAT)  # by the clock of another host
    except MessageError:
        return True
    return False


async def _count(engine: Records) -> int:
    """Return the number of records in a snapshot."""
    count = 0
    async with aclosing(engine.follow(*ENGINE_KINDS)) as updates:
        async for update in updates:
            count += len(update.records)
            if update.is_whole:
                break
    return count
