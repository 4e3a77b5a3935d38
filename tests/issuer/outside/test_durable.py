"""Work on the disk: folders that are given away, and only those."""

import os
from pathlib import Path

import pytest

from wellkeeper_issuer.outside import durable

US = durable.Owner(os.geteuid(), os.getegid())


def test_folder_has_its_mode_and_what_was_missing_above_it_is_for_all_to_pass(folder: Path) -> None:
    durable.make_folder(folder / "srv/tls/certificates", 0o750, US)
    modes = [(folder / path).stat().st_mode & 0o777 for path in ("srv", "srv/tls", "srv/tls/certificates")]
    assert modes == [0o755, 0o755, 0o750]


@pytest.mark.parametrize("owner", [durable.Owner(), US], ids=["nobody else", "us"])
def test_folder_that_is_there_is_left_alone(folder: Path, owner: durable.Owner) -> None:
    (folder / "there").mkdir(0o711)
    durable.make_folder(folder / "there", 0o700, owner)
    assert (folder / "there").stat().st_mode & 0o777 == 0o711
