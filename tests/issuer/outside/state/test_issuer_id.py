"""The id of an issuer: made once per state, and not part of a backup."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.backup.reading import walk
from wellkeeper_issuer.outside.state.issuer_id import find_id, read_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_id_is_made_once_and_no_backup_has_it(folder: Path) -> None:
    assert read_id(folder) is None
    made = find_id(folder, "web1", NOW)
    assert (made.host, made.since) == ("web1", int(NOW.timestamp()))
    assert find_id(folder, "other", datetime.now(UTC)) == made == read_id(folder)
    assert list(walk(folder, "state")) == []


def test_damaged_id_is_made_again(folder: Path) -> None:
    made = find_id(folder, "web1", NOW)
    for text in ("{}", "[", '{"id": 1}'):
        (folder / ".issuer.json").write_text(text)
        assert read_id(folder) is None
    assert find_id(folder, "web1", NOW).id != made.id


def test_directory_that_cannot_be_used_is_an_error(folder: Path) -> None:
    (folder / ".issuer.json").mkdir()
    with pytest.raises(JournalError, match="cannot read"):
        read_id(folder)
    with pytest.raises(JournalError, match="cannot write"):
        find_id(folder / "missing", "web1", NOW)
