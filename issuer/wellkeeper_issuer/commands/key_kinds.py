"""The kinds of keys as an argument of commands, and what these commands share."""

from collections.abc import Mapping
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import RELAY, KeyKind
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.signing_keys import SigningKey
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import PublishError

KINDS: Final = tuple(one.value for one in KeyKind)
# A CA accepts the former account key no longer, so there is nothing to retire.
SIGNING: Final = (KeyKind.PUBLISHING.value, KeyKind.FLEET.value)
_COPY: Final = "Run 'wellkeeper trust --write', and copy the trust file to the other nodes"
_LISTEN: Final = "Run 'wellkeeper fleet listen' again with the addresses of the relay"
TO_NODES: Final = "Next: sudo wellkeeper trust --write, then copy the trust file to the other nodes."


def signing_key(settings: Settings, kind: KeyKind) -> SigningKey:
    """Return the publishing key or the fleet key."""
    return FleetKeys(settings.state_dir) if kind is KeyKind.FLEET else build.accounts(settings).publishing


def check_trusted(what: str, lacking: Mapping[str, str]) -> None:
    """Raise PublishError if a node does not trust the key."""
    if lacking:
        remedies = [_LISTEN] if RELAY in lacking else []
        remedies += [_COPY] if lacking.keys() - {RELAY} else []
        raise PublishError(
            what,
            "; ".join(f"{node}: {why}" for node, why in lacking.items()),
            f"{'. '.join(remedies)}; or repeat it with --force.",
        )
