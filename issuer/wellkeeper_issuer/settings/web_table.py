"""The table `[web]` of issuer.toml."""

import re
from pathlib import Path
from typing import Final

from pydantic import Field, StrictBool, field_validator, model_validator

from wellkeeper_issuer.settings.tables import Frozen
from wellkeeper_issuer.settings.value_types import Listen
from wellkeeper_issuer.settings.values import is_loopback

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


class WebSettings(Frozen):
    """A read-only status endpoint of the daemon: pages, `/metrics`, `/healthz`, `/readyz` and `/v1/status`."""

    listen: Listen | None = Field(
        default=None,
        description=(
            "Where the daemon answers: `unix:/run/wellkeeper-issuer/status.sock`, or `HOST:PORT` on loopback. By "
            "default nowhere (docs/status-page.md, docs/monitoring.md)."
        ),
    )
    group: str | None = Field(
        default=None,
        description=(
            "Group that may use the unix socket, such as `www-data` for nginx in front of it. By default only the "
            "daemon's user and root may."
        ),
    )
    allow_remote: StrictBool = Field(
        default=False,
        description=(
            "Set to true to listen on an address other than loopback: every client that reaches it can read the names "
            "and states of all certificates."
        ),
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description=(
            "Names by which clients ask for it, besides `localhost` and the address in `listen`: requests for other "
            "names are refused."
        ),
    )

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for one in hosts:
            if not _HOST.fullmatch(one):
                raise ValueError(f"{one!r} is not a host name; write issuer.example.org, without a port, or [IPV6]")
        return hosts

    @model_validator(mode="after")
    def _check_address(self) -> "WebSettings":
        if self._host is not None and not self.allow_remote and not is_loopback(self._host):
            raise ValueError(
                f"listen: {self._host} is not a loopback address; write 127.0.0.1, or set allow_remote = true"
            )
        return self

    @property
    def _host(self) -> str | None:
        return None if self.listen is None or isinstance(self.listen, Path) else self.listen[0]

    def accepted_hosts(self) -> frozenset[str]:
        """Return the hosts that requests may name: as in a Host header, without port and trailing dot."""
        own = (_in_url(self._host),) if self._host else ()
        accepted = ("localhost", "127.0.0.1", "[::1]", *own, *self.hosts)
        return frozenset(one.lower().removesuffix(".") for one in accepted)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
