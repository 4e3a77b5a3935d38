"""Read from a CA's directory what the CA can do (RFC 8555 section 7.1.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Directory:
    """A CA's directory; `directory["newOrder"]` is a URL."""

    members: Mapping[str, Any]

    def __getitem__(self, name: str) -> str:
        """Raises ReplyError when the CA does not offer this."""
        url = self.members.get(name)
        if not isinstance(url, str):
            raise ReplyError(f"directory member {name!r} must be a URL")
        return url

    def __contains__(self, name: str) -> bool:
        return isinstance(self.members.get(name), str)


def read_abilities(directory: Directory) -> Abilities:
    """Return what the directory offers; members with a wrong type count as missing."""
    found = directory.members.get("meta")
    meta = found if isinstance(found, Mapping) else {}
    profiles, identities, terms = meta.get("profiles"), meta.get("caaIdentities"), meta.get("termsOfService")
    return Abilities(
        has_renewal_info="renewalInfo" in directory,
        has_key_change="keyChange" in directory,
        profiles={one_line(key): one_line(value) for key, value in profiles.items()}
        if isinstance(profiles, Mapping)
        else {},
        terms_of_service=one_line(terms) if terms else None,
        caa_identities=tuple(map(one_line, identities)) if isinstance(identities, list) else (),
        requires_external_account=meta.get("externalAccountRequired") is True,
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
