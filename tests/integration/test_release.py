"""scripts/release, in a separate repository: its files, and its refusals."""

import hashlib
import json
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.integration.distributions import VERSION, build, run, unpack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


DISTRIBUTIONS: Final = ("wellkeeper", "wellkeeper_client", "certbot_wellkeeper")
ENDINGS: Final = (".tar.gz", "-py3-none-any.whl")


@dataclass
class Repository:
    folder: Path

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        return run("git", *identity, *arguments, cwd=self.folder)

    def release(self, *arguments: str | Path) -> str:
        return run("scripts/release", *arguments, cwd=self.folder)

    def refusal(self, *arguments: str | Path) -> str:
        """Return the last line of a release that must be refused."""
        finished = subprocess.run(
            [self.folder / "scripts/release", *arguments], cwd=self.folder, check=False, capture_output=True, text=True
        )
        assert (finished.returncode, finished.stdout) == (1, ""), finished
        return finished.stderr.splitlines()[-1]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Yield a repository with the sdist's files as its first commit."""
    (tmp_path / "dist").mkdir()
    build(tmp_path / "dist")
    made = Repository(unpack(tmp_path / f"dist/wellkeeper-{VERSION}.tar.gz", tmp_path))
    (made.folder / "PKG-INFO").unlink()
    made.git("init", "--quiet")
    made.git("config", "user.name", "Test")
    made.git("config", "user.email", "test@example.org")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "first")
    return made


def test_release_is_complete_repeatable_and_tagged_last(repository: Repository, tmp_path: Path) -> None:
    usage = "usage: scripts/release [--no-tag] DIRECTORY"
    assert repository.refusal() == f"release: no directory given; {usage}"
    assert repository.refusal("--force", "new") == f"release: unknown option --force; {usage}"
    assert repository.refusal(tmp_path) == (
        f"release: {tmp_path} already exists; choose a new directory so that no old files end up in the release"
    )
    (repository.folder / "README.md").write_text("changed")
    assert "there are uncommitted changes; commit or stash them first" in repository.refusal(tmp_path / "new")
    repository.git("checkout", "README.md")

    repository.release("--no-tag", "../trial")  # relative to the caller's working directory
    assert repository.git("tag") == ""
    repository.release(tmp_path / "real")
    for folder in ("trial", "real"):
        check_release(tmp_path / folder)
    assert (tmp_path / "trial/SHA256SUMS").read_text() == (tmp_path / "real/SHA256SUMS").read_text()
    notes = (tmp_path / "real/NOTES.md").read_text()
    assert repository.git("tag", "--format=%(contents)", "--list").strip() == f"wellkeeper {VERSION}\n\n{notes}".strip()
    assert f"the tag v{VERSION} already exists; raise the version in pyproject.toml" in repository.refusal(
        tmp_path / "new"
    )

    changelog = repository.folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(f"## [{VERSION}] - ", f"## [{VERSION}] "))
    repository.git("tag", "--delete", f"v{VERSION}")
    repository.git("commit", "--quiet", "--all", "--message", "no date")
    assert f"CHANGELOG.md has no section '## [{VERSION}] - YYYY-MM-DD'" in repository.refusal(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def check_release(folder: Path) -> None:
    """Check that the checksums match, the components are listed, and the notes are for this version."""
    names = {f"{name}-{VERSION}{ending}" for name in DISTRIBUTIONS for ending in ENDINGS}
    names.add(f"wellkeeper-{VERSION}.cdx.json")
    sums = {f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names}
    assert set((folder / "SHA256SUMS").read_text().splitlines()) == sums
    assert {path.name for path in folder.iterdir()} == names | {"SHA256SUMS", "NOTES.md"}
    listed = json.loads((folder / f"wellkeeper-{VERSION}.cdx.json").read_text())
    assert (listed["bomFormat"], listed["metadata"]["component"]["version"]) == ("CycloneDX", VERSION)
    assert {"acme", "aiohttp", "cryptography", "pydantic"} <= {one["name"] for one in listed["components"]}
    wheel = zipfile.ZipFile(folder / f"wellkeeper-{VERSION}-py3-none-any.whl")
    assert f"wellkeeper-{VERSION}.data/data/share/man/man1/wellkeeper.1" in wheel.namelist()
    assert "### Added" in (folder / "NOTES.md").read_text()
