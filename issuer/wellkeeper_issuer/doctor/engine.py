"""Judge an engine by what it says about itself, and by what its users may do. Pure.

A right is tried inside a transaction that is never executed: the engine answers `QUEUED`, or refuses the command.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.engine import EngineAddress

_OLDEST: Final = 7
_NEARLY_FULL: Final = 0.8
ACL: Final = "Set the users again, with the lines that 'wellkeeper engine acl' prints."
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Command = tuple[str, ...]


def node_rights(prefix: str) -> tuple[Mapping[str, Command], Mapping[str, Command]]:
    """Return what the nodes' user must be able to do, and what it must not, each with a command that tries it."""
    needed = {
        "read records": ("GETRANGE", f"{prefix}:manifest/fleet", "0", "1"),
        "find records": ("SSCAN", f"{prefix}:publication/", "0"),
        "write reports": ("SET", f"{prefix}:report/check", "x"),
        "publish reports": ("PUBLISH", f"{prefix}:node/", "x"),
        "send PING": ("PING",),
    }
    return needed, {**_outside(prefix), **_records_of_others(prefix), "run scripts": ("EVAL", "return 1", "0")}


def issuer_rights(prefix: str) -> tuple[Mapping[str, Command], Mapping[str, Command]]:
    """Return the same for the issuer's user; what it does with records is tried by doing it."""
    needed = {
        "run scripts": ("EVALSHA", "0" * 40, "1", f"{prefix}:lease"),
        "find records": ("SSCAN", f"{prefix}:publication/", "0"),
        "follow records": ("SUBSCRIBE", f"{prefix}:node/"),
        "send PING": ("PING",),
    }
    return needed, _outside(prefix)


def _outside(prefix: str) -> Mapping[str, Command]:
    return {
        "empty the server": ("FLUSHALL",),
        "empty the database": ("FLUSHDB",),
        "list all keys": ("KEYS", "*"),
        "read the configuration": ("CONFIG", "GET", "dir"),
        "change the users": ("ACL", "SETUSER", "wellkeeper-check"),
        "read other keys": ("GETRANGE", f"other-{prefix}", "0", "1"),
        "write other keys": ("SET", f"other-{prefix}", "x"),
        "follow other channels": ("SUBSCRIBE", f"other-{prefix}"),
    }


def _records_of_others(prefix: str) -> Mapping[str, Command]:
    return {
        "write the issuer's records": ("SET", f"{prefix}:manifest/fleet", "x"),
        "take the lease": ("SET", f"{prefix}:lease", "x"),
        "delete records": ("DEL", f"{prefix}:manifest/fleet"),
        "change directories": ("SADD", f"{prefix}:publication/", "x"),
    }


def judge_rights(
    user: str, needed: Collection[str], forbidden: Collection[str], allowed: Collection[str]
) -> Iterator[Finding]:
    """Compare what the user may do with what it should."""
    missing = [one for one in needed if one not in allowed]
    too_much = [one for one in forbidden if one in allowed]
    if missing:
        yield Finding("rights", Verdict.FAIL, user, f"it may not {', '.join(missing)}", ACL)
    if too_much:
        yield Finding("rights", Verdict.WARN, user, f"it may {', '.join(too_much)}, which it does not need", ACL)
    if not missing and not too_much:
        yield Finding("rights", Verdict.OK, user, "it may do what it needs, and nothing else")


