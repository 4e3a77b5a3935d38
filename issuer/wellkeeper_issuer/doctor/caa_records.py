"""Judge CAA records (RFC 8659, RFC 8657) for one CA and account, as Boulder does (va/caa.go): pure functions.

The names are never wildcards, so `issuewild` does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.doctor.lists import shortened
from wellkeeper_issuer.ports.dns import CaaRecord

_KNOWN: Final = frozenset({"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"})
# RFC 8659 has 128; Boulder also takes the 1 of those who counted bits from the other end.
_CRITICAL: Final = 128 | 1
_METHOD: Final = "http-01"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA: its name in messages, its names in CAA records, and our account there, "" without one."""

    name: str
    identities: tuple[str, ...]
    account_url: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why records forbid the CA, and the value of an `issue` record that allows it, "" if none would."""

    cause: str
    value: str


def refusal(records: Sequence[CaaRecord], issuer: Issuer) -> Refusal | None:
    """Return why these records forbid an order of http-01 certificates; None when they allow it."""
    for record in records:
        if record.flags & _CRITICAL and record.tag not in _KNOWN:
            return Refusal(f"a CA must refuse the unknown critical tag {record.tag!r}", "")
    values = [record.value for record in records if record.tag == "issue"]
    if not values:
        return None
    causes = [_judge(value, issuer) for value in values]
    if None in causes:
        return None
    ours = [one for value, one in zip(values, causes, strict=True) if one and _domain(value) in _identities(issuer)]
    if ours:
        return ours[0]
    allowed = shortened(dict.fromkeys(_domain(value) or "no CA" for value in values))
    names = shortened(issuer.identities, " or ")
    return Refusal(f"the records allow {allowed}, not {issuer.name} ({names})", issuer.identities[0])


def _judge(value: str, issuer: Issuer) -> Refusal | None:
    """Return why one `issue` value does not allow the CA; None when it does."""
    identity = _domain(value)
    if identity not in _identities(issuer):
        return Refusal("it is for another CA", "")
    parameters = _parameters(value)
    if parameters is None:
        cause = f"a CA does not accept the record {value:.200}: its parameters are malformed or duplicated"
        return Refusal(cause, identity)
    pinned = parameters.get("accounturi")
    if pinned is not None and pinned != (issuer.account_url or None):
        fixed = _value(identity, {**parameters, "accounturi": issuer.account_url}) if issuer.account_url else ""
        ours = issuer.account_url or "not registered yet"
        return Refusal(f"the record allows only the account {pinned}, and ours at {issuer.name} is {ours}", fixed)
    methods = [one.strip() for one in parameters.get("validationmethods", _METHOD).split(",")]
    if _METHOD not in methods:
        fixed = _value(identity, {**parameters, "validationmethods": ",".join([*methods, _METHOD])})
        return Refusal(f"the record allows only the validation methods {', '.join(methods)}, not {_METHOD}", fixed)
    return None


def _identities(issuer: Issuer) -> frozenset[str]:
    return frozenset(one.lower().rstrip(".") for one in issuer.identities)


def _domain(value: str) -> str:
    return value.partition(";")[0].strip().lower().rstrip(".")


def _parameters(value: str) -> Mapping[str, str] | None:
    """Return the parameters by their names in lower case; None when they are malformed or one occurs twice."""
    found: dict[str, str] = {}
    for part in value.split(";")[1:]:
        if not part.strip():
            continue
        name, separator, text = (one.strip() for one in part.partition("="))
        if not separator or not name or name.lower() in found:
            return None
        found[name.lower()] = text
    return found


def _value(identity: str, parameters: Mapping[str, str]) -> str:
    return "; ".join([identity, *(f"{name}={value}" for name, value in parameters.items())])
