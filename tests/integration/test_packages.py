"""Wheel and sdist as users install them: in fresh environments, with each program run from there."""

import asyncio
import importlib.metadata
import os
import re
import zipfile
from pathlib import Path
from typing import Final

import pytest

from stand.host import running_host
from stand.processes import PROJECT
from stand.responder import PROGRAM, ResponderProcess
from tests.integration.distributions import VERSION, Environment, build, unpack
from tests.integration.nodes import publish
from tests.integration.observed import installed, outcomes, served
from tests.responder.http import ask
from tests.responder.messages import KEY, THUMBPRINT, TOKEN
from tests.trust_files import trusting
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NAME: Final = "www.example.org"
# Packages that a responder alone does not need.
ISSUER_ONLY: Final = ["acme", "aiofiles", "jinja2", "josepy", "pydantic", "requests", "rich"]
# The web framework of that name, whose package must not conflict with packages.
PYPI_RESPONDER: Final = "responder==9.2.0"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    return distributions / f"wellkeeper-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def sdist(distributions: Path) -> Path:
    return distributions / f"wellkeeper-{VERSION}.tar.gz"


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path, sdist: Path
) -> Environment:
    made = Environment(tmp_path_factory.mktemp(request.param) / "venv")
    made.install(wheel if request.param == "wheel" else sdist)
    return made


def test_wheel_installs_only_its_own_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {f"wellkeeper_{name}" for name in ("client", "responder", "relay", "node", "issuer")}
    assert {name.split("/")[0] for name in names} == packages | {f"wellkeeper-{VERSION}.dist-info"}
    assert {f"{package}/py.typed" for package in packages} <= set(names)


def test_links_of_the_project_page_point_to_the_tagged_version(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(f"wellkeeper-{VERSION}.dist-info/METADATA").decode()
    targets = re.findall(r"\]\(([^)]+)\)", metadata)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []
    within = {target.partition(f"/blob/v{VERSION}/")[2].split("#")[0] for target in targets}
    assert "docs/settings.md" in within
    assert [name for name in within if not (PROJECT / name).exists()] == []


def test_sdist_contains_the_files_named_in_its_readme(sdist: Path, tmp_path: Path) -> None:
    root = unpack(sdist, tmp_path)
    readme = (root / "README.md").read_text()
    targets = {target.split("#")[0] for target in re.findall(r"\]\((?!https?:)([^)]+)\)", readme)}
    assert [target for target in targets if not (root / target).exists()] == []
    scripts = [*(root / "scripts").iterdir(), root / ".ci/run"]
    assert {path.name for path in scripts} >= {"demo", "test", "check", "install", "run"}
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []
    for name in ("systemd", "nginx/snippets", "stand", "bench", "tests", "constraints.txt", "Containerfile"):
        assert (root / name).exists()


def test_every_program_starts(environment: Environment) -> None:
    entry_points = importlib.metadata.distribution("wellkeeper").entry_points
    for program in {point.name for point in entry_points.select(group="console_scripts")}:
        assert environment.run(program, "--help").lower().startswith("usage: ")
        assert environment.run(program, "--version") == f"{program}, version {VERSION}\n"
    assert environment.pip("check") == "No broken requirements found.\n"


def test_init_trust_placeholder_and_status_work_after_a_fresh_install(environment: Environment, tmp_path: Path) -> None:
    config = f"--config={tmp_path}/issuer.toml"
    folders = (f"--state-dir={tmp_path}/state", f"--certificates-dir={tmp_path}/certificates")
    ca = ("--ca", "https://127.0.0.1:1/", "--agree-to-terms-of-service")
    environment.run("wellkeeper", config, "init", "--certificate", NAME, *ca, *folders)
    assert "trust.toml is up to date" in environment.run("wellkeeper", config, "trust")
    environment.run("wellkeeper", config, "placeholder")
    assert NAME in environment.run("wellkeeper", config, "status")
    assert "--accent:" in environment.run("wellkeeper", config, "status", "--html")
    assert NAME in environment.run("wellkeeper", config, "list")


async def test_certificate_is_obtained_and_served(environment: Environment, folder: Path) -> None:
    async with running_host(folder, {"web": (NAME,)}, own_programs=environment.programs) as host:
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "served"}, finished
        assert await served(host, NAME) == installed(host.issuer, "web")
        status = (await host.issuer.run_well("status", "--json")).json()
        assert [one["state"] for one in status["certificates"]] == ["served"]


