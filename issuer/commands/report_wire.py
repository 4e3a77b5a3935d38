"""Reports as they go over the daemon's socket, and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from issuer.errors import (
    ChallengeError,
    DaemonError,
    FinalizeError,
    HookError,
    InstallError,
    JournalError,
    OrderError,
    PublishError,
    ReloadError,
    Retry,
    SettingsError,
    VerifyError,
    WellkeeperError,
)
from issuer.model import Certificate, Identifier, IdentifierType, KeyAlgorithm
from issuer.reports import Outcome, Report

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
    return {
        "lineage": report.lineage,
        "outcome": report.outcome.value,
        "reason": report.reason,
        "detail": report.detail,
        "certificate": _encode_certificate(report.certificate) if report.certificate else None,
        "served_fingerprint_sha256": report.served_fingerprint_sha256,
        "seconds": report.seconds,
        "error": _encode_error(report.error) if report.error else None,
        "next_try_at": report.next_try_at.isoformat() if report.next_try_at else None,
    }


def decode_report(found: Mapping[str, Any]) -> Report:
    """An error comes back as one of its stage, with its text and when to try again."""
    return Report(
        lineage=found["lineage"],
        outcome=Outcome(found["outcome"]),
        reason=found["reason"],
        detail=found["detail"],
        certificate=_decode_certificate(found["certificate"]) if found["certificate"] else None,
        served_fingerprint_sha256=found["served_fingerprint_sha256"],
        seconds=found["seconds"],
        error=_decode_error(found["error"]) if found["error"] else None,
        next_try_at=datetime.fromisoformat(found["next_try_at"]) if found["next_try_at"] else None,
    )


def _encode_certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "identifiers": sorted((one.type.value, one.value) for one in certificate.identifiers),
        "serial": certificate.serial,
        "fingerprint_sha256": certificate.fingerprint_sha256,
        "issued_by": certificate.issued_by,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "is_self_signed": certificate.is_self_signed,
        "key_algorithm": certificate.key_algorithm.value if certificate.key_algorithm else None,
    }


def _decode_certificate(found: Mapping[str, Any]) -> Certificate:
    return Certificate(
        identifiers=frozenset(Identifier(IdentifierType(kind), value) for kind, value in found["identifiers"]),
        serial=found["serial"],
        fingerprint_sha256=found["fingerprint_sha256"],
        issued_by=found["issued_by"],
        not_before=datetime.fromisoformat(found["not_before"]),
        not_after=datetime.fromisoformat(found["not_after"]),
        is_self_signed=found["is_self_signed"],
        key_algorithm=KeyAlgorithm(found["key_algorithm"]) if found["key_algorithm"] else None,
    )


def _encode_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, WellkeeperError):
        return {"text": str(error), "stage": error.stage, "retry": error.retry.value}
    return {"text": str(error), "stage": None, "retry": None}


def _decode_error(found: Mapping[str, Any]) -> Exception:
    kind = _ERRORS.get(found["stage"] or "")
    return kind(found["text"], retry=Retry(found["retry"])) if kind else RuntimeError(found["text"])
