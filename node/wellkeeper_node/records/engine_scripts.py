"""The writes to an engine, each in one step: Lua that compares the version and the lease, then writes.

A value is stored after a line with its version and its end (`engine_values`), so that a condition is checked without
the value. Scripts get the time of the writer, as they do for the relay; the engine's clock only removes what has ended.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_client.record_state import Stored

# An engine removes a record so long after its end: readers decide by their own clocks.
_GRACE_SECONDS: Final = 60
# What scripts return; anything else is a conflict.
DONE: Final = "done"
LEASE_LOST: Final = "lease-lost"
PRESENT: Final = "present"


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and its SHA-1, by which an engine knows it."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


def milliseconds_left(stored: Stored, now: float) -> int:
    """Return how long the engine should keep the record, 0 for one without an end."""
    return 0 if stored.expires_at is None else max(1, int((stored.expires_at - now + _GRACE_SECONDS) * 1000))


# The record under KEYS[1], unless it has ended; then whether the lease in KEYS[2] is the one of the writer.
_CONDITIONS: Final = """
local found, current = redis.pcall('GETRANGE', KEYS[1], 0, 79), ''
if type(found) == 'string' then
  local version, ends = found:match('^([%w_-]+) (%S+) ')
  if version and (ends == '-' or (tonumber(ends) or 0) > tonumber(ARGV[1])) then current = version end
end
if ARGV[2] ~= '' then
  local held = redis.call('GET', KEYS[2])
  if not held or held:match('^(%S+) ') ~= ARGV[2] then return 'lease-lost' end
end
"""

# KEYS: record, lease, directory, epoch, and if a node owns the directory, that of all owners. ARGV: time, lease,
# expected version, name in the directory, key, channel, other channel or "", owner; then version, value, milliseconds,
# epoch. Each time, three names of the directory are looked at, so that what ended does not stay there.
PUT: Final = Script(
    _CONDITIONS
    + """
if current ~= ARGV[9] and current ~= ARGV[3] then return current == '' and 'absent' or 'present' end
redis.call('SET', KEYS[1], ARGV[10])
if ARGV[11] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[11]) end
redis.call('SADD', KEYS[3], ARGV[4])
if KEYS[5] then redis.call('SADD', KEYS[5], ARGV[8]) end
redis.call('SET', KEYS[4], ARGV[12], 'NX')
for _, name in ipairs(redis.call('SRANDMEMBER', KEYS[3], 3)) do
  if redis.call('EXISTS', KEYS[3] .. name) == 0 then redis.call('SREM', KEYS[3], name) end
end
if current ~= ARGV[9] then
  redis.call('PUBLISH', ARGV[6], ARGV[5])
  if ARGV[7] ~= '' then redis.call('PUBLISH', ARGV[7], ARGV[5]) end
end
return 'done'
"""
)

# As PUT, without what follows the owner.
DELETE: Final = Script(
    _CONDITIONS
    + """
if current ~= '' and current ~= ARGV[3] then return 'present' end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[3], ARGV[4])
if KEYS[5] and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SREM', KEYS[5], ARGV[8]) end
if current ~= '' then
  redis.call('PUBLISH', ARGV[6], ARGV[5])
  if ARGV[7] ~= '' then redis.call('PUBLISH', ARGV[7], ARGV[5]) end
end
return 'done'
"""
)

# KEYS: lease. ARGV: holder, new lease, milliseconds.
ACQUIRE: Final = Script(
    """
local held = redis.call('GET', KEYS[1])
if held and held:match('^%S+ (.*)$') ~= ARGV[1] then return 'held' end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[3])
return 'done'
"""
)

# KEYS: lease. ARGV: lease, milliseconds.
EXTEND: Final = Script(
    """
local held = redis.call('GET', KEYS[1])
if not held or held:match('^(%S+) ') ~= ARGV[1] then return 'lease-lost' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'done'
"""
)
