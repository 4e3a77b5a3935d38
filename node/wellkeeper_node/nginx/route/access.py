"""The access phase of nginx for a client with a public address and without a password: the CA."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network
from typing import Final

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.ending import Chain, Ending, Outcome, inherited, value
from wellkeeper_node.nginx.route.request import Request

# Return the status of the subrequest to a path; None if it cannot be predicted.
Ask = Callable[[str], int | None]
# A network with a prefix as short as this may well contain the CA; registries get networks of these sizes.
_WIDE: Final = {4: 8, 6: 12}


def refusal(chain: Chain, request: Request, ask: Ask) -> Ending | None:
    """Return how an access rule ends the request, None if it is allowed."""
    chain = (*chain, *_limits(chain))
    results = list(_results(chain, request, ask))
    refused = [one for one in results if one is not None]
    unknown = [one for one in refused if one.outcome is Outcome.UNKNOWN]
    if value(chain, "satisfy", "all") == "any":
        return (unknown or refused)[-1] if results and len(refused) == len(results) else None
    return next((one for one in refused if one not in unknown), next(iter(unknown), None))


def _results(chain: Chain, request: Request, ask: Ask) -> Iterator[Ending | None]:
    """Yield one result for each kind of rule that is configured: a refusal, one that is UNKNOWN, or None."""
    for block in reversed(chain):
        if rules := [one for one in block.block if one.name in {"allow", "deny"}]:
            yield from _first_match(rules, request.family)
            break
    realm = request.expand(value(chain, "auth_basic", "off"))
    if realm != "off" and inherited(chain, "auth_basic_user_file"):
        culprit = inherited(chain, "auth_basic")[-1]
        yield Ending(Outcome.UNKNOWN, culprit=culprit) if realm is None else Ending(Outcome.REFUSED, 401, culprit)
    if (path := value(chain, "auth_request", "off")) != "off":
        status = ask(path)
        is_allowed = status is not None and 200 <= status < 300
        refused = status if status in {401, 403, None} else 500
        yield None if is_allowed else Ending(Outcome.REFUSED, refused, inherited(chain, "auth_request")[-1])


def _first_match(rules: Sequence[Directive], family: int) -> Sequence[Ending | None]:
    """Return the result of the first rule that matches clients of the family; empty if none does.

    The addresses of a CA are unknown. It is UNKNOWN if some public ones are allowed before others are denied, or if
    many are denied; a few denied networks do not concern the CA.
    """
    allowed: Directive | None = None
    denied: Directive | None = None
    for rule in rules:
        length = _prefix_length(rule, family)
        if length == 0:
            doubt = allowed if rule.name == "deny" else denied
            ending = Ending(Outcome.REFUSED, 403, rule) if rule.name == "deny" else None
            return [Ending(Outcome.UNKNOWN, culprit=doubt) if doubt else ending]
        if length is not None and rule.name == "allow":
            allowed = allowed or rule
        elif length is not None and length <= _WIDE[family]:
            denied = denied or rule
    return [Ending(Outcome.UNKNOWN, culprit=denied)] if denied else []


def _prefix_length(rule: Directive, family: int) -> int | None:
    """Return the length of the network's prefix; None if it has no public addresses of the family."""
    argument = "".join(rule.arguments[:1])
    if argument == "all":
        return 0
    try:
        network = ip_network(argument, strict=False)
    except ValueError:
        return None
    return None if network.version != family or network.is_private else network.prefixlen


def _limits(chain: Chain) -> Chain:
    """Return the `limit_except` of the location that applies to GET, if any; GET includes HEAD, but not vice versa."""
    location = next((one for one in reversed(chain[2:]) if one.name == "location"), None)
    found = [one for one in location.block if one.name == "limit_except"] if location else []
    return [one for one in found if "GET" not in {word.upper() for word in one.arguments}]
