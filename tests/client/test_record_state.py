"""The rules of records in memory that the contract does not show: bounds, pages, forgotten removals."""

import json

import pytest

from tests.responder.messages import NOW
from wellkeeper_client.record_state import (
    REMOVALS_BYTES,
    FullError,
    Page,
    RecordState,
    RefusedError,
    Stored,
    Wanted,
    version_of,
)

LARGE = 1024 * 1024
# What an entry takes beside key and value.
OVERHEAD = 512
# The groups of the keys here.
GROUPS = frozenset({"a", "b", "c", "z", "large", "old", "bundle", "key"})
ALL = Wanted(GROUPS, lambda _: True)


def stored(key: str, size: int = 10, expires_at: float | None = None) -> Stored:
    return Stored(key, b"x" * size, expires_at)


def filled(*keys: str) -> RecordState:
    state = RecordState(LARGE)
    for key in keys:
        state.put(stored(key), NOW)
    return state


def page(state: RecordState, after: int = 0, most: int = LARGE, prefix: str = "") -> Page:
    return state.page(after, Wanted(GROUPS, lambda key: key.startswith(prefix)), NOW, most)


def keys(found: Page) -> list[str]:
    return [one.key for one in found.records]


def test_version_depends_on_the_value_alone() -> None:
    assert stored("a").version == stored("b").version == version_of(b"x" * 10)
    assert len(version_of(b"")) == 43


def test_memory_is_limited_and_freed() -> None:
    state = RecordState(2 * (OVERHEAD + 1 + 10))
    state.put(stored("a"), NOW)
    state.put(stored("b"), NOW)
    with pytest.raises(FullError, match="limit for all of them is 1046 bytes"):
        state.put(stored("c"), NOW)
    with pytest.raises(FullError):
        state.put(stored("a", 11), NOW, expected=stored("a").version)
    assert (len(state), state.used_bytes) == (2, 1046)
    state.put(stored("a", 9), NOW, expected=stored("a").version)
    state.delete("b", NOW, expected=stored("b").version)
    assert (len(state), state.used_bytes) == (1, 522)


def test_expired_records_make_room() -> None:
    state = RecordState(OVERHEAD + 20)
    state.put(stored("a", expires_at=NOW + 1), NOW)
    with pytest.raises(FullError):
        state.put(stored("b"), NOW)
    state.put(stored("b"), NOW + 1)
    assert (state.get("a", NOW), len(state)) == (None, 1)


def test_refused_write_shows_what_is_stored() -> None:
    state = filled("a")
    with pytest.raises(RefusedError) as caught:
        state.put(Stored("a", b"y"), NOW)
    assert caught.value.current == stored("a")
    with pytest.raises(RefusedError, match="no version"):
        state.put(Stored("b", b"y"), NOW, expected="x")


def test_same_value_again_only_changes_its_end() -> None:
    state = filled("a", "b")
    assert not state.put(stored("a", expires_at=NOW + 5), NOW, expected="anything")
    assert state.get("a", NOW) == stored("a", expires_at=NOW + 5)
    assert keys(page(state)) == ["a", "b"]


def test_pages_follow_each_other_without_gaps() -> None:
    state = filled(*(f"key/{number:02}" for number in range(10)))
    found: list[str] = []
    parts: list[Page] = []
    after = 0
    while not parts or not parts[-1].is_whole:
        parts.append(page(state, after, 3 * (OVERHEAD + 20)))
        found += keys(parts[-1])
        after = parts[-1].next
    assert found == [f"key/{number:02}" for number in range(10)]
    assert [len(one.records) for one in parts] == [3, 3, 3, 1]
    assert [one.is_snapshot for one in parts] == [True, False, False, False]


def test_record_larger_than_a_page_comes_alone() -> None:
    state = filled("a")
    state.put(stored("large", 1000), NOW)
    state.put(stored("z"), NOW)
    assert [keys(page(state, after, 100)) for after in (0, 2, 3)] == [["a"], ["large"], ["z"]]


def test_page_has_the_newest_value_once() -> None:
    state = filled("a", "b")
    state.put(stored("a", 11), NOW, expected=stored("a").version)
    assert page(state).records == (stored("b"), stored("a", 11))
    assert page(state, 2).records == (stored("b"), stored("a", 11))


def test_unwanted_keys_are_passed_over() -> None:
    state = filled("a/1", "b/1", "a/2")
    assert keys(page(state, prefix="a/")) == ["a/1", "a/2"]
    assert page(state, page(state).next, prefix="a/") == Page((), (), 4, is_snapshot=False, is_whole=True)
    state.delete("b/1", NOW, expected=stored("b/1").version)
    assert page(state, 4, prefix="a/").removed == ()


