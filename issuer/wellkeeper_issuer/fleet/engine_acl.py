"""The two users of an engine, as lines of its ACL file, and the lines of its configuration. Pure.

The lines have SHA-256 of the passwords, which are random: they may be shown, copied and kept. No command is in them
that Redis 7.0 does not know, such as `client|setinfo`: a server with one in its ACL file does not start.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

# What both need to connect and to follow.
_BOTH: Final = ("auth", "hello", "ping", "select", "subscribe", "getrange", "sscan")
# Reports are stored in a transaction: a script could occupy the engine forever.
_NODE: Final = (*_BOTH, "watch", "multi", "exec", "set", "publish")
# Scripts store and delete in one step with the lease; the rest is what they call.
_ISSUER: Final = (
    *_BOTH, "multi", "info", "eval", "evalsha", "get", "set", "del", "exists", "pexpire", "sadd", "srem", "srandmember",
    "publish",
)  # fmt: skip

CONFIGURATION: Final = (
    "# When memory is full, refuse writes instead of dropping records.",
    "maxmemory 512mb",
    "maxmemory-policy noeviction",
    "# Keep the records across restarts; the issuer writes again what is lost.",
    "appendonly yes",
    "appendfsync everysec",
    "# With replicas: a primary that lost them refuses writes, so that a failover loses none that it accepted.",
    "# With one replica, its loss stops writes: leave this out, or have two.",
    "# min-replicas-to-write 1",
    "# min-replicas-max-lag 10",
)
DEDICATED: Final = "user default off"


@dataclass(frozen=True, slots=True)
class EngineUser:
    """A user of the engine, with the password that its line has the digest of."""

    name: str
    password: str = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.password.encode()).hexdigest()


def issuer_line(user: EngineUser, prefix: str) -> str:
    """Return the line of the issuer's user: all of the prefix, and nothing else of the server."""
    return _line(user, (f"~{prefix}:*", f"&{prefix}:*"), _ISSUER)


def node_line(user: EngineUser, prefix: str) -> str:
    """Return the line of the user that all nodes share: they read the prefix, and write reports."""
    return _line(user, (f"%R~{prefix}:*", f"~{prefix}:report/*", f"&{prefix}:*"), _NODE)


def _line(user: EngineUser, places: tuple[str, ...], commands: tuple[str, ...]) -> str:
    rights = " ".join((*places, "-@all", *(f"+{one}" for one in commands)))
    return f"user {user.name} on #{user.digest} sanitize-payload resetkeys resetchannels {rights}"
