"""Check the responders of the settings: reachable, of the same version, and trusting our keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_client import services
from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.doctor.of_errors import of_error
from wellkeeper_node.errors import PublishError
from wellkeeper_node.findings import Finding, Verdict

if TYPE_CHECKING:
    from wellkeeper_node.responders.client import ResponderClient

RESPONDER: Final = "responder"
TRUST: Final = "responder-trust"
NO_ANSWER: Final = "its responder does not answer"
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A responder's `/v1/status`, or why it could not be read."""

    node: str
    address: str
    status: Mapping[str, Any]
    error: PublishError | None = None

    @property
    def public(self) -> tuple[str, ...]:
        """Return its public addresses; for one that does not report them, the usual socket beside the other."""
        found = self.status.get("public_addresses")
        if isinstance(found, list):
            return tuple(one_line(one, _LONGEST) for one in found if isinstance(one, str))
        folder, separator, _ = self.address.rpartition("/")
        return (f"{folder}/public.sock",) if separator and self.address.startswith("unix:") else ()

    @property
    def clock(self) -> float | None:
        """Return its clock in UNIX seconds; None if it is unknown."""
        found = self.status.get("clock")
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


async def ask(client: "ResponderClient") -> Asked:
    """Ask one responder for its status."""
    try:
        return Asked(client.node, client.address, await client.status())
    except PublishError as error:
        return Asked(client.node, client.address, {}, error)


async def check_responders(asked: Sequence[Asked], version: str) -> list[Finding]:
    """Return `responder`: each one answers, and has this program's version."""
    return [_responder(one, version) for one in asked]


async def check_trust(
    asked: Sequence[Asked], accounts: Mapping[str, str], publishing_key_id: str, without_key: Collection[str] = ()
) -> list[Finding]:
    """Return `responder-trust`: each one trusts the publishing key, and the account key of every CA.

    `accounts` are thumbprints by the CA's name. CAs `without_key` have no account key yet.
    """
    found = [
        Finding(TRUST, Verdict.FAIL, ca, "there is no account key for this CA", "Run 'wellkeeper init'.")
        for ca in without_key
    ]
    for one in asked:
        if one.error is not None:
            found.append(Finding(TRUST, Verdict.SKIPPED, one.node, NO_ANSWER))
            continue
        thumbprints, key_ids = (_strings(one.status.get(key)) for key in ("account_thumbprints", "publishing_key_ids"))
        lacking = [f"our account key at the CA {ca}" for ca, one_of in accounts.items() if one_of not in thumbprints]
        if publishing_key_id not in key_ids:
            lacking.append("our publishing key")
        found.append(_trusted(one.node, lacking, list(accounts)))
    return found


def _responder(one: Asked, version: str) -> Finding:
    if one.error is not None:
        return of_error(RESPONDER, one.error, one.node)
    other = one_line(one.status.get("version") or "an unknown version", _LONGEST)
    if other == version:
        return Finding(RESPONDER, Verdict.OK, one.node, f"the responder answers at {one.address} (version {version})")
    cause = f"the responder at {one.address} is {other}, this program is {version}"
    fix = f"Install the same version there, then {services.clause('restart', 'wellkeeper-responder')}."
    return Finding(RESPONDER, Verdict.WARN, one.node, cause, fix)


def _trusted(node: str, lacking: Sequence[str], cas: Sequence[str]) -> Finding:
    if not lacking:
        return Finding(TRUST, Verdict.OK, node, f"the responder trusts the account keys of {', '.join(cas)}")
    cause = f"the responder does not trust {', '.join(lacking)}"
    fix = "Run 'wellkeeper trust --write', and copy the trust file to that node if it is another host."
    return Finding(TRUST, Verdict.FAIL, node, cause, fix)


def _strings(value: object) -> frozenset[str]:
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()
