"""The images that stand/images/build.sh builds, and the storage that it builds them in."""

import json
import os
from pathlib import Path

import pytest

from stand.commands import run, run_well
from stand.docker import Docker
from stand.processes import PROJECT, find_program
from tests.containers.compose import IMAGES

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]

# Runs in the images: prints each path that belongs to pip or setuptools, on the whole file system.
FIND = r"""
import json, os, re
wanted = re.compile(r"(pip|setuptools)([0-9.]+|-.+)?|pkg_resources|_distutils_hack|ensurepip|easy_install.*")
found = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys", "dev"}
    found += [os.path.join(folder, name) for name in (*folders, *files) if wanted.fullmatch(name)]
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", ["responder", "relay", "node", "issuer"])
async def test_image_has_no_pip_anywhere(docker: Docker, name: str) -> None:
    image = IMAGES[f"WELLKEEPER_{name.upper()}_IMAGE"]
    out = await docker.run("run", "--rm", "--network=none", "--user=0", "--entrypoint=python3", image, "-c", FIND)
    assert json.loads(out) == []


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
