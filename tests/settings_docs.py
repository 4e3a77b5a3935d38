"""Write the documentation of the settings: docs/settings.md and docs/settings.schema.json.

Run as a program (`scripts/fix` does) it writes both. In the page, notes below a table are written by hand, and so are
the sections before the first table.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.settings.schema import json_schema

DOCS: Final = Path(__file__).parent.parent / "docs"
PAGE: Final = DOCS / "settings.md"
SCHEMA: Final = DOCS / "settings.schema.json"

_TOP_LEVEL: Final = "Top level"
_HEAD: Final = "| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
_BOUNDS: Final = {"minimum": "at least", "exclusiveMinimum": "greater than"}
_KINDS: Final = {
    "string": "string",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "table",
}

Schema = Mapping[str, Any]


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def page_text(old: str) -> str:
    """Return the page with present tables; everything written by hand stays."""
    head, *sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    written = dict(_section(text) for text in sections)
    whole = json_schema()
    tables = {heading: _generated(heading, table, whole) for heading, table in _tables(whole, whole, "")}
    notes = {heading: _notes(text) for heading, text in written.items()}
    by_hand = [text for heading, text in written.items() if heading not in tables]
    return "\n".join([head.rstrip() + "\n", *by_hand, *(f"{text}{notes.get(h, '')}" for h, text in tables.items())])


def _section(text: str) -> tuple[str, str]:
    return text.splitlines()[0].removeprefix("## "), text.rstrip() + "\n"


def _notes(section: str) -> str:
    """Return what follows the table."""
    return re.split(r"^\|.*\n(?!\|)", section, maxsplit=1, flags=re.MULTILINE)[-1]


def _tables(table: Schema, whole: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path or _TOP_LEVEL, table
    for key, value in table["properties"].items():
        inner = _resolved(value.get("items", value), whole)
        if "properties" in inner:
            name = f"{path.strip('`[]')}.{key}".lstrip(".")
            description = {"description": value["description"]}
            yield from _tables({**inner, **description}, whole, f"`[[{name}]]`" if "items" in value else f"`[{name}]`")


def _generated(heading: str, table: Schema, whole: Schema) -> str:
    about = "" if heading == _TOP_LEVEL else f"{table['description']}\n\n"
    required = table.get("required", ())
    rows = [_row(key, value, whole, is_required=key in required) for key, value in table["properties"].items()]
    return f"## {heading}\n\n{about}{_HEAD}{''.join(filter(None, rows))}"


def _row(key: str, value: Schema, whole: Schema, *, is_required: bool) -> str:
    kind = _kind(value, whole)
    if not kind:
        return ""
    default = f"`{json.dumps(value['default'], ensure_ascii=False)}`" if "default" in value else ""
    return f"| `{key}` | {kind} | {'required' if is_required else default} | {value['description']} |\n"


def _kind(value: Schema, whole: Schema) -> str:
    """Return the values that a key may have; empty for a table, which has a section of its own."""
    value = _resolved(value, whole)
    if "properties" in value:
        return ""
    if allowed := value.get("enum") or ([value["const"]] if "const" in value else []):
        return ", ".join(f"`{json.dumps(one)}`" for one in allowed)
    if "anyOf" in value:
        kinds = (_kind(one, whole) for one in value["anyOf"] if "enum" not in one)
        return " or ".join(dict.fromkeys(kinds))
    if "items" in value:
        kind = _kind(value["items"], whole)
        return f"list of {kind}{'' if 'enum' in value['items'] else 's'}" if kind else ""
    return _scalar(value)


def _scalar(value: Schema) -> str:
    if value.get("pattern") == "^/":
        return "absolute path"
    if {"minimum", "maximum"} <= value.keys():
        return f"{value['minimum']} to {value['maximum']}"
    bounds = [f"{words} {value[bound]}" for bound, words in _BOUNDS.items() if bound in value]
    return ", ".join([_KINDS[value["type"]], *bounds])


def _resolved(value: Schema, whole: Schema) -> Schema:
    """Return the definition that a value refers to, or the value."""
    found: Schema = whole["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
    return found


if __name__ == "__main__":
    PAGE.write_text(page_text(PAGE.read_text()))
    SCHEMA.write_text(schema_text())
