"""The directories, keys and clock of the issuer's host."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_issuer.doctor.host import check_clock, check_directories, check_private_keys, space_faults
from wellkeeper_node.doctor.responder import Asked
from wellkeeper_node.findings import Finding, Verdict

NOW = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_folder() as folder:
        folder.chmod(0o755)
        yield folder


def make(folder: Path, mode: int = 0o700) -> Path:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    return folder


ON_DISK = "/dev/null"  # no mounts


async def found(state: Path, certificates: Path, owner: int | None = None, mounts: str = ON_DISK) -> list[Finding]:
    return await check_directories(state, certificates, owner, Path(mounts))


def verdicts(findings: list[Finding]) -> list[Verdict]:
    return [one.verdict for one in findings]


async def test_directories_on_a_disk_are_ok(shared: Path) -> None:
    findings = await found(make(shared / "state"), make(shared / "certificates", 0o755))
    assert [(one.check, one.verdict) for one in findings] == [("directories", Verdict.OK)] * 2
    assert findings[0].cause.startswith("mode 0700, ")


async def test_missing_state_is_a_failure_and_missing_certificates_are_not(shared: Path) -> None:
    findings = await found(shared / "state", shared / "certificates")
    assert verdicts(findings) == [Verdict.FAIL, Verdict.OK]
    assert findings[0].fix == "Run 'wellkeeper init'."


async def test_directory_that_others_may_change_is_a_failure(shared: Path) -> None:
    (one, other) = await found(make(shared / "state", 0o770), make(shared / "certificates"))
    assert (one.verdict, one.fix, other.verdict) == (Verdict.FAIL, f"Run 'chmod go-w {shared}/state'.", Verdict.OK)


@pytest.mark.root
async def test_certificates_may_belong_to_their_owner(shared: Path) -> None:
    state, certificates = make(shared / "state"), make(shared / "certificates")
    os.chown(certificates, 1, 1)
    assert verdicts(await found(state, certificates, 1)) == [Verdict.OK, Verdict.OK]
    assert verdicts(await found(state, certificates)) == [Verdict.OK, Verdict.FAIL]


@pytest.mark.root
async def test_other_users_skip_what_they_may_not_see(shared: Path) -> None:
    state, certificates = make(shared / "state"), make(shared / "certificates", 0o755)
    with as_unprivileged_user():
        findings = await found(state, certificates)
        keys = await check_private_keys(state, {"web": certificates / "live/web"})
        hidden = await check_private_keys(state / "below", {})
    assert verdicts(findings) == [Verdict.SKIPPED, Verdict.OK]
    assert verdicts(keys) == [Verdict.OK]
    assert verdicts(hidden) == [Verdict.SKIPPED]


async def test_directory_in_memory_is_a_warning(shared: Path) -> None:
    state, certificates = make(shared / "state"), make(shared / "certificates")
    device = state.stat().st_dev
    mounts = shared / "mounts"
    mounts.write_text(f"1 1 {os.major(device)}:{os.minor(device)} / / rw - tmpfs tmpfs rw\n")
    findings = await found(state, certificates, mounts=str(mounts))
    assert verdicts(findings) == [Verdict.WARN, Verdict.WARN]
    assert findings[0].cause == "it is on tmpfs: what is in it is lost when the host restarts"


def space(mebibytes: int, *, free_inodes: int = 9, flags: int = 0) -> os.statvfs_result:
    # bsize, frsize, blocks, bfree, bavail, files, ffree, favail, flag, namemax
    return os.statvfs_result((1 << 20, 1 << 20, 1000, mebibytes, mebibytes, 10, free_inodes, free_inodes, flags, 255))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (space(200), []),
        (space(99), [(Verdict.WARN, "only 99 MiB are free there")]),
        (space(9), [(Verdict.FAIL, "only 9 MiB are free there")]),
        (space(200, free_inodes=0), [(Verdict.FAIL, "its file system has no free inodes")]),
        (space(200, flags=os.ST_RDONLY), [(Verdict.FAIL, "its file system is mounted read-only")]),
    ],
    ids=["enough", "little", "nearly full", "no inodes", "read-only"],
)
def test_file_system_that_cannot_store_much_is_reported(
    status: os.statvfs_result, expected: list[tuple[Verdict, str]]
) -> None:
    assert [(one.verdict, one.cause) for one in space_faults(Path("/x"), status)] == expected


async def test_keys_that_other_users_can_read_are_named(shared: Path) -> None:
    state, live = make(shared / "state", 0o711), make(shared / "live/web")
    for path, mode in (
        (state / "publishing_key.pem", 0o640),
        (state / "state.db", 0o600),
        (live / "privkey.pem", 0o644),
    ):
        path.touch()
        path.chmod(mode)
    findings = await check_private_keys(state, {"web": live, "none": shared / "live/none"})
    assert [(one.subject, one.fix) for one in findings] == [
        (f"{state}/publishing_key.pem", f"Run 'chmod go= {state}/publishing_key.pem'."),
        (f"{live}/privkey.pem", f"Run 'chmod o= {live}/privkey.pem'."),
    ]
    assert {one.verdict for one in findings} == {Verdict.FAIL}


async def test_keys_below_a_closed_directory_and_keys_for_a_group_are_ok(shared: Path) -> None:
    state, live = make(shared / "state"), make(shared / "live/web")
    for path, mode in ((state / "publishing_key.pem", 0o644), (live / "privkey.pem", 0o640)):
        path.touch()
        path.chmod(mode)
    assert verdicts(await check_private_keys(state, {"web": live})) == [Verdict.OK]


async def test_many_readable_keys_are_counted(shared: Path) -> None:
    folders = {str(number): make(shared / f"live/{number}") for number in range(8)}
    for one in folders.values():
        (one / "privkey.pem").touch()
        (one / "privkey.pem").chmod(0o604)
    findings = await check_private_keys(make(shared / "state"), folders)
    assert (len(findings), findings[-1].cause) == (6, "other users may read 3 more files")


async def test_keys_without_a_state_are_skipped(tmp_path: Path) -> None:
    assert verdicts(await check_private_keys(tmp_path / "none", {})) == [Verdict.SKIPPED]


def asked(seconds_ahead: float | None) -> Asked:
    clock = None if seconds_ahead is None else NOW.timestamp() + seconds_ahead
    return Asked("n1", "unix:/c", {"clock": clock})


async def test_host_whose_certificates_begin_in_the_future_has_a_wrong_clock() -> None:
    valid_from = {"web": NOW + timedelta(days=2000), "shop": NOW + timedelta(days=1)}
    (one,) = await check_clock(NOW, [asked(0)], valid_from)
    assert one.verdict is Verdict.FAIL
    assert one.cause.startswith(
        "this host's clock says 2020-01-01 12:00 UTC; is it right? Certificate web is valid from"
    )


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (0.4, Verdict.OK, "says 2020-01-01 12:00 UTC"),
        (None, Verdict.OK, "says 2020-01-01 12:00 UTC"),
        (3600.0, Verdict.FAIL, "the responder's clock is 3600 s ahead of this host's"),
        (-3600.0, Verdict.FAIL, "the responder's clock is 3600 s behind this host's"),
    ],
)
async def test_clock_agrees_with_the_responder_s(ahead: float | None, verdict: Verdict, words: str) -> None:
    (one,) = await check_clock(NOW, [asked(ahead)], {"web": NOW})
    assert (one.check, one.verdict) == ("clock", verdict)
    assert words in one.cause
