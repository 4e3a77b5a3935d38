"""Findings about an engine: its own words, and the rights of its users."""

from typing import Final

import pytest

from wellkeeper_issuer.doctor.engine import judge_encryption, judge_info, judge_rights, parse_info
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.records.engine import parse_engine

INFO: Final = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.2",
    "maxmemory_policy": "noeviction",
    "maxmemory": "104857600",
    "used_memory": "10485760",
    "aof_enabled": "1",
    "role": "master",
    "connected_slaves": "0",
}
SENTINELS: Final = "redis+sentinel://10.0.0.1,10.0.0.2/wk"


def judged(address: str = "redis://10.0.0.1", **changes: str | None) -> dict[str, Finding]:
    info = {name: value for name, value in {**INFO, **changes}.items() if value is not None}
    return {one.check: one for one in judge_info(info, parse_engine(address))}


def test_engine_that_is_set_up_well_is_ok() -> None:
    found = judged()
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert found["version"].cause == "Valkey 9.1.2"
    assert found["memory"].cause == "noeviction, 10 of 100 MiB in use"
    assert judged(valkey_version=None)["version"].cause == "Redis 7.2.4"
    replicated = judged(SENTINELS, connected_slaves="2", min_slaves_good_slaves="2")["replicas"]
    assert (replicated.verdict, replicated.cause) == (Verdict.OK, "2 connected, of which 2 up to date")


@pytest.mark.parametrize(
    ("check", "verdict", "cause", "changes"),
    [
        ("version", Verdict.FAIL, "it is Redis 6.2.1", {"redis_version": "6.2.1", "valkey_version": None}),
        ("version", Verdict.FAIL, "it is Redis ?", {"redis_version": None, "valkey_version": None}),
        ("memory", Verdict.FAIL, "maxmemory-policy is allkeys-lru", {"maxmemory_policy": "allkeys-lru"}),
        ("memory", Verdict.FAIL, "maxmemory-policy is unknown", {"maxmemory_policy": None}),
        ("memory", Verdict.WARN, "there is no limit", {"maxmemory": "0"}),
        ("memory", Verdict.WARN, "90% of 100 MiB are in use", {"used_memory": "94371840"}),
        ("memory", Verdict.FAIL, "it is full, and refuses writes: 100 of 100 MiB", {"used_memory": "104857600"}),
        ("persistence", Verdict.WARN, "it keeps no append-only file", {"aof_enabled": "0"}),
        ("replicas", Verdict.FAIL, "its role is slave", {"role": "slave"}),
        ("replicas", Verdict.WARN, "no replica is connected", {"address": SENTINELS}),
        ("replicas", Verdict.WARN, "1 connected, but the primary accepts writes without", {"connected_slaves": "1"}),
    ],
)
def test_what_is_wrong_has_a_remedy(check: str, verdict: Verdict, cause: str, changes: dict[str, str | None]) -> None:
    found = judged(**changes)[check]  # type: ignore[arg-type]
    assert found.verdict is verdict
    assert found.cause.startswith(cause)
    assert found.fix


def test_fields_of_info_are_read() -> None:
    assert parse_info("# Server\r\nredis_version:7.0.15\r\n\r\nexecutable:/a:b\r\n") == {
        "redis_version": "7.0.15", "executable": "/a:b"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("rediss://10.0.0.1", Verdict.OK),
        ("redis://127.0.0.1", Verdict.OK),
        ("redis://10.0.0.1", Verdict.WARN),
        ("redis+sentinel://127.0.0.1,10.0.0.1/wk", Verdict.WARN),
    ],
)
def test_passwords_need_an_encrypted_connection(address: str, verdict: Verdict) -> None:
    assert judge_encryption(parse_engine(address), is_connected=True).verdict is verdict


def test_encryption_is_only_known_after_a_connection() -> None:
    assert judge_encryption(parse_engine("rediss://10.0.0.1"), is_connected=False).verdict is Verdict.SKIPPED
    assert judge_encryption(parse_engine("redis://10.0.0.1"), is_connected=False).verdict is Verdict.WARN


def test_user_may_do_what_it_needs_and_nothing_else() -> None:
    needed, forbidden = ["read", "report"], ["empty", "list"]
    assert [one.verdict for one in judge_rights("nodes", needed, forbidden, needed)] == [Verdict.OK]
    missing, too_much = judge_rights("nodes", needed, forbidden, ["read", "empty"])
    assert (missing.verdict, missing.cause) == (Verdict.FAIL, "it may not report")
    assert (too_much.verdict, too_much.cause) == (Verdict.WARN, "it may empty, which it does not need")
