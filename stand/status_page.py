"""A daemon with its status page behind a real nginx; some certificates are served, and a CA refuses one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from stand.daemon import IssuerDaemon
from stand.fault_proxy import Kind
from stand.faults import changed
from stand.host import running_host
from stand.nginx import SNIPPETS

CHROMIUM: Final = "/usr/bin/chromium"
USER: Final = "admin"
PASSWORD: Final = "secret"
REFUSED: Final = "shop"
_REFUSED_NAME: Final = "shop.example.org"
_CERTIFICATES: Final = {
    "www": ["www.example.org", "example.org"],
    "mail": ["mail.example.org", "imap.example.org", "smtp.example.org", "autoconfig.example.org"],
    "wiki": ["xn--bcher-kva.example.org"],
    REFUSED: [_REFUSED_NAME],
}


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The page at `url`, for `USER` with `PASSWORD`, of the issuer with this `state_dir`."""

    url: str
    state_dir: Path


@asynccontextmanager
async def running_status_page(folder: Path, words: str, *tables: str) -> AsyncIterator[StatusPage]:
    """Run it, with these tables in the settings; the CA refuses a name with these words."""
    snippet, socket = snippet_for(folder)
    async with running_host(folder, _CERTIFICATES, has_proxy=True, nonces_rejected_percent=0) as host:
        web = f"[web]\nlisten = 'unix:{socket}'"
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1, tables=(web, *tables)))
        host.nginx.write(replace(host.nginx.settings, in_server=snippet))
        if host.proxy is not None:
            host.proxy.stage(Kind.AUTHORIZATION, changed(_refusing(words)), times=1000)
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate=REFUSED, event="failed")
            for name in _CERTIFICATES.keys() - {REFUSED}:
                await daemon.until(certificate=name, stage="verify", event="finished")
            socket.chmod(0o666)  # nginx's workers may have a group of their own, which `group` would name
            address, port = host.http
            yield StatusPage(f"http://{address}:{port}/wellkeeper/", host.issuer.state_dir)


def snippet_for(folder: Path) -> tuple[str, Path]:
    """Return nginx's snippet for a socket and a password file in this directory, and the socket."""
    socket, passwords = folder / "web/status.sock", folder / "htpasswd"
    socket.parent.mkdir()
    passwords.write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    text = (SNIPPETS / "status.conf").read_text()
    paths = {"/run/wellkeeper-issuer/status.sock": socket, "/etc/nginx/wellkeeper.htpasswd": passwords}
    for documented, used in paths.items():
        if documented not in text:
            raise ValueError(f"status.conf does not name {documented}")
        text = text.replace(documented, str(used))
    return text, socket


def _refusing(words: str) -> Any:  # noqa: ANN401 - an edit of JSON
    def edit(members: dict[str, Any]) -> None:
        if members.get("identifier", {}).get("value") != _REFUSED_NAME:
            return
        members["status"] = "invalid"
        for challenge in members["challenges"]:
            challenge.update(status="invalid", error={"type": "urn:ietf:params:acme:error:dns", "detail": words})

    return edit
