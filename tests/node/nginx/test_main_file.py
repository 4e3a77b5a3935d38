"""The configuration file of a running nginx."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wellkeeper_node.nginx.main_file import main_file
from wellkeeper_node.nginx.processes import Process, find_process, title_of


@pytest.mark.parametrize(
    ("title", "built", "path"),
    [
        (
            "nginx: master process nginx",
            "--prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf",
            "/etc/nginx/nginx.conf",
        ),
        ("nginx: master process nginx -c /x.conf", "--conf-path=/etc/nginx/nginx.conf", "/x.conf"),
        ("nginx: master process nginx -p /x/ -c y.conf", "--conf-path=/etc/nginx/nginx.conf", "/x/y.conf"),
        ("nginx: master process nginx", "--prefix=/opt/web", "/opt/web/conf/nginx.conf"),
        ("nginx: master process nginx", "--prefix='/opt/my web' --with-x", "/opt/my web/conf/nginx.conf"),
        ("nginx: master process nginx", "", "/usr/local/nginx/conf/nginx.conf"),
        ("angie: master process v1 #1 [angie -p /opt/a]", "", "/opt/a/conf/angie.conf"),
    ],
)
def test_arguments_come_before_how_the_binary_was_built(folder: Path, title: str, built: str, path: str) -> None:
    program = folder / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    with program.open("ab") as file:
        file.write(f"\0configure arguments: {built}\n\0".encode())
    with subprocess.Popen(["/bin/bash", "-c", 'exec -a "$1" "$2" 600', "-", title, program]) as running:
        try:
            while title_of(running.pid).removesuffix(" 600") != title:
                pass
            process = find_process(running.pid)
            assert isinstance(process, Process)
            assert main_file(process) == path
        finally:
            running.kill()
