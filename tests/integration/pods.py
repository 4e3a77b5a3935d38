"""An nginx with a root of its own, in this PID namespace, as containers of a pod see each other. Needs root."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stand.nginx import nginx_program, temporary_paths
from stand.ports import free_port
from stand.processes import Process
from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.install import install
from wellkeeper_node.deliver.reload import reload
from wellkeeper_node.model import Flip, Reloaded
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.factory import make_nginx
from wellkeeper_node.probes.probes import NodeProbes

CLOCK: Final = SystemClock()
# A tmpfs as root, with the system's libraries, and a directory that both see at the same path. An absolute link in the
# configuration leads to a file of that root.
_IN_A_ROOT: Final = """
set -e
root=$1 shared=$2 program=$3
shift 3
mount -t tmpfs none "$root"
for one in lib lib32 lib64 libx32; do
    if [ -h "/$one" ]; then
        cp -P "/$one" "$root/"
    elif [ -d "/$one" ]; then
        mkdir "$root/$one"
        mount --bind "/$one" "$root/$one"
    fi
done
cd "$root"
mkdir -p usr dev tmp/bodies var/log/nginx run etc/nginx/available "$root$shared"
mount --bind /usr "$root/usr"
mount --bind "$shared" "$root$shared"
for one in null urandom; do touch "$root/dev/$one"; mount --bind "/dev/$one" "$root/dev/$one"; done
cp /etc/passwd /etc/group "$root/etc/"
cp "$program" "$root/nginx"
cp "$shared/nginx.conf" "$root/etc/nginx/"
ln -s "$shared/sites.conf" "$root/etc/nginx/available/sites.conf"
ln -s /etc/nginx/available "$root/etc/nginx/enabled"
chmod -R a+rwX "$root/var" "$root/tmp" "$root/run"
exec chroot "$root" "$@"
"""


@dataclass
class Pod:
    """nginx beside us, with a live certificate for each name. `log` is an error log on a shared volume, if any."""

    folder: Path
    names: Sequence[str]
    log: Path | None = None
    ca: FakeCa = field(default_factory=lambda: FakeCa(datetime.now(UTC).replace(microsecond=0)))
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folders = CertificateFolders(self.folder / "certificates")
        self.nginx = make_nginx(Control(pid_file=None, test="reload", error_log=self.log), CLOCK)

    async def install(self) -> list[Flip]:
        return [await install(name, self.ca.pair(dns(name)), self.folders) for name in self.names]

    async def reload(self, flips: list[Flip]) -> Reloaded:
        return await reload(flips, self.nginx, self.folders, CLOCK)

    def write(self, extra: str = "") -> None:
        """Write the server blocks; `extra` is copied into http."""
        sites = (
            f"server {{ listen 127.0.0.1:{self.port} ssl; server_name {name};"
            f" ssl_certificate {self.folders.live_path(name)}/fullchain.pem;"
            f" ssl_certificate_key {self.folders.live_path(name)}/privkey.pem; }}\n"
            for name in self.names
        )
        (self.folder / "sites.conf").write_text("".join(sites) + extra)

    def overwrite_key(self, name: str) -> None:
        other = self.ca.pair(dns("x.example")).certificate_key_pem
        Path(self.folders.live_path(name), "privkey.pem").write_bytes(other)

    def chain(self, name: str) -> Path:
        """Return the live chain, without links."""
        return Path(self.folders.live_path(name), "fullchain.pem").resolve()

    async def served(self, name: str) -> str:
        leaf = await NodeProbes().handshake(("127.0.0.1", self.port), dns(name))
        if leaf is None:
            raise AssertionError(f"nginx refuses {name}")
        return leaf.fingerprint_sha256[:8]

    @asynccontextmanager
    async def running(self, *before: str, number: int = 0, worker_count: int = 2) -> AsyncIterator[Process]:
        """Run nginx in a root of its own; `before` are words before its command line.

        It is ready with `worker_count` workers in this PID namespace.
        """

        async def is_ready() -> bool:
            return _worker_count() == worker_count

        root = self.folder / f"root{number}"
        root.mkdir(exist_ok=True)
        (self.folder / "nginx.conf").write_text(_main(self.log))
        argv = [*before, "/nginx", "-g", "daemon off;"]
        entering = ("unshare", "--mount", "sh", "-c", _IN_A_ROOT, "-", str(root), str(self.folder), nginx_program())
        process = Process("nginx", (*entering, *argv), self.folder / f"nginx{number}.log")
        try:
            await process.start(is_ready)
            yield process
        finally:
            await process.stop()


def _worker_count() -> int:
    return len([one for one in Path("/proc").glob("[0-9]*/cmdline") if _is_worker(one)])


def _is_worker(command_line: Path) -> bool:
    try:
        return command_line.read_bytes().startswith(b"nginx: worker process")
    except OSError:  # it has ended
        return False


def _main(log: Path | None) -> str:
    return f"""\
worker_processes 2;
pid /run/nginx.pid;
error_log {log or "stderr"} notice;
events {{ worker_connections 64; }}
http {{
    access_log off;
    {temporary_paths(Path("/tmp"))}
    include enabled/*.conf;
}}
"""
