"""Encode reports for the daemon's socket, and decode them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.errors import (
    ChallengeError,
    DaemonError,
    FinalizeError,
    HookError,
    JournalError,
    OrderError,
    SettingsError,
)
from wellkeeper_issuer.records import Rehearsal, Rule, Schedule, Window
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.errors import InstallError, PublishError, ReloadError, Retry, VerifyError, WellkeeperError
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, KeyAlgorithm

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
    """Return the report as JSON has it.

    By hand, as decoding: a command that only talks to the daemon need not load pydantic.
    """
    error = _encode_error(report.error) if report.error else None
    return {one.name: _plain(getattr(report, one.name)) for one in fields(report)} | {"error": error}


def decode_report(found: Mapping[str, Any]) -> Report:
    """Return the report; an error keeps its stage, its lines and when to retry. Raises DaemonError."""
    try:
        return Report(
            **dict(found)
            | {
                "outcome": Outcome(found["outcome"]),
                "certificate": _certificate(found["certificate"]) if found["certificate"] else None,
                "error": _decode_error(found["error"]) if found["error"] else None,
                "next_try_at": _time(found["next_try_at"]),
                "schedule": _schedule(found["schedule"]) if found["schedule"] else None,
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DaemonError(
            "cannot understand the daemon's answer", repr(error), services.sentence("restart", "wellkeeper")
        ) from error


def _certificate(found: Mapping[str, Any]) -> Certificate:
    kind = found["key_algorithm"]
    values: dict[str, Any] = {"identifiers": _identifiers(found), "key_algorithm": KeyAlgorithm(kind) if kind else None}
    return Certificate(**dict(found) | values | _times(found, "not_before", "not_after"))


def _schedule(found: Mapping[str, Any]) -> Schedule:
    window = found["window"]
    values: dict[str, Any] = {
        "identifiers": _identifiers(found),
        "rule": Rule(found["rule"]),
        "window": Window(**_times(window, "start", "end")) if window else None,
    }
    return Schedule(**dict(found) | values | _times(found, "not_before", "not_after", "renew_at", "ask_at"))


def _identifiers(found: Mapping[str, Any]) -> frozenset[Identifier]:
    return frozenset(Identifier(IdentifierType(one["type"]), one["value"]) for one in found["identifiers"])


def _times(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: _time(found[name]) for name in names}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _plain(value: Any) -> Any:  # noqa: ANN401 - the fields of a report
    """Return the value as JSON has it; enumerations are strings already."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, frozenset):
        return [_plain(one) for one in sorted(value)]
    return value.isoformat() if isinstance(value, datetime) else value


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
