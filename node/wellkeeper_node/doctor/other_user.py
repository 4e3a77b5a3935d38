"""Try as another user, in a child process, to read files or to connect to addresses, as nginx's processes do."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Final, Literal

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import process
from wellkeeper_node.nginx.processes import Ids

_SECONDS: Final = 20.0
# Linux limits an argument to 128 KiB.
_MOST: Final = 100
# It starts as root, so that the interpreter need not be readable for that user.
_CHILD: Final = """
import json, os, socket, sys
kind, user, group, groups, targets = json.loads(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups(groups)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
def attempt(target):
    if kind == "read":
        os.close(os.open(target, os.O_RDONLY | os.O_NONBLOCK))
    elif target.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(target[5:])
    else:
        host, _, port = target.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), 5).close()
words = []
for target in targets:
    try:
        attempt(target)
        words.append("")
    except OSError as error:
        words.append(error.strerror or str(error))
print(json.dumps(words))
"""


def may_become(ids: Ids) -> bool:
    """Return whether this process can try something as that user: it is root, or that user."""
    return os.geteuid() in {0, ids.user}


async def attempt_as(ids: Ids, kind: Literal["read", "connect"], targets: Sequence[str]) -> dict[str, str]:
    """Return by target why it failed, "" for success; only the first hundred are tried.

    Targets are paths to read, or `unix:PATH` and `HOST:PORT` to connect to.
    """
    chosen = list(dict.fromkeys(targets))[:_MOST]
    request = json.dumps([kind, ids.user, ids.group, ids.groups, chosen])
    try:
        finished = await process.run([sys.executable, "-I", "-S", "-c", _CHILD, request], _SECONDS)
        return dict(zip(chosen, json.loads(finished.output), strict=True))
    except (process.ProcessError, ValueError) as error:
        return dict.fromkeys(chosen, f"it cannot be tried ({one_line(str(error))})")
