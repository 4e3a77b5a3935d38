"""Proof that a directory can store files, and warnings about its file system."""

import logging
import os
import pwd
from pathlib import Path

import pytest

from tests.issuer.outside.states import names
from tests.unprivileged import shared_folder
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.proof import file_system, prove, prove_places, warn_of_ephemeral
from wellkeeper_node.errors import InstallError

OTHER_USER = 65534


def mountinfo(folder: Path, kind: str) -> Path:
    """Write a mountinfo file like the kernel's, with this directory's device on a file system of this type."""
    device = folder.stat().st_dev
    path = folder / "mountinfo"
    path.write_text(
        "21 1 0:20 / /proc rw,nosuid shared:12 - proc proc rw\n"
        f"22 1 {os.major(device)}:{os.minor(device)} / /some\\040where rw shared:1 master:2 - {kind} none rw,size=1k\n"
    )
    return path


async def test_writable_directories_are_left_unchanged(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)
    await prove_places(folder / "state", folder / "not/there/yet")
    assert names(folder) == {"state"}
    assert names(folder / "state") == set()


@pytest.mark.parametrize("refusal", [JournalError, InstallError])
async def test_unwritable_directory_is_named_with_the_remedy(refusal: type[JournalError | InstallError]) -> None:
    # Not even root can create files there.
    with pytest.raises(
        refusal, match=r"cannot store 1 MiB in /sys, so the CA was not asked: .* denied\. Give it to the issuer's user"
    ):
        prove(Path("/sys"), refusal)


@pytest.mark.root
@pytest.mark.parametrize("place", [".", "archive"])
async def test_directory_of_another_user_is_proved_with_the_rights_of_that_user(tmp_path: Path, place: str) -> None:
    """The link leads to a directory in which only root may create files."""
    with shared_folder() as folder:
        state, certificates = folder / "state", folder / "certificates"
        state.mkdir()
        (certificates / "archive").mkdir(parents=True)
        for path in (certificates, certificates / "archive"):
            os.chown(path, OTHER_USER, OTHER_USER)
        await prove_places(state, certificates)
        moved = certificates / place
        moved.rename(folder / "away")
        moved.symlink_to(tmp_path)
        os.chown(moved, OTHER_USER, OTHER_USER, follow_symlinks=False)
        with pytest.raises(InstallError, match=r"cannot store 1 MiB in .*archive, so the CA was not asked: Permission"):
            await prove_places(state, certificates)


@pytest.mark.root
async def test_directory_that_its_owner_cannot_enter_is_refused_with_the_remedy() -> None:
    with shared_folder() as folder:
        state, certificates = folder / "state", folder / "certificates"
        state.mkdir()
        certificates.mkdir()
        os.chown(certificates, OTHER_USER, OTHER_USER)
        folder.chmod(0o710)
        with pytest.raises(InstallError) as raised:
            await prove_places(state, certificates)
    assert raised.value.lines == (
        f"cannot store 1 MiB in {certificates}/archive, so the CA was not asked",
        f"user {pwd.getpwuid(OTHER_USER).pw_name} cannot enter {folder}",
        f"Run 'chmod o+x {folder}'.",
    )


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "overlay"])
def test_state_lost_by_a_restart_is_warned_about(folder: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_ephemeral(folder, mountinfo(folder, kind))
    (message,) = caplog.messages
    assert message.startswith(f"state_dir = {folder} is on {kind}: account keys and renewals under way are lost w")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "nfs4"])
def test_state_on_a_disk_causes_no_warning(folder: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    mounts = mountinfo(folder, kind)
    with caplog.at_level(logging.WARNING):
        warn_of_ephemeral(folder, mounts)
    assert caplog.messages == []
    assert file_system(folder, mounts) == kind


def test_unknown_file_system_is_none(folder: Path) -> None:
    assert file_system(folder / "missing") is None
    assert file_system(folder, folder / "no mounts") is None
    assert file_system(Path("/proc"), Path("/proc/self/mountinfo")) == "proc"
