"""Read from a CA's directory what the CA can do (RFC 8555 section 7.1.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import josepy.errors
from acme import messages

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_node.errors import Retry
from wellkeeper_node.wording import with_reload


@dataclass(frozen=True, slots=True)
class Abilities:
    """Features of a CA. `profiles` maps names to descriptions; `caa_identities` are its names in CAA records."""

    has_renewal_info: bool
    has_key_change: bool
    profiles: Mapping[str, str]
    terms_of_service: str | None
    caa_identities: tuple[str, ...]
    requires_external_account: bool


def parse_directory(members: Mapping[str, Any]) -> messages.Directory:
    """Parse the directory's `meta`. Raises ReplyError."""
    try:
        return messages.Directory.from_json(dict(members))
    except (josepy.errors.Error, TypeError, AttributeError) as error:
        raise ReplyError(f"directory member 'meta' is not valid: {one_line(error, 200)}") from error


def read_abilities(directory: messages.Directory) -> Abilities:
    """Return what the directory offers; members with a wrong type count as missing."""
    meta = directory["meta"]
    profiles, identities = meta.profiles, meta.caa_identities
    return Abilities(
        has_renewal_info=_has(directory, "renewalInfo"),
        has_key_change=_has(directory, "keyChange"),
        profiles={one_line(key): one_line(value) for key, value in profiles.items()}
        if isinstance(profiles, Mapping)
        else {},
        terms_of_service=one_line(meta.terms_of_service) if meta.terms_of_service else None,
        caa_identities=tuple(map(one_line, identities)) if isinstance(identities, list | tuple) else (),
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


def url_of(directory: messages.Directory, name: str) -> str:
    """Return the URL of an optional request, such as `revokeCert`. Raises ReplyError if the CA does not offer it."""
    if not _has(directory, name):
        raise ReplyError(f"its directory has no URL {name!r}")
    return str(directory[name])


def _has(directory: messages.Directory, name: str) -> bool:
    try:
        return isinstance(directory[name], str)
    except KeyError:
        return False
