"""Find account keys that a responder does not trust: the CA cannot validate challenges on that node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wellkeeper_node.errors import PublishError


class Holder(Protocol):
    """A responder that trusts keys and accounts: one that is asked, or that of a node that reported it."""

    @property
    def node(self) -> str: ...

    @property
    def address(self) -> str: ...

    async def status(self) -> Mapping[str, Any]:
        """Return what it trusts, as in `/v1/status`. Raises PublishError when it does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Pin:
    """The account key that responders must trust for one CA; `ca` is its name in the settings."""

    ca: str
    directory_url: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Unpinned:
    """A responder that would refuse the tokens of a CA, as its node's name."""

    node: str
    pin: Pin

    def __str__(self) -> str:
        return (
            f"the responder of node {self.node!r} does not trust our account key at the CA {self.pin.ca} (thumbprint"
            f" {self.pin.thumbprint}). Run 'wellkeeper trust --write'."
        )


async def find_unpinned(pins: Sequence[Pin], client: Holder) -> tuple[Unpinned, ...]:
    """Return the pins that one responder lacks. Raises PublishError when it does not answer."""
    thumbprints = (await client.status()).get("account_thumbprints")
    if not isinstance(thumbprints, list):
        raise PublishError(
            f"cannot check the account keys of the responder of node {client.node!r} ({client.address})",
            "its status has no account_thumbprints",
            "Check that this is the --control address of a current wellkeeper-responder.",
        )
    return tuple(Unpinned(client.node, pin) for pin in pins if pin.thumbprint not in thumbprints)