def parse_info(text: str) -> Mapping[str, str]:
    """Return the fields of INFO."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, separator, value in lines if separator}


def judge_info(info: Mapping[str, str], address: EngineAddress) -> list[Finding]:
    """Judge version, memory, persistence and replicas."""
    return [_version(info), *_memory(info), _persistence(info), *_replicas(info, address)]


def judge_encryption(address: EngineAddress, *, is_connected: bool) -> Finding:
    """Judge how the passwords travel; only a connection shows that the server has TLS and the right certificate."""
    hosts = [host for host, _ in address.hosts]
    if address.is_encrypted and not is_connected:
        return Finding("tls", Verdict.SKIPPED, "", "unknown, because neither issuer nor nodes could connect")
    if address.is_encrypted:
        return Finding("tls", Verdict.OK, "", "the connection is encrypted, and the server's certificate is verified")
    if _LOOPBACK.issuperset(hosts):
        return Finding("tls", Verdict.OK, "", "the engine is on this host")
    cause = "the connection is not encrypted: anyone who can read the traffic learns both passwords"
    return Finding("tls", Verdict.WARN, ", ".join(hosts), cause, "Use rediss://, or a VPN between all hosts.")


def _version(info: Mapping[str, str]) -> Finding:
    valkey, redis = info.get("valkey_version", ""), info.get("redis_version", "")
    name = f"Valkey {valkey}" if valkey else f"Redis {redis or '?'}"
    major = redis.partition(".")[0]
    if major.isdecimal() and int(major) >= _OLDEST:
        return Finding("version", Verdict.OK, "", name)
    return Finding("version", Verdict.FAIL, "", f"it is {name}", "Use Valkey, or Redis 7.0 or later.")


def _memory(info: Mapping[str, str]) -> Iterator[Finding]:
    policy, limit, used = info.get("maxmemory_policy", ""), _number(info, "maxmemory"), _number(info, "used_memory")
    if policy != "noeviction":
        cause = f"maxmemory-policy is {policy or 'unknown'}: when memory is full, the engine drops records"
        yield Finding("memory", Verdict.FAIL, "", cause, "Set 'maxmemory-policy noeviction' in its configuration.")
    elif not limit:
        cause = "there is no limit: a node can fill the host's memory with reports"
        yield Finding("memory", Verdict.WARN, "", cause, "Set 'maxmemory 512mb' in its configuration.")
    elif used >= limit:
        cause = f"it is full, and refuses writes: {used / 2**20:.0f} of {limit / 2**20:.0f} MiB are in use"
        yield Finding("memory", Verdict.FAIL, "", cause, "Raise maxmemory in its configuration.")
    elif used > limit * _NEARLY_FULL:
        cause = f"{used / limit:.0%} of {limit / 2**20:.0f} MiB are in use"
        yield Finding("memory", Verdict.WARN, "", cause, "Raise maxmemory in its configuration.")
    else:
        yield Finding("memory", Verdict.OK, "", f"noeviction, {used / 2**20:.0f} of {limit / 2**20:.0f} MiB in use")


def _persistence(info: Mapping[str, str]) -> Finding:
    if info.get("aof_enabled") == "1":
        return Finding("persistence", Verdict.OK, "", "it keeps an append-only file")
    cause = "it keeps no append-only file: a restart loses records until the issuer has written them again"
    return Finding("persistence", Verdict.WARN, "", cause, "Set 'appendonly yes' in its configuration.")


def _replicas(info: Mapping[str, str], address: EngineAddress) -> Iterator[Finding]:
    count, fix = _number(info, "connected_slaves"), "Start a replica, and check it with 'INFO replication'."
    if info.get("role") != "master":
        cause = f"its role is {info.get('role', 'unknown')}, and only a primary accepts writes"
        yield Finding("replicas", Verdict.FAIL, "", cause, "Use the address of the primary, or those of the Sentinels.")
    elif not count and address.service:
        yield Finding("replicas", Verdict.WARN, "", "no replica is connected: Sentinels have none to promote", fix)
    elif not count:
        yield Finding("replicas", Verdict.OK, "", "one server without replicas")
    elif "min_slaves_good_slaves" not in info:
        cause = f"{count} connected, but the primary accepts writes without them, and a failover loses such writes"
        fix = "Set 'min-replicas-to-write 1' and 'min-replicas-max-lag 10' if there are two; the issuer retries."
        yield Finding("replicas", Verdict.WARN, "", cause, fix)
    else:
        yield Finding(
            "replicas", Verdict.OK, "", f"{count} connected, of which {info['min_slaves_good_slaves']} up to date"
        )


def _number(info: Mapping[str, str], name: str) -> int:
    found = info.get(name, "")
    return int(found) if found.isdecimal() else 0
