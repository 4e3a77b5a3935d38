"""Write settings as TOML.

Only commands that write settings import this module: tomlkit takes 50 ms to load.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit

from wellkeeper_issuer.errors import SettingsError


def to_toml(comment: str, values: Mapping[str, Any]) -> str:
    """Return the text of a file that opens with the comment; lists of mappings become tables.

    Raises SettingsError for text that is not UTF-8: arguments and paths of other encodings arrive as lone surrogates.
    """
    for key, text in _texts("", values):
        if not _is_utf_8(text):
            raise SettingsError(f"cannot write {key} = {text!r}", "it is not UTF-8", "Use a value in UTF-8.")
    document = tomlkit.document()
    document.add(tomlkit.comment(comment))
    document.update(values)
    return document.as_string()


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every string, with the key nearest to it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for inner_key, inner in value.items():
            yield from _texts(inner_key, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(key, inner)


def _is_utf_8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
