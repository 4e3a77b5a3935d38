"""Who owns the state, told without waiting and without taking the lock."""

import os
from pathlib import Path

import pytest

from wellkeeper_issuer.outside.state.lock import find_owner, leave_lock, take_lock


def test_owner_is_told_while_it_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "state.lock"
    assert find_owner(path) is None
    lock = take_lock(path, "run")
    assert find_owner(path) == (os.getpid(), "run")
    leave_lock(lock)
    assert find_owner(path) is None


def test_pid_that_was_given_to_another_process_is_no_owner(tmp_path: Path) -> None:
    path = tmp_path / "state.lock"
    path.write_text(f"{os.getpid()} run\n")  # as ours would be: without the lock
    assert find_owner(path) is None


@pytest.mark.parametrize("text", ["", "nonsense", "99999999 run\n", "\udcff"], ids=["empty", "other", "dead", "bytes"])
def test_what_a_crash_left_behind_is_no_owner(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.lock"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert find_owner(path) is None
