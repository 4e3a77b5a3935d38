"""The program `age`, which opens our backups and writes files that we open."""

import io
import subprocess
import tarfile
from pathlib import Path


def tool(*command: str | Path, given: bytes = b"") -> bytes:
    """Run a program of age or OpenSSH, and return what it prints."""
    return subprocess.run([str(one) for one in command], input=given, capture_output=True, check=True).stdout


def make_identity(path: Path) -> str:
    """Write an identity, and return its public key."""
    tool("age-keygen", "-o", path)
    return tool("age-keygen", "-y", path).decode().strip()


def names_in(encrypted: bytes, identity: Path) -> list[str]:
    """Return the names that `age` and `tar` show."""
    with tarfile.open(fileobj=io.BytesIO(tool("age", "-d", "-i", identity, given=encrypted))) as archive:
        return archive.getnames()
