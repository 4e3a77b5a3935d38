"""Contract of `happened.History`, for the file and the fake."""

from pathlib import Path
from typing import Protocol

import pytest

from tests.fakes import FakeClock, FakeHistory
from wellkeeper_node.happened import Author, Happened, History, What, record
from wellkeeper_node.history import HistoryFile, read


class Case(Protocol):
    """One implementation, and what it has."""

    @property
    def history(self) -> History: ...

    def subjects(self) -> list[str]: ...


class InFile:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.history = HistoryFile(folder, lambda: Author("root", "wellkeeper run"), FakeClock())

    def subjects(self) -> list[str]:
        return [one.subject for one in read(self._folder)[0]]


class Faked:
    def __init__(self, _folder: Path) -> None:
        self.history = FakeHistory()

    def subjects(self) -> list[str]:
        return [one.subject for one in self.history.happened]


@pytest.fixture(params=[InFile, Faked])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    made: Case = request.param(tmp_path)
    return made


async def test_events_are_kept_in_order_and_again(case: Case) -> None:
    case.history.add(*(Happened(What.NODE_ADDED, name) for name in ("web2", "web3")))
    await record(case.history, Happened(What.NODE_REMOVED, "web2"))
    await record(case.history)
    case.history.add()
    assert case.subjects() == ["web2", "web3", "web2"]
