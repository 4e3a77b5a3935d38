"""The storage in which stand/images/build.sh builds images."""

import os
from pathlib import Path

import pytest

from stand.commands import run, run_well
from stand.processes import PROJECT, find_program

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]


async def test_storage_of_podman_survives_a_move(folder: Path) -> None:
    old, new = folder / "old", folder / "new"
    script = PROJECT / "stand/images/storage.sh"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CONTAINERS_CONF": str(PROJECT / "stand/images/containers.conf"),
    }

    def podman(place: Path, *argv: str) -> tuple[str, ...]:
        storage = ("--root", f"{place}/storage", "--runroot", f"{place}/run", "--storage-driver", "overlay")
        return (find_program("podman"), *storage, *argv)

    (folder / "image").mkdir()
    (folder / "image/file").touch()
    await run_well(
        "/usr/bin/env", "tar", "-C", f"{folder}/image", "-cf", f"{folder}/image.tar", ".", environment=environment
    )
    use = ("/usr/bin/env", "bash", "-euc", f"source {script}; use_storage $1", "bash")
    await run_well(*use, str(old), environment=environment)
    await run_well(*podman(old, "import", "--quiet", f"{folder}/image.tar", "localhost/kept"), environment=environment)
    old.rename(new)
    assert (await run(*podman(new, "image", "exists", "localhost/kept"), environment=environment)).exit_code == 125
    for _ in range(2):
        await run_well(*use, str(new), environment=environment)
        await run_well(*podman(new, "image", "exists", "localhost/kept"), environment=environment)