def test_only_keys_of_wanted_groups_are_looked_at() -> None:
    state, asked = filled("wrap/web2/b", "node/web2", "wrap/web3/b", "wrap/web2/a", "wrap/web1/a"), list[str]()

    def is_visible(key: str) -> bool:
        asked.append(key)
        return True

    state.put(stored("wrap/web2/b", 11), NOW, expected=stored("x").version)
    state.delete("wrap/web1/a", NOW, expected=stored("x").version)
    wanted = Wanted({"node", "wrap/web2", "wrap/web1", "report"}, is_visible)
    found = state.page(0, wanted, NOW, LARGE)
    assert keys(found) == asked == ["node/web2", "wrap/web2/a", "wrap/web2/b"]
    assert found == state.page(0, Wanted({"node", "wrap"}, lambda key: "web3" not in key), NOW, LARGE)
    later = state.page(3, wanted, NOW, LARGE)
    assert (keys(later), later.removed) == (["wrap/web2/a", "wrap/web2/b"], ("wrap/web1/a",))
    assert "wrap/web3/b" not in asked
    assert state.page(3, Wanted({"wrap/web3"}, lambda _: True), NOW, LARGE).removed == ()


def test_deleted_record_that_came_back_is_not_removed() -> None:
    state = filled("a")
    after = page(state).next
    state.delete("a", NOW, expected=stored("a").version)
    assert page(state, after).removed == ("a",)
    state.put(stored("a", 12), NOW)
    assert (page(state, after).removed, keys(page(state, after))) == ((), ["a"])


def test_expired_records_leave_without_a_change() -> None:
    state = RecordState(LARGE)
    state.put(stored("a", expires_at=NOW), NOW - 1)
    assert (keys(page(state)), page(state, 2).removed) == ([], ())


@pytest.mark.parametrize("after", [5_000, 10**15])
def test_number_of_another_process_begins_a_snapshot(after: int) -> None:
    state = filled("a")
    assert page(state, after) == Page((stored("a"),), (), 2, is_snapshot=True, is_whole=True)
    assert state.has_changes(after, ALL, NOW)


def test_follower_that_missed_many_removals_gets_a_snapshot() -> None:
    most = REMOVALS_BYTES // (32 + len("key/1000"))
    state = filled("old", *(f"key/{number}" for number in range(1000, 1000 + most + 10)))
    early = page(state).next
    for number in range(1000, 1000 + most):
        state.delete(f"key/{number}", NOW, expected=stored("x").version)
    assert not page(state, early).is_snapshot
    state.delete(f"key/{1000 + most}", NOW, expected=stored("x").version)
    late = page(state, early)
    assert late.is_snapshot
    assert (late.removed, len(late.records)) == ((), 10)
    assert not page(state, early + 1).is_snapshot


def test_removals_of_long_keys_stay_within_a_page() -> None:
    keys = [f"bundle/{number:0>240}" for number in range(1000)]
    state = filled("old", *keys)
    early = page(state).next
    for key in keys:
        state.delete(key, NOW, expected=stored("x").version)
    assert page(state, early).is_snapshot
    last = page(state, page(state).next - REMOVALS_BYTES // 279)
    assert not last.is_snapshot
    assert len(json.dumps(last.removed)) < REMOVALS_BYTES


def test_changes_are_reported_only_for_wanted_keys() -> None:
    state = filled("a/1")
    assert state.has_changes(1, Wanted({"a"}, "a/1".__eq__), NOW)
    assert not state.has_changes(1, Wanted({"a"}, "a/2".__eq__), NOW)
    assert not state.has_changes(1, Wanted({"b"}, "a/1".__eq__), NOW)
    assert not RecordState(LARGE).has_changes(0, ALL, NOW)


def test_lease_of_another_holder_waits_for_its_end() -> None:
    state = RecordState(LARGE)
    lease = state.acquire("one", 10, NOW)
    assert lease is not None
    assert state.acquire("two", 10, NOW + 9) is None
    assert state.extend(lease, 10, NOW + 9)
    assert state.acquire("two", 10, NOW + 18) is None
    assert not state.extend(lease, 10, NOW + 19)
    assert state.acquire("two", 10, NOW + 19)
    with pytest.raises(RefusedError) as caught:
        state.delete("a", NOW, expected="x", lease=lease)
    assert caught.value.is_lease_lost
