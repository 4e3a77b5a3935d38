"""The file that marks an issuer as restored."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wellkeeper_issuer.outside.state.restored import RESTORED, RestoredFile
from wellkeeper_issuer.ports.fleet import Lost, Restore

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, UTC)


@pytest.mark.parametrize(
    "restore",
    [Restore(), Restore(NOW), Restore(NOW, {}), Restore(NOW, {"web": Lost("v1", 3), "mail": Lost(None, 4)})],
    ids=["restored", "waiting", "over", "lost"],
)
def test_restore_is_read_back_the_same(folder: Path, restore: Restore) -> None:
    file = RestoredFile(folder)
    assert file.read() is None
    file.write(restore)
    assert file.read() == restore
    assert (folder / RESTORED).stat().st_mode & 0o7777 == 0o600
    for _ in range(2):
        file.remove()
        assert file.read() is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"waits_from": 5, "lost": null}', '{"waits_from": "", "lost": 5}']
)
def test_damaged_file_is_that_of_a_new_restore(folder: Path, content: str) -> None:
    (folder / RESTORED).write_text(content)
    assert RestoredFile(folder).read() == Restore()
