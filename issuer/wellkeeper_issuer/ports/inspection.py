"""The Protocol of looks at a CA that change nothing there, which `outside.ca.inspection` implements."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """The directory of a CA: `profiles` maps names to descriptions, `caa_identities` are its names in CAA records.

    `ahead_seconds` is how far its clock is ahead of ours, by the `Date` of the reply; None without one.
    """

    terms_of_service: str | None = None
    profiles: Mapping[str, str] | None = None
    caa_identities: tuple[str, ...] = ()
    ahead_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Our account as the CA reports it; `url` is "" when there is none yet.

    `agreed_terms` is the URL of the terms of service when it was registered or updated, "" if unknown.
    """

    url: str = ""
    status: str = ""
    agreed_terms: str = ""


class CaInspection(Protocol):
    """One CA. Both calls raise OrderError and SettingsError, register nothing, and are cancellable at any time."""

    async def offer(self) -> Offer: ...

    async def account(self) -> Account:
        """Return our account; without one, raise what would stop its registration."""
        ...
