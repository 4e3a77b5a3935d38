"""Checks of the Containerfile that need no container engine: it is read, not built.

The wheel that it installs is built and run by tests/integration/test_packages.py.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
TARGETS = {"responder": "wellkeeper-responder", "issuer": "wellkeeper"}


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [value for found, value in self.instructions if found == keyword]


def read_stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", (PROJECT / "Containerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    for line in text.replace("\\\n", " ").splitlines():
        keyword, _, value = line.partition(" ")
        if keyword == "FROM":
            base, name = value.split(" AS ")
            stages[name] = Stage(base, name)
        elif keyword and stages:
            list(stages.values())[-1].instructions.append((keyword, value.strip()))
    return stages


STAGES = read_stages()


def test_base_image_is_a_build_argument_everywhere() -> None:
    bases = {stage.base for stage in STAGES.values()} - STAGES.keys()
    assert bases == {"${BASE_IMAGE}"}


@pytest.mark.parametrize("target", TARGETS)
def test_target_runs_as_a_numeric_unprivileged_user(target: str) -> None:
    assert STAGES[target].all("USER") == ["65532:65532"]
    assert STAGES[target].all("RUN") == []


@pytest.mark.parametrize("target", TARGETS)
def test_target_starts_its_command_and_has_a_health_check(target: str) -> None:
    command = TARGETS[target]
    assert command in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert json.loads(STAGES[target].all("ENTRYPOINT")[0]) == [command]
    (health,) = STAGES[target].all("HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2])[0] == command


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("label", ["title", "description", "licenses", "version", "revision"])
def test_target_is_labelled(target: str, label: str) -> None:
    (labels,) = STAGES[target].all("LABEL")
    assert f"org.opencontainers.image.{label}=" in labels


def test_responder_image_installs_only_the_responder_group() -> None:
    copied = [value.split()[0] for value in STAGES["responder"].all("COPY")]
    assert copied == ["--from=responder-venv", "--from=wheel"]
    (command,) = STAGES["responder-venv"].all("RUN")
    assert "--group responder" in command
    assert [part for part in command.split("&&") if "/wheels/" in part and "--no-deps" not in part] == []


def test_responder_group_is_a_subset_of_the_base_dependencies() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    group = project["dependency-groups"]["responder"]
    assert [one for one in group if one not in project["project"]["dependencies"]] == []


def test_every_version_is_pinned() -> None:
    for stage in STAGES.values():
        for command in stage.all("RUN"):
            assert "pip" not in command or "constraints.txt" in command


def test_copied_files_exist_and_are_in_the_build_context() -> None:
    sent = (PROJECT / ".dockerignore").read_text().splitlines()
    for value in STAGES["wheel"].all("COPY"):
        for source in value.split()[:-1]:
            assert (PROJECT / source).exists()
            assert f"!{source}" in sent
