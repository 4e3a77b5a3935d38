"""The Protocol of what the state has about nodes, and its types. Every call raises JournalError."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EnrolledNode:
    """A node that joined, with its public keys in base64url; `lineages` are names of certificates, or `*` for all.

    `invite` is the id of the invite with which it joined, "" without one. One that is ephemeral may vanish at any time.
    """

    name: str
    signing_key: str
    sealing_key: str
    lineages: tuple[str, ...]
    answers: bool
    enrolled_at: datetime
    is_ephemeral: bool = False
    invite: str = ""

    def gets(self, lineage: str) -> bool:
        """Return whether the certificate is for this node."""
        return "*" in self.lineages or lineage in self.lineages

    def has_keys(self, signing_key: str, sealing_key: str) -> bool:
        return (self.signing_key, self.sealing_key) == (signing_key, sealing_key)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The last report of a node: its number, the time at which it was heard here, and its body as JSON."""

    node: str
    number: int
    at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class MissingToken:
    """A node that answers challenges did not serve the token for the identifier at this time, for this cause.

    Unless the node itself reported that, it was away.
    """

    node: str
    identifier: str
    at: datetime
    cause: str
    is_reported: bool


@dataclass(frozen=True, slots=True)
class OpenInvite:
    """An invite for one node, or for `uses` nodes if it has no name: it is reusable then.

    `terms` is what the node will learn, as JSON: pins, relays, and the identifiers of the certificates. `used_by` are
    the signing keys of the nodes that joined with it, also of those that were removed since.
    """

    id: str
    node: str
    secret: bytes = field(repr=False)
    terms: str
    lineages: tuple[str, ...]
    answers: bool
    created_at: datetime
    expires_at: datetime
    uses: int = 1
    used_by: frozenset[str] = frozenset()
    is_ephemeral: bool = False
    revoked_at: datetime | None = None

    @property
    def is_reusable(self) -> bool:
        return not self.node

    @property
    def is_used_up(self) -> bool:
        return len(self.used_by) >= self.uses

    def is_open(self, now: datetime) -> bool:
        """Return whether requests are answered; nodes that have used it may ask again."""
        return now < self.expires_at and self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Lost:
    """A certificate that was renewed after the backup: the version that is live here, and the number nodes know."""

    version: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Restore:
    """An issuer that was restored from a backup. `waits_from` is when its fleet first ran, None before.

    `lost` are the certificates to renew because of it, by name; None while it waits for the manifest of its nodes.
    """

    waits_from: datetime | None = None
    lost: Mapping[str, Lost] | None = None


class Restores(Protocol):
    """Keeps the last restore until everything is as before. Blocking; raises InstallError."""

    def read(self) -> Restore | None: ...

    def write(self, restore: Restore) -> None: ...

    def remove(self) -> None:
        """Idempotent."""
        ...


def rights_of(node: EnrolledNode | OpenInvite) -> dict[str, str]:
    """Return what the node gets and does, in words."""
    gets = "all" if "*" in node.lineages else ", ".join(node.lineages)
    return {"certificates": gets, "answers": "yes" if node.answers else "no"}


class MissingTokens(Protocol):
    """The tokens that nodes lacked last."""

    async def record_missing_tokens(self, *tokens: MissingToken) -> None:
        """Replace what is recorded for each node, in this order."""
        ...

    async def forget_missing_tokens(self, *served: tuple[str, str]) -> None:
        """Delete what is recorded for each node if it is about this identifier. Idempotent."""
        ...


class FleetRecords(MissingTokens, Protocol):
    """Enrolled nodes, what they reported last, the tokens that they lacked last, and invites."""

    async def read_nodes(self) -> Mapping[str, EnrolledNode]:
        """Return all nodes by name."""
        ...

    async def record_node(self, node: EnrolledNode) -> None:
        """Replace the node of this name."""
        ...

    async def rekey_node(self, node: EnrolledNode, former: EnrolledNode) -> None:
        """Replace the keys of the node, and nothing else, unless it was removed or has others than `former`."""
        ...

    async def forget_node(self, name: str) -> None:
        """Delete the node with all that is about it. Idempotent."""
        ...

    async def read_invites(self) -> Mapping[str, OpenInvite]:
        """Return all invites by id, also expired ones."""
        ...

    async def record_invite(self, invite: OpenInvite) -> None:
        """Record the invite; earlier ones for the same node are deleted."""
        ...

    async def enrol(self, node: EnrolledNode, invite: str) -> None:
        """Record the node, and in the same step one more use of the invite with this id.

        Nothing is recorded if the invite was deleted, revoked or used up meanwhile, if this signing key has used it, or
        if another node has the name.
        """
        ...

    async def revoke_invite(self, invite: str, at: datetime) -> None:
        """Record that no other node may use the invite with this id. Idempotent: the first time stays."""
        ...

    async def forget_expired(self, now: datetime) -> None:
        """Delete the invites that have expired. Idempotent."""
        ...

    async def wait_for_change(self) -> None:
        """Return once a node or an invite was recorded or deleted since the last call; for one caller."""
        ...

    async def read_reports(self) -> Mapping[str, NodeReport]:
        """Return the last reports by node."""
        ...

    async def record_reports(self, *reports: NodeReport) -> None:
        """Replace what is recorded for each node, for all or none."""
        ...

    async def read_missing_tokens(self, since: datetime) -> Mapping[str, MissingToken]:
        """Return the last missing token of each node that has one which is not older."""
        ...
