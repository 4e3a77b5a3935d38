"""Find certificates of the settings by name or identifier, and suggest names for mistyped ones."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings

# The most names in a message; there may be ten thousand.
_SHOWN_NAMES: Final = 10


def choose(settings: Settings, names: Sequence[str]) -> list[Lineage]:
    """Return the lineages with these names, or all; an identifier counts for the one certificate that covers it.

    Raises SettingsError for an unknown or ambiguous name, and when there are no certificates.
    """
    known = {lineage.name: lineage for lineage in settings.lineages()}
    if not known:
        raise SettingsError(
            "no certificates are configured", remedy="Run 'wellkeeper certificate add www.example.org' to add one."
        )
    return [known[name] for name in dict.fromkeys(_find(name, known) for name in names or known)]


def ordered(lineages: Sequence[Lineage]) -> Sequence[Lineage]:
    """Return those that are ordered here: no other client obtains them."""
    return [one for one in lineages if not one.is_external]


def choose_ordered(settings: Settings, names: Sequence[str]) -> list[Lineage]:
    """Return what `choose` does, without external certificates. Raises SettingsError for the name of one, too."""
    chosen = choose(settings, names)
    found = list(ordered(chosen))
    if len(found) < len(chosen) and (names or not found):
        name = next(one.name for one in chosen if one.is_external)
        raise SettingsError(
            f"certificate {name} is not ordered here",
            'its source is "external": another ACME client obtains it',
            f"Renew it there; its deploy hook runs 'wellkeeper deliver {name}'.",
        )
    return found


def _find(name: str, known: Mapping[str, Lineage]) -> str:
    """Return the name of the certificate; raises SettingsError."""
    if name in known:
        return name
    covering = [one.name for one in known.values() if name in {identifier.value for identifier in one.identifiers}]
    match covering:
        case [only]:
            return only
        case []:
            raise SettingsError(f"no certificate is named {name!r}", remedy=_suggestion(name, known))
    shown = ", ".join(covering[:_SHOWN_NAMES])
    raise SettingsError(
        f"{name!r} is covered by {len(covering)} certificates: {shown}", remedy=f"Name one of them: {covering[0]}."
    )


def _suggestion(name: str, known: Mapping[str, Lineage]) -> str:
    close = get_close_matches(name, known, n=3)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if len(known) <= _SHOWN_NAMES:
        return f"Configured are: {', '.join(known)}."
    return f"Run 'wellkeeper list' to see all {len(known)} names."
