"""Put the content of a backup on disk: a file of an earlier restore is there until the newer one takes its place."""

import json
import tempfile
from pathlib import Path

import pytest

from wellkeeper_issuer.outside.backup.placing import Restoring
from wellkeeper_issuer.outside.state.lock import DECIDED, STAGING
from wellkeeper_issuer.outside.state.standby import MARK


def test_mark_of_a_standby_stays_when_the_newer_one_cannot_take_its_place(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("former")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:  # another file system, so no rename
        (tmp_path / STAGING).symlink_to(elsewhere)
        (tmp_path / STAGING / MARK).write_text("newer")
        mark = [str(tmp_path), MARK]
        decision = {"digest": "d", "tops": [mark], "gone": [mark]}
        (tmp_path / STAGING / DECIDED).write_text(json.dumps(decision))
        with pytest.raises(OSError, match="cross-device"):
            Restoring((), tmp_path, tmp_path / "certificates", "d", (tmp_path,)).complete()
    assert (tmp_path / MARK).read_text() == "former"
