"""Checks of the Containerfile that need no container engine: it is read, not built.

The wheel that it installs is built and run by tests/integration/test_packages.py.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wellkeeper_client.health import FLAG

PROJECT = Path(__file__).resolve().parent.parent
TARGETS = {
    "responder": "wellkeeper-responder",
    "relay": "wellkeeper-relay",
    "node": "wellkeeper-node",
    "issuer": "wellkeeper",
}
VOLUMES = {
    "/run/wellkeeper": ("65532", "0755"),
    "/run/wellkeeper-relay": ("65532", "0755"),
    "/run/wellkeeper-nginx/questions": ("${UID}", "0755"),
    "/run/wellkeeper-nginx/answers": ("${UID}", "0700"),
    "/etc/wellkeeper": ("${UID}", "0755"),
    "/var/lib/wellkeeper/certificates": ("${UID}", "0755"),
    "/var/lib/wellkeeper/program": ("${UID}", "0755"),
    "/var/lib/wellkeeper/trust": ("${UID}", "0755"),
    "/var/lib/wellkeeper/issuer": ("${UID}", "0700"),
    "/var/lib/wellkeeper/node": ("${UID}", "0700"),
}


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
    assert bases == {"${BASE_IMAGE}", "scratch"}


@pytest.mark.parametrize("target", TARGETS)
def test_target_runs_as_a_numeric_unprivileged_user(target: str) -> None:
    # Its group may use the control sockets of responder and relay.
    user = "65532" if target in {"responder", "relay"} else "${UID}"
    assert STAGES[target].all("USER") == [f"{user}:${{UID}}"]
    assert "UID=101" in STAGES[target].all("ARG")
    assert STAGES[target].base == "runtime"
    assert STAGES[target].all("RUN") == []


@pytest.mark.parametrize("target", TARGETS)
def test_target_starts_its_command_and_has_a_light_health_check(target: str) -> None:
    command = TARGETS[target]
    assert command in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert json.loads(STAGES[target].all("ENTRYPOINT")[0]) == [command]
    (health,) = STAGES[target].all("HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2]) == [command, FLAG]


def test_every_folder_that_a_volume_covers_exists() -> None:
    (command,) = STAGES["runtime"].all("RUN")
    owners = {
        path: (uid, mode)
        for uid, mode, paths in re.findall(r"install -d -o (\S+) -g \$\{UID\} -m (\d+)([^&]*)", command)
        for path in paths.split()
    }
    assert {path: owners.get(path) for path in VOLUMES} == VOLUMES


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("label", ["title", "description", "licenses", "version", "revision"])
def test_target_is_labelled(target: str, label: str) -> None:
    (labels,) = STAGES[target].all("LABEL")
    assert f"org.opencontainers.image.{label}=" in labels


@pytest.mark.parametrize(("target", "group"), [("responder", "responder"), ("relay", "responder"), ("node", "node")])
def test_image_without_an_issuer_installs_only_what_it_needs(target: str, group: str) -> None:
    assert STAGES[target].all("COPY") == [f"--from={group}-venv /opt/wellkeeper /opt/wellkeeper"]
    install, compiling = STAGES[f"{group}-venv"].all("RUN")
    assert f"--group {group} " in install
    assert compiling == "sh -e /compile"
    assert [part for part in install.split("&&") if "/wheels/" in part and "--no-deps" not in part] == []
    assert "rm -r wellkeeper_issuer " in install


def test_no_image_has_the_pip_of_the_base_or_its_own() -> None:
    """Only a copy of what remains makes the image smaller. tests/containers looks at the images."""
    assert "python -m venv --without-pip /opt/wellkeeper" in STAGES["wheel"].all("RUN")[0]
    assert "rm -r" in STAGES["base"].all("RUN")[0]
    assert (STAGES["runtime"].base, STAGES["runtime"].all("COPY")) == ("scratch", ["--from=base / /"])


@pytest.mark.parametrize("group", ["responder", "node"])
def test_group_is_a_subset_of_the_base_dependencies(group: str) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = project["dependency-groups"][group]
    assert [one for one in wanted if one not in project["project"]["dependencies"]] == []


def test_every_version_is_pinned() -> None:
    for stage in STAGES.values():
        for command in stage.all("RUN"):
            for part in re.findall(r"bin/pip [^&]*", command):
                assert "--constraint constraints.txt" in part or command.startswith("PIP_CONSTRAINT=constraints.txt ")


def test_copied_files_exist_and_are_in_the_build_context() -> None:
    sent = (PROJECT / ".dockerignore").read_text().splitlines()
    for value in STAGES["wheel"].all("COPY"):
        for source in value.split()[:-1]:
            assert (PROJECT / source).exists()
            assert f"!{source}" in sent
