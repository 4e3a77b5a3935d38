"""A real nginx with its own directory and the project's unmodified snippets.

Its master is our child process (`daemon off`). For root, its workers run as the user of Debian's nginx, so that
permissions are those of a real machine; for a normal user, everything runs as that user. WELLKEEPER_TEST_NGINX=newest
in the environment chooses the nginx that `scripts/install --newest-nginx` unpacked instead of the system's.
"""

import grp
import os
import pwd
import re
import signal
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from stand.lan import LanHost
from stand.processes import PROJECT, Process, Running, StandError, accepts, find_program

SNIPPETS: Final = PROJECT / "nginx/snippets"
_NEWEST: Final = PROJECT / ".cache/nginx-newest/usr/sbin/nginx"
_CHOICE: Final = "WELLKEEPER_TEST_NGINX"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """A server block on every HTTPS address; `live` is the directory with `fullchain.pem` and `privkey.pem`."""

    names: tuple[str, ...]
    live: Path


@dataclass(frozen=True, slots=True)
class NginxSettings:
    """The default server on every HTTP address, the sites on every HTTPS address, each with the challenge snippet.

    `in_http` and `in_server` are copied into the http block and into each server block, before the snippet;
    `location` is the content of `location /`.
    """

    responder_socket: Path
    http: tuple[Address, ...]
    https: tuple[Address, ...] = ()
    sites: tuple[Site, ...] = ()
    in_http: str = ""
    in_server: str = ""
    location: str = 'return 200 "hello\\n";'
    worker_count: int = 2
    listen_flags: str = ""


class NginxServer(Running):
    """`async with NginxServer(folder, settings) as nginx`; several can run at the same time.

    With `on`, it runs on that host of a private network.
    """

    def __init__(self, folder: Path, settings: NginxSettings, name: str = "nginx", on: LanHost | None = None) -> None:
        self._folder = folder
        self._on = on
        self.settings = settings
        for part in ("bodies", "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "nginx.conf"
        self.write(settings)
        self.process = Process(name, (*(on.entering if on else ()), *self.argv()), folder / "logs/stderr.log")

    @property
    def pid_path(self) -> Path:
        return self._folder / "nginx.pid"

    @property
    def error_log(self) -> Path:
        return self._folder / "logs/error.log"

    @property
    def access_log(self) -> Path:
        return self._folder / "logs/access.log"

    def argv(self) -> list[str]:
        """Return the issuer's `nginx.command`, to which it appends `-t`, `-T` and `-s reload`."""
        return [nginx_program(), "-e", "stderr", "-p", f"{self._folder}/", "-c", str(self.config_path)]

    def write(self, settings: NginxSettings) -> None:
        """Write a new configuration; a running nginx loads it at the next reload."""
        self.settings = settings
        self.config_path.write_text(_config(self._folder, settings))

    def reload(self) -> None:
        """Request a reload, without waiting for it."""
        self.process.signal(signal.SIGHUP)

    def errors(self) -> str:
        return self.error_log.read_text(errors="replace") if self.error_log.exists() else ""

    async def is_ready(self) -> bool:
        """Return true if all workers run: the kernel accepts connections before there is one."""
        settings = self.settings
        return self._worker_count() == settings.worker_count and all(
            [await accepts(self._reached(host), port) for host, port in (*settings.http, *settings.https)]
        )

    def _reached(self, host: str) -> str:
        return self._on.address if self._on else host

    def _worker_count(self) -> int:
        pid = self.process.pid
        children = _read(Path(f"/proc/{pid}/task/{pid}/children")).decode().split()
        titles = [_read(Path(f"/proc/{child}/cmdline")) for child in children]
        return sum(b"worker process" in title for title in titles)


def nginx_program() -> str:
    """The nginx that is tested, by its path. Raises StandError when it is not there."""
    choice = os.environ.get(_CHOICE, "system")
    if choice == "system":
        return find_program("nginx")
    if choice != "newest":
        raise StandError(f"{_CHOICE} is {choice!r}; it can be 'system' (the default) or 'newest'")
    if not _NEWEST.exists():
        raise StandError(f"there is no {_NEWEST}; run scripts/install --newest-nginx")
    return str(_NEWEST)


def nginx_version() -> tuple[int, ...]:
    """Return the version of the tested nginx from `nginx -v`, as (1, 22, 1)."""
    return _version(nginx_program())


@cache
def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "-v"], capture_output=True, check=True, text=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        raise StandError(f"nginx does not say its version: {said!r}")
    return tuple(map(int, found.groups()))


def _read(path: Path) -> bytes:
    """Return the content of a file in /proc; nothing for a process that has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def temporary_paths(folder: Path) -> str:
    """Return directives for the http block, since the compiled-in directories belong to root."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/bodies/{kind};" for kind in kinds)


def _config(folder: Path, settings: NginxSettings) -> str:
    servers = []
    if settings.http:  # a server block without 'listen' would take port 80
        listen = _listen(settings.http, f"default_server {settings.listen_flags}")
        servers.append(_server(settings, listen, "server_name _;"))
    for number, site in enumerate(settings.sites):
        flags = "ssl default_server" if number == 0 else "ssl"
        servers.append(_server(settings, _listen(settings.https, f"{flags} {settings.listen_flags}"), _tls(site)))
    return f"""\
{_user()}
daemon off;
worker_processes {settings.worker_count};
pid {folder}/nginx.pid;
error_log {folder}/logs/error.log notice;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/logs/access.log;
    {temporary_paths(folder)}
    # In place of upstream.conf: the same name, another path.
    upstream wellkeeper_responder {{
        server unix:{settings.responder_socket} max_fails=0;
        keepalive 4;
    }}
    {settings.in_http}
{"".join(servers)}
}}
"""


def _server(settings: NginxSettings, listen: str, names_and_tls: str) -> str:
    return f"""
    server {{
        {listen}
        {names_and_tls}
        {settings.in_server}
        include {SNIPPETS}/challenge.conf;
        location / {{ {settings.location} }}
    }}
"""


def _tls(site: Site) -> str:
    return f"""server_name {" ".join(site.names)};
        ssl_certificate {site.live}/fullchain.pem;
        ssl_certificate_key {site.live}/privkey.pem;
        include {SNIPPETS}/tls.conf;"""


def _listen(addresses: tuple[Address, ...], flags: str) -> str:
    return " ".join(f"listen {_host_and_port(address)} {flags.strip()};" for address in addresses)


def _host_and_port(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _user() -> str:
    """Return the `user` line; only for root, since nginx warns about it for other users."""
    if os.geteuid() != 0:
        return ""
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = pwd.getpwnam(next(name for name in ("www-data", "nginx", "nobody") if name in names))
    return f"user {user.pw_name} {grp.getgrgid(user.pw_gid).gr_name};"
