"""The access to an engine that the issuer gives a node, sealed to the node's key: a member of the node's record.

The fleet key signs that record; HPKE alone authenticates no sender.
"""

from dataclasses import asdict, dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wellkeeper_node.bundles import content, suites
from wellkeeper_node.errors import FleetError

_MEMBERS: Final = dict.fromkeys(("address", "user", "password", "ca_pem", "sentinel_password", "sentinel_user"), str)
_WHAT: Final = "cannot use the engine that the record of this node names"


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """An engine's address, the nodes' user there, and the CA certificates that its TLS certificate must be from, or "".

    `address` names no file: the node has its own. User and password of the Sentinels may be "".
    """

    address: str
    user: str
    password: str = field(repr=False)
    ca_pem: str = ""
    sentinel_password: str = field(default="", repr=False)
    sentinel_user: str = ""


def seal_access(access: EngineAccess, node: str, sealing_key: bytes) -> str:
    """Seal the access for this node; `sealing_key` are 32 raw bytes. Raises ValueError for an unusable one."""
    public = X25519PublicKey.from_public_bytes(sealing_key)
    sealed = suites.SUITES[suites.X25519].encrypt(
        content.dump(asdict(access)), public, suites.engine_info(node, sealing_key)
    )
    return f"{suites.X25519}.{content.to_base64url(sealed)}"


def open_access(sealed: str, node: str, sealing_key: X25519PrivateKey) -> EngineAccess:
    """Reverse `seal_access`. Raises FleetError."""
    name, _, text = sealed.partition(".")
    suite = suites.SUITES.get(name)
    if suite is None:
        raise FleetError(_WHAT, f"it uses {name!r:.60}, which this version of Wellkeeper does not know")
    info = suites.engine_info(node, sealing_key.public_key().public_bytes_raw())
    try:
        found = content.parse(suite.decrypt(content.from_base64url(text), sealing_key, info))
        return EngineAccess(**content.members(found, _MEMBERS))
    except InvalidTag as error:
        raise FleetError(_WHAT, "it does not open with the key of this node") from error
    except ValueError as error:
        raise FleetError(_WHAT, str(error)) from error
