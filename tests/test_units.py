"""The units of systemd as text: what booted machines cannot show, or only slowly. tests/systemd starts them."""

import ipaddress
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from stand.processes import PROJECT
from wellkeeper_client import relay_wire

AS_ROOT = ("wellkeeper.service", "wellkeeper-renew.service", "wellkeeper-node.service")


@pytest.mark.parametrize("name", AS_ROOT)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("ReadOnlyPaths=-/etc/wellkeeper", id="settings and the trust file cannot be changed"),
        pytest.param("SystemCallErrorNumber=EPERM", id="a hook gets an error instead of a signal"),
    ],
)
def test_unit_of_root_restricts_its_hooks(name: str, line: str) -> None:
    assert line in (PROJECT / "systemd" / name).read_text().splitlines()


def test_units_of_root_have_the_same_restrictions() -> None:
    first, *others = (_restrictions((PROJECT / "systemd" / name).read_text()) for name in AS_ROOT)
    assert others == [first] * len(others)


def test_relay_is_restricted_like_the_responder() -> None:
    responder, relay = (
        (PROJECT / f"systemd/wellkeeper-{name}.service").read_text().splitlines() for name in ("responder", "relay")
    )
    begin = responder.index("CapabilityBoundingSet=")
    missing = [line for line in responder[begin:] if line not in relay]
    assert missing == ["PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"]


def test_kernel_lets_the_relay_reach_only_private_networks() -> None:
    lines = (PROJECT / "systemd/wellkeeper-relay.service").read_text().splitlines()
    (allowed,) = (line.removeprefix("IPAddressAllow=").split() for line in lines if line.startswith("IPAddressAllow="))
    assert allowed[:2] == ["localhost", "link-local"]
    for network in map(ipaddress.ip_network, allowed[2:]):
        assert relay_wire.is_private(str(network[0]))
        assert relay_wire.is_private(str(network[-1]))


def test_uninstalling_names_every_unit_that_may_be_enabled() -> None:
    (section,) = re.findall(r"^## Uninstall\n(.*?)^#", (PROJECT / "docs/renewals.md").read_text() + "\n#", re.M | re.S)
    enabled = {path.name for path in (PROJECT / "systemd").iterdir() if "\n[Install]\n" in path.read_text()}
    # `wellkeeper-node leave` disables the other one.
    assert sorted(enabled - set(re.findall(r"wellkeeper[-\w]*\.\w+", section))) == ["wellkeeper-node.service"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("echo new", "new\n", id="metrics replace the last ones"),
        pytest.param("echo half; exit 1", "old\n", id="after a failure the last ones stay, and get stale"),
    ],
)
def test_node_exporter_never_reads_half_of_the_metrics(program: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "wellkeeper.prom").write_text("old\n")
    (tmp_path / "other").write_text("of root\n")
    (tmp_path / "wellkeeper.prom.tmp").symlink_to("other")  # by the directory's owner
    _write_metrics(program, tmp_path)
    assert (tmp_path / "wellkeeper.prom").read_text() == expected
    assert (tmp_path / "other").read_text() == "of root\n"


def test_metrics_are_not_moved_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "wellkeeper.prom").symlink_to("folder")
    _write_metrics("echo new", tmp_path)
    assert (tmp_path / "wellkeeper.prom").read_text() == "new\n"
    assert list((tmp_path / "folder").iterdir()) == []


def _write_metrics(program: str, folder: Path) -> None:
    """Run the command of the unit with this program instead of ours."""
    lines = (PROJECT / "systemd/wellkeeper-metrics.service").read_text().splitlines()
    (start,) = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    (folder / "program").write_text(f"#!/bin/sh\n{program}\n")
    (folder / "program").chmod(0o755)
    argv = shlex.split(start.replace("/usr/local/bin/wellkeeper", str(folder / "program")))
    subprocess.run(argv, env={"TEXTFILE_DIRECTORY": str(folder), "PATH": "/usr/bin:/bin"}, check=False)


def _restrictions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return lines[lines.index("ProtectSystem=yes") : lines.index("UMask=0022") + 1]
