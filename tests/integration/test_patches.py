"""The proposed patch, applied by the real patch(1) and read by a real nginx."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.nginx import SNIPPETS, nginx_program, temporary_paths
from stand.ports import free_port
from stand.processes import find_program
from tests.node.nginx.changes.vhosts import VHOSTS, Vhost
from wellkeeper_node.nginx.changes.plan import Plan, propose
from wellkeeper_node.nginx.changes.server_block import Host
from wellkeeper_node.nginx.changes.targets import Paths, Target
from wellkeeper_node.nginx.configuration import parse, split_files
from wellkeeper_node.nginx.sites import Ports
from wellkeeper_node.process import Finished, run

pytestmark = [pytest.mark.integration, pytest.mark.nginx]


class Configured:
    """An nginx.conf that includes one site, on free ports."""

    def __init__(self, folder: Path, vhost: Vhost) -> None:
        self.folder = folder
        self.names = vhost.names
        self.ports = Ports(free_port(), free_port())
        self._other = free_port()
        self.site = folder / "sites-available/site"
        for name in ("conf.d", "snippets", "sites-available", "sites-enabled", "bodies"):
            (folder / name).mkdir()
        (folder / "snippets/wellkeeper").symlink_to(SNIPPETS)
        (folder / "sites-enabled/site").symlink_to("../sites-available/site")
        for name in ("live", "old"):
            make_server_certificate(folder / name, vhost.names)
        self.site.write_text(self.filled(vhost.before), newline="")
        self.main = folder / "nginx.conf"
        self.main.write_text(
            f"pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary_paths(folder)}\n"
            "    include conf.d/*.conf;\n    include sites-enabled/*;\n}\n"
        )

    def filled(self, text: str) -> str:
        """Return the text with the paths and the ports of this test."""
        text = text.replace("{live}", f"{self.folder}/live").replace("{old}", f"{self.folder}/old")
        for port, ours in (("80", self.ports.http), ("81", self._other), ("443", self.ports.https)):
            text = re.sub(rf"(listen (?:\[::\]:)?){port}\b", rf"\g<1>{ours}", text)
        return text

    async def nginx(self, option: str) -> Finished:
        return await run([nginx_program(), "-e", "stderr", "-p", f"{self.folder}/", "-c", str(self.main), option], 120)

    async def proposed(self) -> Plan:
        dump = (await self.nginx("-T")).output
        files = {path: _text(path) for path in split_files(dump)}
        live = f"{self.folder}/live"
        target = Target(self.names, Paths(f"{live}/fullchain.pem", f"{live}/privkey.pem"))
        plan = propose(parse(dump), files, [target], Host(self.ports))
        return Plan(_resolved(plan.changes), plan.notes)


def _resolved(changes: Mapping[str, tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    """Return the changes of the files that links lead to: patch(1) does not write through a symbolic link."""
    return {os.path.realpath(path): pair for path, pair in changes.items()}


def _text(path: str) -> str:
    return Path(path).read_bytes().decode()


@pytest.mark.parametrize("vhost", VHOSTS.values(), ids=VHOSTS)
async def test_patch_applies_and_nginx_accepts_the_result(folder: Path, vhost: Vhost) -> None:
    configured = Configured(folder, vhost)
    plan = await configured.proposed()
    (folder / "our.patch").write_text(plan.patch, newline="")
    command = [
        find_program("patch"),
        "-d",
        "/",
        "-p0",
        "--no-backup-if-mismatch",
        "-r",
        "-",
        "-i",
        f"{folder}/our.patch",
    ]
    applied = await run(command, 120)
    assert applied.exit_code == 0, applied.output
    assert "fuzz" not in applied.output
    assert await asyncio.to_thread(configured.site.read_bytes) == configured.filled(vhost.after).encode()
    tested = await configured.nginx("-t")
    assert tested.exit_code == 0, tested.output
    assert (await configured.proposed()).patch == ""
