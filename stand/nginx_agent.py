"""An nginx that starts with our entrypoint, as in a container, with the agent beside it.

The shell and its tools are found in a directory of links: those of this host with dash, or busybox alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stand.nginx import NginxServer, NginxSettings, nginx_program
from stand.processes import PROJECT, Process, accepts, find_program

Shell = Literal["dash", "busybox"]

ENTRYPOINT: Final = PROJECT / "nginx/agent/entrypoint"
# All that agent and entrypoint run; a container of nginx has them.
_TOOLS: Final = "chmod grep head id ls mkdir mkfifo mv readlink rm sh sleep tail timeout wc"
_OWN_PROCESSES: Final = ("/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True, slots=True)
class Container:
    """Differences between containers of nginx.

    `agent_folder` is that of another one that shares it. With `has_own_processes`, which only root can, nginx is the
    first process of its own PID namespace. `command` replaces that of the image.
    """

    shell: Shell = "dash"
    agent_folder: Path | None = None
    has_own_processes: bool = False
    command: tuple[str, ...] = ()
    image_entrypoint: Path = Path("/nonexistent")


class NginxWithAgent(NginxServer):
    """`async with NginxWithAgent(folder, settings) as nginx`; `agent_folder` is `nginx.agent` of the settings."""

    def __init__(self, folder: Path, settings: NginxSettings, container: Container = Container()) -> None:
        super().__init__(folder, settings)
        self.agent_folder = container.agent_folder or folder / "agent"
        (self.agent_folder / "questions").mkdir(parents=True, exist_ok=True)
        self.tools = _linked(folder / "tools", container.shell)
        environment = {
            "PATH": str(self.tools),
            "WELLKEEPER_NGINX_AGENT": str(self.agent_folder),
            "WELLKEEPER_IMAGE_ENTRYPOINT": str(container.image_entrypoint),
        }
        entering = _OWN_PROCESSES if container.has_own_processes else ()
        argv = (*entering, str(self.tools / "sh"), str(ENTRYPOINT), *(container.command or self.argv()))
        self.process = Process("nginx", argv, folder / "logs/stderr.log", environment)

    @property
    def log(self) -> str:
        """Return what nginx and the agent wrote to standard error, the log of a container."""
        return self.process.log.read_text(errors="replace")

    def heartbeat(self) -> list[str]:
        """Return the words of the heartbeat; none before the first one."""
        path = self.agent_folder / "answers/heartbeat"
        return path.read_text().split() if path.exists() else []

    @property
    def agent_pid(self) -> int:
        """Return the process id of the agent, in its own PID namespace."""
        return int(self.heartbeat()[0].split(".")[1])

    async def is_ready(self) -> bool:
        """Return true if the agent sees all workers."""
        settings = self.settings
        listening = [await accepts(host, port) for host, port in (*settings.http, *settings.https)]
        return all(listening) and self.heartbeat()[3:4] == [str(settings.worker_count)]


def _linked(tools: Path, shell: Shell) -> Path:
    """Make the directory with the programs that a container of nginx has."""
    tools.mkdir(exist_ok=True)
    programs = {name: find_program("busybox") if shell == "busybox" else _found(name) for name in _TOOLS.split()}
    for name, program in {**programs, "nginx": nginx_program()}.items():
        link = tools / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return tools


def _found(name: str) -> str:
    return find_program("dash" if name == "sh" else name)
