"""Make invites from the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_client import joining
from wellkeeper_client.joining import Invite, Pins
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.fleet.joins import Terms
from wellkeeper_issuer.ports.fleet import EnrolledNode, OpenInvite
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.records import address

_ALL: Final = ("*",)
NO_RELAY: Final = "no relay is configured for nodes to dial"
LISTEN_FIRST: Final = "Run 'wellkeeper fleet listen ADDRESS' first, with a private address of this host."


@dataclass(frozen=True, slots=True)
class Offer:
    """The options of an invite: for one node, or without a name for `uses` nodes. Without lineages, they get all."""

    node: str
    lineages: Sequence[str]
    answers: bool
    relays: Sequence[str]
    uses: int = 1
    lifetime: timedelta = timedelta(seconds=joining.LIFETIME_SECONDS)
    is_ephemeral: bool = False


def make_invite(settings: Settings, pins: Pins, offer: Offer, now: datetime) -> tuple[Invite, OpenInvite]:
    """Return the invite, and what the state keeps of it. Raises SettingsError."""
    listening = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in settings.fleet.listen]
    if not listening:
        raise SettingsError("cannot invite a node", NO_RELAY, LISTEN_FIRST)
    addresses = tuple(offer.relays or listening)
    _check_relays(addresses)
    secret, ends_at = joining.new_secret(), now + offer.lifetime
    expires_at = int(ends_at.timestamp())
    invite = Invite(addresses, offer.node, pins.digest, pins.fleet_keys[0], secret, expires_at, not offer.node)
    names = {
        one.name: tuple(f"{identifier.type}:{identifier.value}" for identifier in one.identifiers)
        for one in settings.lineages()
        if not one.csr_path
    }
    terms = Terms(pins, addresses, names)
    kept = OpenInvite(
        invite.id,
        offer.node,
        secret,
        terms.to_text(),
        tuple(offer.lineages) or _ALL,
        offer.answers,
        now,
        ends_at,
        uses=offer.uses,
        is_ephemeral=offer.is_ephemeral,
    )
    return invite, kept


def check_is_new(node: str, nodes: Mapping[str, EnrolledNode], *keys: str) -> None:
    """Raise SettingsError for a node that has joined, or has one of these keys: they must go first."""
    if node in nodes:
        raise SettingsError(
            f"cannot add node {node!r}",
            "a node with this name has joined",
            f"Run 'wellkeeper node remove {node}' first, or choose another name.",
        )
    for name, known in nodes.items():
        if {known.signing_key, known.sealing_key} & set(keys):
            raise SettingsError(
                f"cannot add node {node!r}",
                f"its keys are those of node {name!r}",
                "Delete the keys on the new node, and run 'wellkeeper-node init' there again: each node needs its own.",
            )


def _check_relays(addresses: Sequence[str]) -> None:
    for one in addresses:
        try:
            address.parse(one)
        except ValueError as error:
            raise SettingsError("cannot invite a node", str(error), "Name another one with --relay.") from error
