"""The wheel as a user installs it: without extras it is a responder, and nothing of the issuer's is needed."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from responder import wire
from responder.publication import encode_public_key
from responder.settings import UnixAddress
from stand.processes import PROJECT
from stand.responder import ResponderProcess
from tests.integration.nodes import publish
from tests.responder.http import ask
from tests.responder.messages import KEY, THUMBPRINT, TOKEN

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ISSUER_ONLY = ["acme", "aiofiles", "josepy", "pydantic", "requests", "rich"]


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def build_wheel(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


async def test_wheel_without_extras_is_a_responder_that_works(tmp_path: Path, folder: Path) -> None:
    wheel = build_wheel(tmp_path)
    packages = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert packages == {"responder", "issuer", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "-c", PROJECT / "constraints.txt", wheel, cwd=tmp_path)
    found = f"import importlib.util as u; print([n for n in {ISSUER_ONLY} if u.find_spec(n)])"
    assert run(python, "-c", found, cwd=tmp_path).strip() == "[]"

    program = tmp_path / "venv/bin/wellkeeper-responder"
    async with ResponderProcess(folder, encode_public_key(KEY.public_key()), THUMBPRINT, program=program) as running:
        await publish(folder)
        reply = await ask(UnixAddress(running.public_socket), "GET", wire.CHALLENGE_PREFIX + TOKEN)
        assert reply.body == f"{TOKEN}.{THUMBPRINT}".encode()
        health = await ask(UnixAddress(running.control_socket), "GET", wire.HEALTH_PATH)
        assert health.status == 200
    assert running.process.return_code == 0
