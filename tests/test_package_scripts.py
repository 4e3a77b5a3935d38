"""The package's scripts below another root, with an nginx that only prints its configuration."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from stand.processes import PROJECT

UPSTREAM = "upstream wellkeeper_responder { server unix:/run/wellkeeper/public.sock; }\n"
INCLUDE = "include snippets/wellkeeper/upstream.conf;\n"
VALID = 'find {nginx} -type f | while read file; do echo "# configuration file $file:"; cat $file; done'


class Host:
    """A root directory with nginx's files in etc/nginx."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nginx = root / "etc/nginx"
        self.upstream = self.nginx / "conf.d/wellkeeper.conf"
        self.nginx.mkdir(parents=True)
        self.write("usr/share/wellkeeper/snippets/upstream.conf", "# the upstream\n")
        self.write("usr/share/wellkeeper/wellkeeper.conf", INCLUDE)
        self.program("ucf", '[ "$1" = --purge ] || cp "$2" "$3"')
        for name in ("ucfr", "py3compile", "deb-systemd-invoke", "systemctl"):
            self.program(name, "true")
        self.program("nginx", VALID.format(nginx=self.nginx))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def program(self, name: str, line: str) -> None:
        self.write(f"bin/{name}", f"#!/bin/sh\n{line}\n")
        (self.root / "bin" / name).chmod(0o755)

    def run(self, script: str, *arguments: str) -> str:
        """Run one of the package's scripts, whose absolute paths are those below the root."""
        text = (PROJECT / "packaging" / script).read_text()
        self.write(script, re.sub(r"/(?=(etc|usr|opt|var|run)/)", f"{self.root}/", text))
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        command = ["/bin/sh", str(self.root / script), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_installation_adds_the_upstream_and_an_upgrade_keeps_it(host: Host) -> None:
    assert host.run("postinst", "configure") == ""
    host.write("etc/nginx/snippets/wellkeeper/upstream.conf", UPSTREAM)
    assert host.run("postinst", "configure", "0.1.0") == ""
    assert host.upstream.read_text() == INCLUDE


@pytest.mark.parametrize("nginx", [VALID, "exit 1"], ids=["valid configuration", "nginx cannot read it"])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nginx.conf", f"http {{\n    {UPSTREAM}}}\n"),
        ("nginx.conf", f"http {{\n    {INCLUDE}}}\n"),
        ("conf.d/own.conf", UPSTREAM),
    ],
    ids=["own upstream", "include in the http block", "own file"],
)
def test_upstream_from_elsewhere_is_not_defined_twice(host: Host, nginx: str, file: str, text: str) -> None:
    host.write("usr/share/wellkeeper/snippets/upstream.conf", UPSTREAM)
    host.write(f"etc/nginx/{file}", text)
    host.program("nginx", nginx.format(nginx=host.nginx))
    shown = host.run("postinst", "configure")
    assert f"wellkeeper: nginx already has the upstream wellkeeper_responder; {host.upstream} was not" in shown
    assert not host.upstream.exists()


def test_upstream_in_a_comment_or_a_disabled_site_does_not_count(host: Host) -> None:
    host.write("etc/nginx/nginx.conf", f"# {INCLUDE}# {UPSTREAM}")
    host.write("etc/nginx/sites-available/old", UPSTREAM)
    host.program("nginx", "exit 1")
    host.run("postinst", "configure")
    assert host.upstream.exists()


def test_modes_of_existing_directories_stay(host: Host) -> None:
    folders = [host.root / name for name in ("etc/nginx/conf.d", "etc/nginx/snippets/wellkeeper", "etc/wellkeeper")]
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(0o750)
    host.run("postinst", "configure", "0.1.0")
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o750] * 3


def test_purge_removes_the_patch_of_setup(host: Host) -> None:
    host.run("postinst", "configure")
    for name in ("issuer.toml", "trust.toml", "nginx.patch"):
        host.write(f"etc/wellkeeper/{name}", "")
    host.run("postrm", "purge")
    assert not (host.root / "etc/wellkeeper").exists()
    assert not host.upstream.exists()


@pytest.mark.parametrize("step", ["remove", "purge"])
def test_metrics_go_with_the_package(host: Host, step: str) -> None:
    name = "var/lib/prometheus/node-exporter/wellkeeper.prom"
    host.write(name, "")
    host.run("postrm", step)
    assert not (host.root / name).exists()
