"""Read the configuration of this host's nginx, and propose what the certificates of the settings need there."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.changes.plan import Plan, Target, propose
from wellkeeper_node.nginx.changes.server_block import Host, Paths
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.sites import Ports, Site, sites

_PROGRAMS: Final = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx")
_PID_FILES: Final = frozenset({Path("/run/nginx.pid"), Path("/var/run/nginx.pid")})


@dataclass(frozen=True, slots=True)
class NginxFound:
    """The configuration, and the exact text of each of its files by the path that nginx opened, the main file first."""

    configuration: Configuration
    texts: Mapping[str, str]

    def sites(self, settings: Settings) -> tuple[Site, ...]:
        """Return the server blocks of http."""
        return sites(self.configuration, _ports(settings))

    def table(self) -> dict[str, Any]:
        """Return the `[nginx]` that new settings need: a pid file elsewhere than usual."""
        pid_files = [self.configuration.path(one.arguments[0]) for one in self.configuration.directives if _is_pid(one)]
        return {"pid_file": str(pid_files[0])} if pid_files and pid_files[0] not in _PID_FILES else {}


def find_command(programs: Sequence[str] = _PROGRAMS) -> tuple[str, ...]:
    """Return the command of this host's nginx. Raises SettingsError when there is none."""
    for program in programs:
        if shutil.which(program):
            return (program,)
    raise SettingsError(
        "cannot find nginx",
        f"none of {', '.join(programs)} exists",
        "Install it ('apt install nginx'), or run 'wellkeeper init' and set nginx.command in the settings.",
    )


async def read_nginx(settings: Settings) -> NginxFound:
    """Read the configuration on disk. Raises ReloadError when nginx or our parser refuses it."""
    nginx = build.make_nginx(settings)
    configuration = await nginx.configuration()
    if configuration.errors:
        raise ReloadError("cannot parse all of nginx's configuration", configuration.errors[0])
    return NginxFound(configuration, await asyncio.to_thread(_read_texts, await nginx.files()))


def propose_changes(settings: Settings, certificates: Sequence[CertificateSettings], found: NginxFound) -> Plan:
    """Return the changes; the files are those that symbolic links lead to, because patch(1) follows none."""
    live = build.certificates(settings)
    targets = [Target(_names(one), _paths(live.live_path(one.name), one)) for one in certificates]
    plan = propose(found.configuration, found.texts, targets, Host(_ports(settings), _has_ipv6()))
    resolved = {os.path.realpath(path): pair for path, pair in plan.changes.items()}
    return replace(plan, changes=resolved)


def _names(certificate: CertificateSettings) -> tuple[str, ...]:
    return tuple(one.value for one in certificate.to_lineage().identifiers)


def _paths(live_path: str, certificate: CertificateSettings) -> Paths:
    key = None if certificate.csr else f"{live_path}/privkey.pem"
    return Paths(f"{live_path}/fullchain.pem", key)


def _read_texts(files: Iterable[str]) -> dict[str, str]:
    texts = {}
    for path in files:
        try:
            texts[path] = Path(path).read_bytes().decode(errors="surrogateescape")
        except OSError as error:
            raise ReloadError(f"cannot read {path}", str(error.strerror)) from error
    return texts


def _is_pid(one: Any) -> bool:  # noqa: ANN401 - a directive
    return one.name == "pid" and bool(one.arguments)


def _ports(settings: Settings) -> Ports:
    node = settings.nodes[0]
    http, https = (
        next((port for _, port in addresses), None) for addresses in (node.http_addresses, node.https_addresses)
    )
    return Ports(http or Ports().http, https or Ports().https)


def _has_ipv6() -> bool:
    """Return whether nginx can listen on IPv6 here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
