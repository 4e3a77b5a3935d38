"""The end of a request in nginx."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from wellkeeper_node.nginx.configuration import Directive

# The blocks that apply, the outermost first: http, server, locations, and an `if` that holds.
Chain = Sequence[Directive]


class Outcome(Enum):
    """The end of a request."""

    ANSWERED = "passed to the responder with the path of the challenge"
    MISROUTED = "passed to the responder with another path"
    MISASKED = "passed to the responder with TLS, or with a method other than GET"
    REDIRECTED = "a redirect"
    RETURNED = "a status, by a `return`"
    REFUSED = "refused by an access rule"
    SERVED = "another content: a file, or another server"
    LOOPED = "too many internal redirects"
    PLAIN = "the port expects TLS"
    CLOSED = "closed without an answer"
    UNGREETED = "the port expects the PROXY protocol"
    UNTRUSTED = "the port asks for a client certificate"
    NO_HANDSHAKE = "TLS is refused"
    NO_LISTENER = "nothing listens there"
    NO_UPSTREAM = "the upstream of the responder is missing"
    UNKNOWN = "it cannot be predicted"


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome, its status as far as it is known, and the directive that decides.

    `location` is the chosen one. `is_early`: nginx had not chosen a location yet. `text` is the URL of a redirect, the
    body of a `return`, or the server that it is passed to. `doubt` is a directive because of which the CA may read
    something else.
    """

    outcome: Outcome
    status: int | None = None
    culprit: Directive | None = None
    text: str = ""
    location: Directive | None = None
    is_early: bool = False
    doubt: Directive | None = None


def inherited(chain: Chain, name: str) -> Sequence[Directive]:
    """Return the directives of the innermost block that has any: they replace those of outer blocks."""
    for block in reversed(chain):
        if found := [one for one in block.block if one.name == name]:
            return found
    return ()


def value(chain: Chain, name: str, default: str = "") -> str:
    """Return the first argument of the directive in effect."""
    found = inherited(chain, name)
    return found[-1].arguments[0] if found and found[-1].arguments else default
