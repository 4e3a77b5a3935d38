"""The choice of the connection that makes room for a new one."""

from dataclasses import dataclass

import pytest

from wellkeeper_responder.capacity import Capacity, Limits, limits_for, wanted_files


@dataclass(eq=False)
class Connection:
    peer: str = "a"
    is_signed: bool = False
    is_handling: bool = False
    is_idle: bool = True
    is_dropped: bool = False

    def drop(self) -> None:
        self.is_dropped = True


class Counts:
    def __init__(self) -> None:
        self.refused = self.closed = 0

    def refuse(self) -> None:
        self.refused += 1

    def close(self) -> None:
        self.closed += 1


def capacity(maximum: int, counts: Counts, per_peer: int | None = None) -> Capacity:
    return Capacity(maximum, counts.refuse, counts.close, per_peer=per_peer)


def test_oldest_of_equals_makes_room() -> None:
    full, held = capacity(2, Counts()), [Connection(), Connection()]
    assert full.admit(held[0])
    assert full.admit(held[1])
    assert full.admit(Connection())
    assert [one.is_dropped for one in held] == [True, False]
    assert len(full) == 2


@pytest.mark.parametrize("is_older", [True, False])
@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({}, {"is_idle": False}),
        ({}, {"is_signed": True}),
        ({"is_idle": False, "is_handling": True}, {"is_signed": True}),
        ({"is_signed": True}, {"is_signed": True, "is_handling": True, "is_idle": False}),
    ],
    ids=["idle", "not signed", "not signed, with a request", "signed and idle"],
)
def test_first_of_these_makes_room(first: dict[str, bool], last: dict[str, bool], *, is_older: bool) -> None:
    full, goes, stays = capacity(2, Counts()), Connection("a", **first), Connection("b", **last)
    for one in (goes, stays) if is_older else (stays, goes):
        full.admit(one)
    assert full.admit(Connection("d"))
    assert (goes.is_dropped, stays.is_dropped) == (True, False)


def test_peer_that_holds_the_most_makes_room() -> None:
    full, one, many = capacity(3, Counts()), Connection("one"), [Connection("many"), Connection("many")]
    for connection in (one, *many):
        full.admit(connection)
    assert full.admit(Connection("new"))
    assert (one.is_dropped, many[0].is_dropped, many[1].is_dropped) == (False, True, False)


def test_request_makes_a_connection_the_last_to_go() -> None:
    full, first, second = capacity(2, Counts()), Connection(), Connection()
    full.admit(first)
    full.admit(second)
    full.note_request(first)
    full.admit(Connection())
    assert (first.is_dropped, second.is_dropped) == (False, True)


def test_peer_with_its_share_makes_room_for_itself() -> None:
    counts, other, own = Counts(), Connection("other"), Connection("own")
    shared = capacity(4, counts, per_peer=1)
    assert shared.admit(other)
    assert shared.admit(own)
    assert shared.admit(Connection("own"))
    assert (other.is_dropped, own.is_dropped, len(shared)) == (False, True, 2)
    assert (counts.refused, counts.closed) == (0, 1)


def test_new_connection_is_refused_while_all_others_carry_signed_requests() -> None:
    counts = Counts()
    full = capacity(1, counts)
    busy = Connection(is_signed=True, is_handling=True, is_idle=False)
    full.admit(busy)
    assert not full.admit(Connection())
    assert (counts.refused, counts.closed, busy.is_dropped) == (1, 0, False)


def test_connection_leaves_once() -> None:
    left, connection = capacity(2, Counts()), Connection()
    left.admit(connection)
    left.leave(connection)
    left.leave(connection)
    left.note_request(connection)
    assert len(left) == 0


def test_limits_fit_the_files_that_a_process_may_open() -> None:
    assert limits_for(wanted_files(1, 2), 1, 2) == Limits() == Limits(1024, 64)
    for open_files in range(120, 1200, 7):
        limits = limits_for(open_files, 1, 1)
        assert limits.public + limits.control <= open_files - 64
        assert limits.control >= 4
    assert limits_for(16, 1, 1) == Limits(8, 4)
