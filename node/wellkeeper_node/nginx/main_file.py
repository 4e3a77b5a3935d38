"""Find the configuration file of a running nginx: by its arguments, else as its binary was built."""

import mmap
import re
from pathlib import Path
from typing import Final

from wellkeeper_node.nginx import processes
from wellkeeper_node.nginx.masters import places
from wellkeeper_node.nginx.processes import Process

_DEFAULT_PREFIX: Final = "/usr/local/nginx"
# `nginx -V` prints them; a value with blanks is in quotes.
_BUILT: Final = re.compile(rb"--(prefix|conf-path)=('[^'\0]*'|[^ '\0\n]+)")


def main_file(master: Process) -> str:
    """Return the path as the master opened it. Raises OSError when its binary cannot be read; it blocks."""
    title = processes.title_of(master.pid)
    given = places(title.split())
    built = _built(master)
    prefix = given.get("-p") or built.get("prefix") or _DEFAULT_PREFIX
    usual = f"conf/{'angie' if title.startswith('angie') else 'nginx'}.conf"
    file = given.get("-c") or built.get("conf-path") or usual
    return str(Path("/") / prefix / file)


def _built(master: Process) -> dict[str, str]:
    """Return the arguments of `configure` that are about paths."""
    with (
        (processes.PROC / str(master.pid) / "exe").open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return {one[1].decode(): one[2].decode(errors="replace").strip("'") for one in _BUILT.finditer(content)}
