"""Encode reports for the daemon's socket, and decode them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from wellkeeper_issuer.errors import (
    ChallengeError,
    DaemonError,
    FinalizeError,
    HookError,
    JournalError,
    OrderError,
    SettingsError,
)
from wellkeeper_issuer.records import Rehearsal, Schedule
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.errors import InstallError, PublishError, ReloadError, Retry, VerifyError, WellkeeperError
from wellkeeper_node.model import Certificate

_ERRORS: Final[Mapping[str, type[WellkeeperError]]] = {
    error.stage: error
    for error in (
        SettingsError,
        JournalError,
        HookError,
        DaemonError,
        OrderError,
        PublishError,
        ChallengeError,
        FinalizeError,
        InstallError,
        ReloadError,
        VerifyError,
    )
}


def encode_report(report: Report) -> dict[str, Any]:
    error = _encode_error(report.error) if report.error else None
    found: dict[str, Any] = _adapter().dump_python(_Wire.of(report), mode="json")
    return found | {"error": error}


def decode_report(found: Mapping[str, Any]) -> Report:
    """Return the report; an error keeps its stage, its lines and when to retry."""
    wire = _adapter().validate_python({key: value for key, value in found.items() if key != "error"})
    error = _decode_error(found["error"]) if found["error"] else None
    return Report(**{one.name: getattr(wire, one.name) for one in fields(wire)}, error=error)


@dataclass(frozen=True, slots=True)
class _Wire:
    """A report without its error, which is not a plain value."""

    lineage: str
    outcome: Outcome
    reason: str
    detail: str
    certificate: Certificate | None
    served_fingerprint_sha256: str | None
    seconds: dict[str, float]
    next_try_at: datetime | None
    schedule: Schedule | None

    @classmethod
    def of(cls, report: Report) -> "_Wire":
        return cls(**{one.name: getattr(report, one.name) for one in fields(cls)})


@cache
def _adapter() -> TypeAdapter[_Wire]:
    """Return the adapter, made when first needed: most runs do not talk to a daemon."""
    return TypeAdapter(_Wire)


def _encode_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, WellkeeperError):
        return {"lines": list(error.args), "stage": error.stage, "retry": error.retry.value}
    return {"lines": [str(error)], "stage": None, "retry": None}


def _decode_error(found: Mapping[str, Any]) -> Exception:
    kind = _ERRORS.get(found["stage"] or "")
    return kind(*found["lines"], retry=Retry(found["retry"])) if kind else RuntimeError(*found["lines"])


def encode_rehearsal(rehearsal: Rehearsal) -> dict[str, Any]:
    return {
        "name": rehearsal.lineage,
        "at": rehearsal.at.isoformat(timespec="seconds"),
        "is_well": rehearsal.is_well,
        "detail": rehearsal.detail,
    }


def decode_rehearsal(found: Mapping[str, Any]) -> Rehearsal:
    return Rehearsal(found["name"], datetime.fromisoformat(found["at"]), bool(found["is_well"]), found["detail"])
