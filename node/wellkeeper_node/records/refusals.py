"""Errors for the calls that a relay refused."""

from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_client import relay_wire, services, wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.errors import (
    BusyError,
    ConflictError,
    JoinRefusedError,
    LeaseLostError,
    RecordRefusedError,
    RecordsError,
    UnavailableError,
)

CHECK_ADDRESS: Final = "Check that this is an address of wellkeeper-relay."
LONGEST_WORDS: Final = 300
# The relay does not know the key that signed the call.
UNKNOWN_KEY: Final = "unknown-key"

_REFUSALS: Final[Mapping[str, type[RecordsError]]] = {
    "busy": BusyError,
    "conflict": ConflictError,
    "lease-lost": LeaseLostError,
    "refused": JoinRefusedError,
    "unknown-invite": JoinRefusedError,
}
# The issuer's records; a node cannot do anything about the relay.
_REMEDIES: Final = {
    "full": "Raise WELLKEEPER_RELAY_MAX_MEBIBYTES in relay.env",
    UNKNOWN_KEY: "Run 'wellkeeper fleet listen' again",
}
_UPGRADE: Final = "Restart wellkeeper-relay, so that it has the same version."
_RECORD_REFUSED: Final = frozenset({400, 401, 413, 507})


def problem(body: Mapping[str, Any]) -> str:
    """Return the type of the problem document."""
    return str(body.get("type")).removeprefix(wire.PROBLEM_PREFIX)


def refusal(relay: str, status: int, body: Mapping[str, Any]) -> RecordsError:
    """Return the error for a reply of this relay with an HTTP status other than 200."""
    detail = one_line(body.get("detail", ""), LONGEST_WORDS)
    kind = _REFUSALS.get(problem(body), UnavailableError)
    return kind(f"{relay} refused with HTTP {status}", detail, "" if detail else CHECK_ADDRESS)


def record_refusal(relay: str, status: int, path: str, body: Mapping[str, Any]) -> RecordsError:
    """Return why the relay did not store the issuer's record."""
    if status not in _RECORD_REFUSED or "type" not in body:
        return refusal(relay, status, body)
    key = path.removeprefix(f"{relay_wire.RECORDS_PATH}/")
    first = _REMEDIES.get(problem(body))
    remedy = f"{first}, then {services.clause('restart', 'wellkeeper-relay')}." if first else _UPGRADE
    return RecordRefusedError(f"{relay} refused {key}", one_line(body.get("detail", ""), LONGEST_WORDS), remedy)
