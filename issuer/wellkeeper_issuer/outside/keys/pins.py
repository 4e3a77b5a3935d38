"""Which account keys responders are pinned to: a CA whose thumbprint one of them lacks cannot validate there."""

from collections.abc import Sequence
from dataclasses import dataclass

from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import ResponderClient


@dataclass(frozen=True, slots=True)
class Pin:
    """The account key that responders have to know for one CA; the CA as people call it."""

    ca: str
    directory_url: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Unpinned:
    """A responder that would refuse the tokens of a CA."""

    node: str
    pin: Pin

    def __str__(self) -> str:
        return (
            f"the responder of node {self.node!r} does not know our account key at the CA {self.pin.ca} (thumbprint"
            f" {self.pin.thumbprint}) and would refuse its tokens: give it the line that 'wellkeeper trust'"
            " prints, and restart it"
        )


async def find_unpinned(pins: Sequence[Pin], client: ResponderClient) -> tuple[Unpinned, ...]:
    """What one responder lacks. Raises PublishError when it cannot be asked."""
    thumbprints = (await client.status()).get("account_thumbprints")
    if not isinstance(thumbprints, list):
        raise PublishError(
            f"the responder of node {client.node!r} ({client.address}) does not tell which account keys it knows; is"
            " this the --control address of a wellkeeper-responder that is up to date?"
        )
    return tuple(Unpinned(client.node, pin) for pin in pins if pin.thumbprint not in thumbprints)
