"""due: whether a certificate has to be obtained now, and why.

Everything is computed from the certificate's own dates: two thirds of the lifetime, half of it when it is under ten
days, as Let's Encrypt's integration guide asks.
"""

from datetime import datetime, timedelta
from typing import Final

from issuer.model import Due, Installed, Lineage

_SHORT_LIFETIME: Final = timedelta(days=10)


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """When the lifetime rule wants a certificate with these dates renewed."""
    lifetime = not_after - not_before
    part = lifetime / 2 if lifetime < _SHORT_LIFETIME else lifetime * 2 / 3
    return not_before + part


def due(lineage: Lineage, installed: Installed | None, *, was_ca_changed: bool, now: datetime) -> Due | None:
    """None when the installed certificate does until the next pass."""
    reason = _reason(lineage, installed, was_ca_changed, now)
    return Due(lineage, reason) if reason else None


def _reason(lineage: Lineage, installed: Installed | None, was_ca_changed: bool, now: datetime) -> str | None:
    if installed is None:
        return "no certificate yet"
    certificate = installed.certificate
    if certificate.is_self_signed:
        return "only a self-signed placeholder is installed"
    if certificate.identifiers != frozenset(lineage.identifiers):
        return "the identifiers in the settings changed"
    if was_ca_changed:
        return "the installed certificate was issued by another CA than the settings name"
    at = renew_at(certificate.not_before, certificate.not_after)
    if now < at:
        return None
    part = "half" if certificate.lifetime < _SHORT_LIFETIME else "two thirds"
    return f"{part} of the lifetime passed at {at:%Y-%m-%d %H:%M} UTC"