def test_snippets_and_units_are_written(environment: Environment, tmp_path: Path) -> None:
    environment.run("wellkeeper", "files", tmp_path / "new")
    for folder in ("nginx/agent", "nginx/snippets", "systemd"):
        source = {path.name: path.read_bytes() for path in (PROJECT / folder).iterdir()}
        assert {path.name: path.read_bytes() for path in (tmp_path / "new" / folder).iterdir()} == source


async def test_responder_runs_with_only_its_dependency_group(tmp_path: Path, folder: Path, wheel: Path) -> None:
    minimal = Environment(tmp_path / "venv")
    minimal.install("--group", f"{PROJECT / 'pyproject.toml'}:responder")
    minimal.install("--no-deps", wheel)
    found = f"import importlib.util as u; print([n for n in {ISSUER_ONLY} if u.find_spec(n)])"
    assert minimal.run("python", "-c", found) == "[]\n"
    assert minimal.fails("wellkeeper", "status") == (
        "wellkeeper: the Python package 'pydantic' is missing\n"
        "  only the responder may be installed here\n"
        "  Run 'pip install wellkeeper' to install everything.\n"
    )
    await serve_a_token(folder, minimal.programs / PROGRAM)


async def test_client_alone_publishes_a_token(tmp_path: Path, folder: Path) -> None:
    build(tmp_path, PROJECT / "client")
    alone = Environment(tmp_path / "venv")
    alone.install(tmp_path / f"wellkeeper_client-{VERSION}-py3-none-any.whl")
    script = (
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Key\n"
        "from wellkeeper_client.publish import ResponderControl\n"
        f"key = Key.from_private_bytes(bytes.fromhex({KEY.private_bytes_raw().hex()!r}))\n"
        f"responder = ResponderControl('unix:{folder}/control.sock', key)\n"
        f"responder.publish({TOKEN!r}, {THUMBPRINT!r}, 'www.example.org')\n"
        "import importlib.util; print(importlib.util.find_spec('aiohttp'))"
    )
    async with ResponderProcess(folder, trusting(folder)) as running:
        assert await asyncio.to_thread(alone.run, "python", "-c", script) == "None\n"
        reply = await ask(UnixAddress(running.public_socket), "GET", wire.CHALLENGE_PREFIX + TOKEN)
        assert reply.body == f"{TOKEN}.{THUMBPRINT}".encode()


async def test_pypi_responder_package_can_be_installed_alongside(tmp_path: Path, folder: Path, wheel: Path) -> None:
    shared = Environment(tmp_path / "venv")
    shared.install(PYPI_RESPONDER)
    shared.install(wheel)
    assert shared.run("python", "-c", "import responder; print(responder.API.__name__)") == "API\n"
    await serve_a_token(folder, shared.programs / PROGRAM)
    shared.pip("uninstall", "--quiet", "--yes", PYPI_RESPONDER.partition("==")[0])
    assert "Usage: " in shared.run("wellkeeper", "--help")
    await serve_a_token(folder, shared.programs / PROGRAM)


async def serve_a_token(folder: Path, program: Path) -> None:
    """Start a responder, publish a token, and read it back from its public socket."""
    async with ResponderProcess(folder, trusting(folder), program=program) as running:
        await publish(folder)
        reply = await ask(UnixAddress(running.public_socket), "GET", wire.CHALLENGE_PREFIX + TOKEN)
        assert reply.body == f"{TOKEN}.{THUMBPRINT}".encode()
        health = await ask(UnixAddress(running.control_socket), "GET", wire.HEALTH_PATH)
        assert health.status == 200
    assert running.process.return_code == 0
