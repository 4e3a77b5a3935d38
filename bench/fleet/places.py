"""The places of nodes on this machine: directory, keys, ports, and the settings of the node's agent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stand.nginx import Address, NginxServer
from stand.ports import free_port
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.trust_file import NAME, Trust, to_toml
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.bundles import content

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """One node. Its responder listens on unix sockets in `folder` and, for direct pushes, at `control`.

    `http` and `https` are where the node's nginx answers.
    """

    name: str
    folder: Path
    body: NodeBody
    control: Address
    http: Address
    https: Address

    @property
    def public_socket(self) -> Path:
        return self.folder / "public.sock"

    @property
    def control_socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def settings(self) -> Path:
        return self.folder / "node.toml"

    def toml(self, relay: str, trust_file: Path, nginx: NginxServer) -> str:
        """Return the lines of node.toml; JSON's strings and lists are valid TOML."""
        values = {
            "name": self.name,
            "relays": [relay],
            "state_dir": f"{self.folder}/state",
            "certificates_dir": str(self.certificates),
            "responder": f"unix:{self.control_socket}",
            "trust_file": str(trust_file),
            "http_addresses": [f"{self.http[0]}:{self.http[1]}"],
            "https_addresses": [f"{self.https[0]}:{self.https[1]}"],
            "answers": self.body.answers,
        }
        own_nginx = {"command": nginx.argv(), "pid_file": str(nginx.pid_path)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        return "\n".join([*lines, "[nginx]", *(f"{key} = {json.dumps(one)}" for key, one in own_nginx.items())]) + "\n"


def new_place(folder: Path, name: str, *, answers: bool = True) -> Place:
    """Make the directory and the keys of a node that gets all certificates."""
    keys = NodeKeys(folder / name / "state")
    keys.make()
    public = keys.public
    signing, sealing = content.to_base64url(public.signing_key), content.to_base64url(public.sealing_key)
    body = NodeBody(signing, sealing, answers=answers)
    ports = [(_LOOPBACK, free_port()) for _ in range(3)]
    return Place(name, folder / name, body, ports[0], ports[1], ports[2])


def write_trust(folder: Path, trust: Trust) -> Path:
    """Write the trust file of all nodes, and return its path."""
    path = folder / NAME
    path.write_text(to_toml(trust))
    return path


def servers(places: Sequence[Place]) -> str:
    """Return a server block per node, in front of its responder: one nginx in place of one on each node."""
    return "".join(
        f"""
    upstream {one.name} {{ server unix:{one.public_socket} max_fails=0; }}
    server {{
        listen {one.http[0]}:{one.http[1]};
        access_log off;
        location ^~ /.well-known/acme-challenge/ {{ proxy_pass http://{one.name}; proxy_set_header Host $host; }}
    }}"""
        for one in places
    )
