"""Certificates on a real disk, with processes that die, run out of space and run concurrently."""

import asyncio
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Pair
from wellkeeper_node.process import Finished, run

pytestmark = pytest.mark.integration

CA = FakeCa()
A = dns("a.example")

# Writes the directory's pair and switches to it, repeatedly or once; `limit` is in bytes per file.
WRITER = """
import asyncio, resource, sys
from pathlib import Path
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair
from wellkeeper_node.certificates.folders import CertificateFolders

root, pair, count, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
before = resource.getrlimit(resource.RLIMIT_FSIZE)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

async def main():
    folders = CertificateFolders(root)
    for _ in range(count):
        made = Pair((pair / "privkey.pem").read_bytes(), (pair / "fullchain.pem").read_bytes())
        await folders.switch("web", await folders.write("web", made))

try:
    asyncio.run(main())
except InstallError as error:
    sys.exit(f"InstallError: {error}")
finally:
    # At exit, coverage writes its measurements.
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
"""


def save(folder: Path, pair: Pair) -> Path:
    folder.mkdir()
    (folder / "privkey.pem").write_bytes(pair.certificate_key_pem)
    (folder / "fullchain.pem").write_bytes(pair.chain_pem)
    return folder


async def write(root: Path, pair: Path, count: int = 1, limit: int = 0) -> Finished:
    return await run([sys.executable, "-c", WRITER, str(root), str(pair), str(count), str(limit)], 60)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_failed_write_leaves_no_partial_version(tmp_path: Path) -> None:
    root = tmp_path / "certificates"
    old, new = save(tmp_path / "old", CA.pair(A)), save(tmp_path / "new", CA.pair(A))
    assert await write(root, old) == Finished(0, "")
    before = names(root / "archive/web"), await CertificateFolders(root).installed("web")
    finished = await write(root, new, limit=200)
    assert finished.exit_code == 1
    assert "fullchain.pem: File too large" in finished.output or "cert.pem: File too large" in finished.output
    assert "ulimit" in finished.output
    assert (names(root / "archive/web"), await CertificateFolders(root).installed("web")) == before
    assert await write(root, new) == Finished(0, "")


async def test_writer_killed_at_any_moment_leaves_a_live_pair_and_the_next_continues(tmp_path: Path) -> None:
    root, folders = tmp_path / "certificates", CertificateFolders(tmp_path / "certificates")
    await folders.switch("web", await folders.write("web", CA.pair(A)))
    for round_ in range(12):
        pairs = [save(tmp_path / f"{round_}-{number}", CA.pair(A)) for number in range(8)]
        argv = [
            sys.executable,
            "-c",
            WRITER.replace("    for _ in range(count):", LOOP),
            str(root),
            *map(str, pairs[:1]),
        ]
        process = await asyncio.create_subprocess_exec(
            *argv, "1", "0", *map(str, pairs), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(0.003 * round_ / 2)
        process.kill()
        await process.communicate()
        installed = await folders.installed("web")
        assert installed is not None
        version = await folders.write("web", CA.pair(A))
        await folders.switch("web", version)
        assert [name for name in names(root / "archive/web") if name.startswith(".tmp")] == []
        assert names(root / "live") == ["web"]


LOOP = """    print("ready", flush=True)
    for pair in map(Path, sys.argv[5:] * 1000):"""


async def test_concurrent_writers_do_not_conflict(tmp_path: Path) -> None:
    root = tmp_path / "certificates"
    pairs = [save(tmp_path / str(number), CA.pair(A)) for number in range(3)]
    finished = await asyncio.gather(*(write(root, pair, count=20) for pair in pairs))
    assert finished == [Finished(0, "")] * 3
    assert len(names(root / "archive/web")) == 3
    assert await CertificateFolders(root).installed("web") is not None


async def test_reader_never_misses_the_pair_and_never_sees_a_mixture(tmp_path: Path) -> None:
    root = tmp_path / "certificates"
    folders = CertificateFolders(root)
    versions = [await folders.write("web", CA.pair(A)) for _ in range(2)]
    await folders.switch("web", versions[0])
    stop, seen = threading.Event(), set[str]()

    def read() -> int:
        """Read a pair after resolving the link once, as a reader must."""
        count = 0
        while not stop.is_set():
            folder = os.open(root / "live/web", os.O_RDONLY | os.O_DIRECTORY)
            chain, key = (_read_in(folder, name) for name in ("fullchain.pem", "privkey.pem"))
            os.close(folder)
            assert reading.certificate_key_matches(chain, key)
            seen.add(reading.read_certificate(chain).fingerprint_sha256[:8])
            count += 1
        return count

    reader = asyncio.ensure_future(asyncio.to_thread(read))
    for number in range(300):
        await folders.switch("web", versions[number % 2])
    stop.set()
    assert await reader > 50
    assert len(seen) == 2


def _read_in(folder: int, name: str) -> bytes:
    with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=folder)) as file:
        return file.read()


async def test_every_write_makes_new_inodes(tmp_path: Path) -> None:
    folders, pair = CertificateFolders(tmp_path), CA.pair(A)
    seen = set()
    for number in range(4):
        one = replace(pair, chain_pem=CA.chain(pair.certificate_key_pem, A))
        await folders.switch("web", await folders.write("web", one))
        seen.add(_inode(tmp_path / "live/web/fullchain.pem"))
        assert len(seen) == number + 1


def _inode(path: Path) -> int:
    return path.stat().st_ino


async def test_user_without_access_gets_the_remedy(tmp_path: Path) -> None:
    root, pair = tmp_path / "certificates", save(tmp_path / "pair", CA.pair(A))
    assert await write(root, pair) == Finished(0, "")
    _grant_access(tmp_path, root)
    finished = await run([sys.executable, "-c", AS_OTHER_USER, str(root), str(pair)], 60)
    assert finished.exit_code == 0
    # Coverage measurement of processes complains as well, because this user may not write.
    reported = [line for line in finished.output.splitlines() if line.startswith("cannot use")]
    assert len(reported) == 2
    assert reported[0].startswith(f"cannot use {root}/live/web: Permission denied. ")
    assert all("Permission denied. Give the issuer's user access to it" in line for line in reported)


def _grant_access(folder: Path, root: Path) -> None:
    """Let other users reach the certificates, whose modes are under test; a normal user cannot become another."""
    if os.geteuid() != 0:
        (root / "archive/web").chmod(0o000)
        return
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)


# Root may do everything, so it becomes another user first, once all modules are loaded.
AS_OTHER_USER = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair
from wellkeeper_node.certificates.folders import CertificateFolders

root, pair = Path(sys.argv[1]), Path(sys.argv[2])
made = Pair((pair / "privkey.pem").read_bytes(), (pair / "fullchain.pem").read_bytes())
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

async def main():
    folders = CertificateFolders(root)
    for call in (folders.installed("web"), folders.write("web", made)):
        try:
            await call
        except InstallError as error:
            print(error)

asyncio.run(main())
"""
