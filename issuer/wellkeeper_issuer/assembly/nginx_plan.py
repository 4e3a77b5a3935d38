"""Read the configuration of this host's nginx, and propose what the certificates of the settings need there."""

import asyncio
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.local_node import local_node
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.changes.in_use import Working
from wellkeeper_node.nginx.changes.plan import Plan, propose
from wellkeeper_node.nginx.changes.server_block import Host
from wellkeeper_node.nginx.changes.targets import Paths, Target
from wellkeeper_node.nginx.configuration import HERE, Configuration, Directive
from wellkeeper_node.nginx.disk import Disk
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
        return sites(self.configuration, ports_of(settings))

    def working_certificates(self) -> Working:
        """Return the certificates of CAs by their `ssl_certificate`, with their names."""
        values = {one.arguments[0] for one in self.configuration.walk() if _is_chain(one)}
        path, disk = self.configuration.path, self.configuration.disk
        names = {one: None if _is_unknown(one) else _read_names(str(path(one)), disk) for one in values}
        return {one: found for one, found in names.items() if not _is_replaceable(found)}

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
    return NginxFound(configuration, await asyncio.to_thread(_read_texts, configuration))


def propose_changes(settings: Settings, certificates: Sequence[CertificateSettings], found: NginxFound) -> Plan:
    """Return the changes; the files are those that symbolic links lead to, because patch(1) follows none."""
    live = build.certificates(settings)
    targets = [_target(live.live_path(one.name), one) for one in certificates]
    working = found.working_certificates()
    plan = propose(found.configuration, found.texts, targets, Host(ports_of(settings), _has_ipv6()), working)
    resolved = {found.configuration.disk.real_path(path): pair for path, pair in plan.changes.items()}
    return replace(plan, changes=resolved)


def _names(certificate: CertificateSettings) -> tuple[str, ...]:
    return tuple(one.value for one in certificate.to_lineage().identifiers)


def _target(live_path: str, certificate: CertificateSettings) -> Target:
    key = None if certificate.csr else f"{live_path}/privkey.pem"
    paths = Paths(f"{live_path}/fullchain.pem", key)
    return Target(_names(certificate), paths, is_obtained=not _is_replaceable(_read_names(paths.chain, HERE)))


def _read_names(path: str, disk: Disk) -> frozenset[str] | None:
    """Return the names in a certificate of a CA: empty without one or if it is self-signed, None if unreadable."""
    try:
        found = reading.read_certificate(disk.read(path))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError):
        return None
    return frozenset() if found.is_self_signed else frozenset(one.value.lower() for one in found.identifiers) or None


def _is_replaceable(names: frozenset[str] | None) -> bool:
    return names is not None and not names


def _read_texts(configuration: Configuration) -> dict[str, str]:
    texts = {}
    for path in configuration.files:
        try:
            texts[path] = configuration.disk.read(path).decode(errors="surrogateescape")
        except OSError as error:
            raise ReloadError(f"cannot read {path}", str(error.strerror)) from error
    return texts


def _is_chain(one: Directive) -> bool:
    return one.name == "ssl_certificate" and bool(one.arguments)


def _is_unknown(value: str) -> bool:
    """Return whether the value is not a path: nginx then takes it from a variable."""
    return "$" in value or value.startswith("data:")


def _is_pid(one: Directive) -> bool:
    return one.name == "pid" and bool(one.arguments)


def ports_of(settings: Settings) -> Ports:
    """Return the ports of this host's nginx, by its node in the settings; the usual ones if it is none of them."""
    node = local_node(settings)
    if node is None:
        return Ports()
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
