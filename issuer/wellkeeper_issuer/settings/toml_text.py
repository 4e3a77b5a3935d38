"""Write settings as TOML.

Only commands that write settings import this module: tomlkit takes 50 ms to load.
"""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from types import MappingProxyType
from typing import Any, Final

import tomlkit
from tomlkit.container import Container
from tomlkit.items import AoT, Table

from wellkeeper_issuer.errors import SettingsError

# Of comments, without the `# ` in front.
_WIDTH: Final = 98


def to_toml(comment: str, values: Mapping[str, Any], comments: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the text of a file that opens with the comment; lists of mappings become tables.

    `comments` maps keys to the comments above them; `LIST.KEY` is a key of the first table of a list.
    Raises SettingsError for text that is not UTF-8: arguments and paths of other encodings arrive as lone surrogates.
    """
    for key, text in _texts("", values):
        if not _is_utf_8(text):
            raise SettingsError(f"cannot write {key} = {text!r}", "it is not UTF-8", "Use a value in UTF-8.")
    document = tomlkit.document()
    document.add(tomlkit.comment(comment))
    _add(document, values, comments, "")
    return document.as_string()


def _add(table: Container | Table, values: Mapping[str, Any], comments: Mapping[str, str], prefix: str) -> None:
    """Add the values, each below its comment."""
    for key, value in values.items():
        for number, line in enumerate(wrap(comments.get(prefix + key, "").replace("`", ""), _WIDTH)):
            if number == 0 and not prefix:
                table.add(tomlkit.nl())
            table.add(tomlkit.comment(line))
        if value and isinstance(value, list) and isinstance(value[0], Mapping):
            table.add(key, _tables(value, comments, f"{key}."))
        else:
            table.add(key, value)


def _tables(rows: list[Mapping[str, Any]], comments: Mapping[str, str], prefix: str) -> AoT:
    tables = tomlkit.aot()
    for number, row in enumerate(rows):
        table = tomlkit.table()
        _add(table, row, {} if number else comments, prefix)
        tables.append(table)
    return tables


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
