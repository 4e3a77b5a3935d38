"""A host before `wellkeeper setup`: an nginx as Debian configures it, with one site, and settings for free ports."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.nginx import Address, NginxServer, NginxSettings, temporary_paths
from stand.pebble import Pebble
from stand.ports import free_port
from stand.processes import search_path
from stand.responder import ResponderProcess
from wellkeeper_node.process import Finished, run

NAME = "www.example.org"


@dataclass(frozen=True, slots=True)
class Bare:
    """The host: nginx serves one site on port `http`, and does not answer challenges."""

    folder: Path
    issuer: Issuer
    nginx: NginxServer
    http: Address
    https: Address

    @property
    def site(self) -> Path:
        return self.folder / "nginx/sites-available/site"

    @property
    def sockets(self) -> Path:
        return self.folder / "responder"

    async def apply(self, command: str) -> Finished:
        """Run the line that setup printed."""
        return await run(["/bin/sh", "-c", command], 60, environment={"PATH": search_path()})

    @property
    def responder(self) -> ResponderProcess:
        """Return a responder that follows the trust file of setup."""
        return ResponderProcess(self.sockets, self.issuer.config_path.with_name("trust.toml"))


@asynccontextmanager
async def bare_host(
    folder: Path, pebble: Pebble, http_port: int, *names: str, in_server: str = "", rehearsal_ca: str = ""
) -> AsyncIterator[Bare]:
    """Start nginx, and write settings without certificates."""
    http, https = ("127.0.0.1", http_port), ("127.0.0.1", free_port())
    issuer = Issuer(folder)
    nginx = NginxServer(folder / "nginx", NginxSettings(folder / "responder/public.sock", (http,)))
    host = Bare(folder, issuer, nginx, http, https)
    _write_nginx(host, names or (NAME,), in_server)
    node = NodeUnderTest("local", f"unix:{host.sockets}/control.sock", http, https)
    tables = ("[rehearsal]", f'ca = "{rehearsal_ca}"') if rehearsal_ca else ()
    issuer.configure(
        IssuerSettings(pebble.directory_url, pebble.ca_bundle, {}, (node,), nginx.argv(), nginx.pid_path, tables=tables)
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(nginx)
        yield host


def _write_nginx(host: Bare, names: Sequence[str], in_server: str) -> None:
    folder = host.folder / "nginx"
    for name in ("conf.d", "sites-available", "sites-enabled"):
        (folder / name).mkdir()
    (folder / "sites-enabled/site").symlink_to("../sites-available/site")
    lines = [f"listen {host.http[1]};", f"server_name {' '.join(names)};", f"root {folder};"]
    host.site.write_text("".join(["server {\n", *(f"    {line}\n" for line in lines), in_server, "}\n"]))
    first_line = host.nginx.config_path.read_text().partition("\n")[0]  # the user of the workers
    host.nginx.config_path.write_text(
        f"{first_line}\ndaemon off;\nworker_processes 2;\npid {host.nginx.pid_path};\n"
        f"error_log {host.nginx.error_log} notice;\nevents {{}}\nhttp {{\n    access_log off;\n"
        f"    {temporary_paths(folder)}\n"
        f"    upstream wellkeeper_responder {{ server unix:{host.sockets}/public.sock max_fails=0; }}\n"
        "    include conf.d/*.conf;\n    include sites-enabled/*;\n}\n"
    )
