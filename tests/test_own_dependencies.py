"""Checks that each program starts with only its own dependencies installed."""

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import pytest
from packaging.requirements import Requirement

from tests.imports import module_name
from tests.layers import PROJECT

_PROJECT: Final = tomllib.loads((PROJECT / "pyproject.toml").read_text())
_GROUPS: Final = _PROJECT["dependency-groups"]
_ENGINE: Final = _PROJECT["project"]["optional-dependencies"]["valkey"]
_OF_ENGINES: Final = ("wellkeeper_node.records.engine_", "wellkeeper_node.records.valkey")

# Finds only the standard library and the modules named in `argv`.
_SCRIPT: Final = """
import importlib, json, runpy, sys
paths, allowed, modules, starts = map(json.loads, sys.argv[1:])
class Narrow:
    def __init__(self, finder):
        self._finder = finder
    def __getattr__(self, name):
        return getattr(self._finder, name)
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        is_there = top in sys.stdlib_module_names or top in allowed
        return self._finder.find_spec(name, path, target) if is_there else None
for name in [one for one in sys.modules if one.partition(".")[0] not in sys.stdlib_module_names | {"__main__"}]:
    del sys.modules[name]
sys.path[:0] = paths
sys.meta_path[:] = map(Narrow, sys.meta_path)
for name in modules:
    importlib.import_module(name)
for name in starts:
    del sys.modules[f"{name}.__main__"]
    sys.argv[:] = [name, "--help"]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Program:
    """A program: `folders` of its packages, and the modules in `starts` that can be run with `python -m`.

    Modules whose names begin with one of `optional` are imported only when they are needed.
    """

    folders: Sequence[str]
    requirements: Sequence[str]
    starts: Sequence[str] = ()
    optional: tuple[str, ...] = ()


PROGRAMS: Final = {
    "client": Program(["client"], ["cryptography"]),
    "responder": Program(["responder", "client"], _GROUPS["responder"], ["wellkeeper_responder"]),
    "relay": Program(["relay", "responder", "client"], _GROUPS["responder"], ["wellkeeper_relay"]),
    "node": Program(["node", "client"], _GROUPS["node"], ["wellkeeper_node"], _OF_ENGINES),
    "node with an engine": Program(["node", "client"], [*_GROUPS["node"], *_ENGINE]),
}


@cache
def installed_modules() -> dict[str, list[str]]:
    """Return the distributions that provide each top-level module."""
    return {
        module: [one.lower().replace("_", "-") for one in distributions]
        for module, distributions in importlib.metadata.packages_distributions().items()
    }


def with_dependencies(requirements: Sequence[str]) -> set[str]:
    """Return the names of the distributions that are installed with these, as pip does."""
    found: set[str] = set()
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_needed and name not in found:
            found.add(name)
            waiting += [Requirement(one) for one in importlib.metadata.requires(name) or ()]
    return found


def started(program: Program, without: Collection[str] = ()) -> subprocess.CompletedProcess[str]:
    """Import every module of the program and run its commands with --help, with nothing else installed."""
    distributions = with_dependencies(program.requirements)
    modules = [module_name(path) for folder in program.folders for path in sorted((PROJECT / folder).rglob("*.py"))]
    modules = [one for one in modules if not one.startswith(program.optional)]
    assert modules
    others = {module for module, owners in installed_modules().items() if distributions & set(owners)}
    allowed = ({module.partition(".")[0] for module in modules} | others) - set(without)
    arguments = [[str(PROJECT / folder) for folder in program.folders], sorted(allowed), modules, program.starts]
    # The inherited environment could load more, for example to measure coverage.
    return subprocess.run(
        [sys.executable, "-I", "-c", _SCRIPT, *(json.dumps(one) for one in arguments)],
        capture_output=True, text=True, check=False, env={},
    )  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_program_starts_with_only_its_own_dependencies(program: Program) -> None:
    result = started(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert ("Usage: " in result.stdout) is bool(program.starts)


def test_issuer_loads_neither_acme_nor_requests_before_a_ca_is_asked() -> None:
    code = "import sys, wellkeeper_issuer.assembly.build_passes; print(sorted({'acme', 'requests'} & {*sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "missing"),
    [("client", "cryptography"), ("responder", "click"), ("node", "aiofiles"), ("node", "wellkeeper_client")],
)
def test_missing_dependency_is_noticed(name: str, missing: str) -> None:
    result = started(PROGRAMS[name], without={missing})
    assert result.returncode != 0
    assert f"No module named '{missing}" in result.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_issuer_dependencies_are_not_available(name: str) -> None:
    unwanted = {"acme", "josepy", "requests", "pydantic", "rich"} | ({"click"} if name == "client" else set())
    assert with_dependencies(PROGRAMS[name].requirements) & unwanted == set()
