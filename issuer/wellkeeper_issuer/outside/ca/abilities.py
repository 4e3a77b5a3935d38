"""Read from a CA's directory what the CA can do (RFC 8555 section 7.1.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from acme import messages

from wellkeeper_issuer.errors import OrderError
from wellkeeper_node.errors import Retry
from wellkeeper_node.foreign_text import cleaned
from wellkeeper_node.wording import with_reload

_MEMBERS: Final = ("newNonce", "newAccount", "newOrder")


@dataclass(frozen=True, slots=True)
class Abilities:
    """Features of a CA. `profiles` maps names to descriptions; `caa_identities` are its names in CAA records."""

    has_renewal_info: bool
    has_key_change: bool
    profiles: Mapping[str, str]
    terms_of_service: str | None
    caa_identities: tuple[str, ...]
    requires_external_account: bool


def check_directory(directory: messages.Directory) -> messages.Directory:
    """Return the directory. Raises ValueError and KeyError when it lacks a resource that every order needs."""
    for name in _MEMBERS:
        if not isinstance(directory[name], str):
            raise ValueError(f"directory member {name!r} must be a URL")
    return directory


def read_abilities(directory: messages.Directory) -> Abilities:
    """Return what the directory offers; members with a wrong type count as missing."""
    meta = directory["meta"]
    profiles, identities = meta.profiles, meta.caa_identities
    return Abilities(
        has_renewal_info=_has(directory, "renewalInfo"),
        has_key_change=_has(directory, "keyChange"),
        profiles={cleaned(key): cleaned(value) for key, value in profiles.items()}
        if isinstance(profiles, Mapping)
        else {},
        terms_of_service=cleaned(meta.terms_of_service) if meta.terms_of_service else None,
        caa_identities=tuple(map(cleaned, identities)) if isinstance(identities, list | tuple) else (),
        requires_external_account=meta.external_account_required is True,
    )


def choose_profile(abilities: Abilities, ca_name: str, wanted: str | None) -> str | None:
    """Return the profile to request: None at a CA without profiles. Raises OrderError when the CA does not offer it."""
    if wanted is None or not abilities.profiles:
        return None
    if wanted not in abilities.profiles:
        offered = "; ".join(f"{name!r} ({text})" for name, text in abilities.profiles.items())
        raise OrderError(
            f"the CA {ca_name} does not offer the profile {wanted!r}",
            f"it offers {offered}",
            with_reload("Set profile to one of those."),
            retry=Retry.NEVER,
        )
    return wanted


def _has(directory: messages.Directory, name: str) -> bool:
    try:
        return isinstance(directory[name], str)
    except KeyError:
        return False
