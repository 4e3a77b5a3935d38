"""Remove what does not parse from the settings, so that the rest can be checked for contradictions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from wellkeeper_issuer.settings.files import Location

# Contradictions involve these keys: if they were removed, their defaults would be compared.
_COMPARED: Final = frozenset({"state_dir", "certificates_dir"})
_LISTS: Final = frozenset({"nodes", "certificates"})


def without_mistakes(values: Mapping[str, Any], locations: Sequence[Location]) -> dict[str, Any] | None:
    """Return the values without the wrong ones; entries keep their index. None when the rest cannot be checked."""
    wrong = {location[0] for location in locations}
    if wrong & (_COMPARED | {"cas"}):
        return None
    rest = {key: value for key, value in values.items() if key not in wrong}
    for key in _LISTS & wrong & values.keys():
        if isinstance(values[key], list):
            bad = {location[1] for location in locations if location[0] == key and len(location) > 1}
            rest[key] = [_neutral(key, index) if index in bad else one for index, one in enumerate(values[key])]
    return rest


def _neutral(key: str, index: int) -> dict[str, Any]:
    name = f"unnamed-{index}"
    return {"name": name, "identifiers": ["unnamed.example"]} if key == "certificates" else {"name": name}
