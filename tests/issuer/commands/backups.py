"""A host with a backup, for tests that restore and change it."""

import io
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.ages import make_identity, tool
from tests.issuer.commands.conftest import Finished, Program
from tests.issuer.commands.statuses import NAME, NOW, install, record
from wellkeeper_node import history

_CHANGING: Final = {"state.lock", ".lock", "state.db", "state.db-shm", "state.db-wal", *history.FILES, history.LOCK}


class Backup:
    """A backup of the host, and what the host had."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.file, self.identity = folder / "backup.age", folder / "identity.txt"
        self.key = make_identity(self.identity)
        self.make()

    def make(self) -> None:
        finished = self.program.run("backup", str(self.file), "--recipient", self.key, "--force")
        assert finished.exit_code == 0, finished
        self.before = files(self.program.folder)

    def restore(self, *options: str) -> Finished:
        return self.program.run("restore", str(self.file), "--identity", str(self.identity), *options)

    def change(self, change: Callable[[bytes], bytes]) -> None:
        """Change what is encrypted."""
        plain = tool("age", "-d", "-i", self.identity, given=self.file.read_bytes())
        self.file.write_bytes(tool("age", "-r", self.key, given=change(plain)))

    def lose(self) -> None:
        """Lose everything but the backup."""
        for path in self.program.folder.iterdir():
            shutil.rmtree(path)


def files(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Return mode and content of all that matters below the folder."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = 0, str(path.readlink())
        elif path.is_file() and path.name not in _CHANGING:
            found[name] = path.stat().st_mode & 0o7777, path.read_bytes()
    return found


def edited(database: bytes, script: str) -> bytes:
    # Databases in memory cannot have a write-ahead log, which bytes 18 and 19 ask for.
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database[:18] + b"\1\1" + database[20:])
        connection.executescript(script)
        return connection.serialize()


def replaced(plain: bytes, path: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change a file in the archive."""
    into = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive, tarfile.open(fileobj=into, mode="w") as other:
        for member in archive:
            file = archive.extractfile(member)
            content = file.read() if file else b""
            content = change(content) if member.name == path else content
            member.size = len(content)
            other.addfile(member, io.BytesIO(content))
    return into.getvalue()


def renamed(plain: bytes, path: str, name: str) -> bytes:
    """Give a file in the archive another name."""
    into = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive, tarfile.open(fileobj=into, mode="w") as other:
        for member in archive:
            file = archive.extractfile(member)
            member.name = name if member.name == path else member.name
            other.addfile(member, file)
    return into.getvalue()


def make_backup(program: Program, folder: Path) -> Backup:
    """Set up a host with a certificate that nginx serves, drop-ins and a trust file, and back it up to the folder."""
    program.configure(NAME)
    drop_ins = program.config.with_suffix(".d")
    drop_ins.mkdir()
    (drop_ins / "b.toml").write_text("[[certificates]]\nidentifiers = ['b.example']\n")
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    program.config.chmod(0o640)
    program.run("trust", "--write")
    return Backup(program, folder)
