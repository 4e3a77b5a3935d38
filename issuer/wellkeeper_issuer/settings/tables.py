"""The tables of issuer.toml, each a frozen object; `wellkeeper_issuer.settings` puts them together.

The description of a key is its documentation everywhere: in the JSON Schema, in docs/settings.md, and as a comment in
the file that `init` writes. `[[cas]]` and `[[certificates]]` have files of their own beside this one.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from wellkeeper_issuer.settings.value_types import (
    AbsolutePath,
    Address,
    Argv,
    CaName,
    Engine,
    Minutes,
    Name,
    PidFile,
    PositiveNumber,
    Relay,
    Responder,
    Seconds,
)
from wellkeeper_node.model import Node
from wellkeeper_node.nginx.control import Test, find_conflict


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False)


class NginxSettings(Frozen):
    """The nginx of this host: how it is tested and reloaded, and where it is asked for what it serves."""

    command: Argv = Field(
        default=("nginx",),
        description="nginx with the arguments it was started with (`-p`, `-c`, `-g`); Wellkeeper appends `-t` or `-T`.",
    )
    reload: Literal["signal", "command"] = Field(
        default="signal",
        description="`signal` sends SIGHUP to nginx's master, `command` runs the command above with `-s reload`.",
    )
    reload_command: Argv | None = Field(
        default=None,
        description=(
            "Command that reloads nginx, used instead of `reload`. Example: `['systemctl', 'reload', 'nginx']`."
        ),
    )
    pid_file: PidFile = Field(
        default=Path("/run/nginx.pid"),
        description=(
            "File with the process id of nginx's master. `auto`: the one master in this PID namespace that runs as "
            "root or as Wellkeeper's own user; for containers of one pod (docs/reaching-nginx.md)."
        ),
    )
    test: Test = Field(
        default="command",
        description=(
            "`command` runs the command above with `-t` before each reload. `reload`: there is no nginx to run here, "
            "so a reload is the test, because a refused one changes nothing (docs/reaching-nginx.md)."
        ),
    )
    agent: AbsolutePath | None = Field(
        default=None,
        description=(
            "Directory that Wellkeeper shares with an agent in nginx's container, which tests and reloads nginx there "
            "(docs/reaching-nginx.md). Excludes `command`, `pid_file`, `reload`, `reload_command`, `test` and "
            "`error_log`."
        ),
    )
    error_log: AbsolutePath | None = Field(
        default=None,
        description=(
            "Log in which nginx explains why it refused a reload. By default the file that its master writes to; set "
            "it when nginx logs to syslog."
        ),
    )
    https_addresses: tuple[Address, ...] = Field(
        default=(("127.0.0.1", 443),),
        description=(
            "Addresses (`HOST:PORT`) of this nginx at which handshakes verify what it serves, where its configuration "
            "does not say it. A certificate is verified at the `listen` addresses of the server blocks that name it."
        ),
    )
    proxy_protocol: StrictBool = Field(
        default=False, description="Set to true when these addresses listen with `proxy_protocol`."
    )
    reload_debounce_seconds: Seconds = Field(
        default=2.0,
        description=(
            "A daemon reloads nginx when no certificate was installed for this many seconds: one reload for many "
            "certificates."
        ),
    )
    reload_interval_seconds: Seconds = Field(default=10.0, description="Minimum number of seconds between two reloads.")
    finishing_workers: StrictInt = Field(
        default=64,
        ge=1,
        description="nginx is not reloaded while more than this number of old workers still finish requests.",
    )

    @model_validator(mode="after")
    def _check_conflicts(self) -> "NginxSettings":
        if conflict := find_conflict(self.model_fields_set, self.test):
            raise ValueError(conflict)
        return self


class NodeSettings(Frozen):
    """One nginx with its responder; addresses are where *this* node answers, never a load balancer."""

    name: Name = Field(description="Name of the node in messages.")
    responder: Responder = Field(
        default="unix:/run/wellkeeper/control.sock",
        description=(
            "Control listener of the responder: `unix:/PATH`, or `HOST:PORT` in a private network. A host may be a "
            "name, here and in other addresses: it is resolved again for each connection, which goes to the first of "
            "its addresses that accepts it. If there are several nginx, give each its own name."
        ),
    )
    http_addresses: tuple[Address, ...] = Field(
        default=(("127.0.0.1", 80),),
        description=(
            "Addresses of this nginx (never of a load balancer) at which tokens are read back. Add `[::1]:80` when "
            "the names have AAAA records, because CAs try IPv6 first. An empty list skips the read-back here. "
            "`[nginx]` and `wellkeeper doctor` are about the first node with an address of this host."
        ),
    )
    https_addresses: tuple[Address, ...] = Field(
        default=(("127.0.0.1", 443),),
        description="Addresses of this nginx at which the read-back follows redirects to https.",
    )
    proxy_protocol: StrictBool = Field(
        default=False,
        description=(
            "Set to true when the addresses of this node listen with `proxy_protocol`, as behind many load balancers."
        ),
    )

    def to_node(self) -> Node:
        return Node(self.name, self.responder, self.http_addresses, self.https_addresses, self.proxy_protocol)


class EngineSettings(Frozen):
    """An engine (Valkey, or Redis from 7.0) that carries the same records as the relay."""

    address: Engine | None = Field(
        default=None,
        description=(
            "Address of the engine with the issuer's user: `rediss://USER@HOST:6379`, with `?ca=FILE` for a CA of your "
            "own, `redis://` in a private network, or `redis+sentinel://USER@HOST,HOST/SERVICE`. `wellkeeper engine "
            "use` checks and sets it."
        ),
    )
    password_file: AbsolutePath | None = Field(
        default=None,
        description="File with the password of that user. By default the one that `wellkeeper engine acl` made.",
    )
    node_user: Name = Field(default="wellkeeper-node", description="User of all nodes, who may read and report.")
    node_password_file: AbsolutePath | None = Field(
        default=None,
        description=(
            "File with the password of the nodes' user, which each node gets sealed. By default the one that "
            "`wellkeeper engine acl` made."
        ),
    )
    sentinel_user: Name | None = Field(
        default=None, description="User of issuer and nodes in the Sentinels. By default it is their default user."
    )
    sentinel_password_file: AbsolutePath | None = Field(
        default=None,
        description=("File with its password, which each node gets sealed. By default they are asked without one."),
    )
    take_over_minutes: Minutes = Field(
        default=5.0,
        description=(
            "A standby on which `wellkeeper run` waits takes over once no issuer has held the engine's lease for "
            "this many minutes, and no node has heard one for five (docs/standby.md)."
        ),
    )


class FleetSettings(Frozen):
    """Other nodes, which get tokens and certificates through a relay on this host."""

    listen: tuple[Address, ...] = Field(
        default=(),
        description=(
            "Private addresses (`HOST:PORT`) at which the relay of this host listens for nodes. Without any, there are "
            "no other nodes."
        ),
    )
    relay: Relay = Field(
        default="unix:/run/wellkeeper-relay/issuer.sock",
        description="Socket of the relay for the issuer: `unix:/PATH`.",
    )
    restore_wait_minutes: Minutes = Field(
        default=15.0,
        description=(
            "An issuer that was restored from a backup orders and sends nothing until all nodes have reported what "
            "they have, or for this many minutes."
        ),
    )
    engine: EngineSettings = Field(
        default=EngineSettings(), description="An engine that nodes follow beside the relay (docs/engine.md)."
    )


class HooksSettings(Frozen):
    """Commands around a renewal, no shell: before and after what is due, for each one taken, for each failure."""

    pre: Argv | None = Field(default=None, description="Runs once before due certificates are renewed.")
    deploy: Argv | None = Field(
        default=None,
        description=(
            "Runs for each renewed certificate as soon as nginx has loaded it; a failure is retried until it succeeds."
        ),
    )
    post: Argv | None = Field(default=None, description="Runs once after due certificates were renewed.")
    failed: Argv | None = Field(default=None, description="Runs after each failed try to renew a certificate.")
    timeout_seconds: PositiveNumber = Field(
        default=60.0, description="A hook that takes longer than this many seconds is ended and counts as failed."
    )


class RehearsalSettings(Frozen):
    """Rehearsals of renewals: the test CA, if any, and the interval of the daemon, if any."""

    ca: CaName | None = Field(
        default=None,
        description=(
            "Test CA that a rehearsal may order from, such as `letsencrypt-staging`. Without one, a rehearsal tries "
            "everything except an order."
        ),
    )
    every_days: PositiveNumber | None = Field(
        default=None, description="Days between the rehearsals of a daemon. By default it never rehearses."
    )
