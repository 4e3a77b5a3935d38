"""Choose certificates of the settings by name, and guess what a mistyped name may have been."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings

# In a complaint; of ten thousand names nobody reads all.
_SHOWN_NAMES: Final = 10


def choose(settings: Settings, names: Sequence[str]) -> list[Lineage]:
    """The lineages of these names, or all; raises SettingsError for an unknown one and when there is none."""
    known = {lineage.name: lineage for lineage in settings.lineages()}
    if not known:
        raise SettingsError(
            'the settings name no certificate; add [[certificates]] with identifiers = ["www.example.org"]'
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SettingsError(f"no certificate is called {unknown[0]!r}; {_meant(unknown[0], known)}")
    return [known[name] for name in dict.fromkeys(names or known)]


def _meant(name: str, known: Mapping[str, Lineage]) -> str:
    """What whoever wrote that may have had in mind: one of its other names, a typing error, or one of those."""
    having = [one.name for one in known.values() if name in {identifier.value for identifier in one.identifiers}]
    if having:
        return f"that name is in the certificate {', '.join(having[:_SHOWN_NAMES])}, which is what to say"
    if len(known) <= _SHOWN_NAMES:
        return f"the settings have: {', '.join(known)}"
    close = get_close_matches(name, known, n=3)
    asked = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{asked}'wellkeeper list' shows the {len(known)} that are there"
