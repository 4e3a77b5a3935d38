"""Comparison of a command's --json output with the tables of docs/json.md."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_TEXT = (Path(__file__).parent.parent / "docs/json.md").read_text()


def documented_commands() -> set[str]:
    return set(re.findall(r"^## `wellkeeper (.+)`$", _TEXT, re.MULTILINE))


def assert_documented(command: str, found: Mapping[str, Any]) -> None:
    """Check that the command's table and the object have the same keys, except below parents that are absent."""
    types = documented_keys(command)
    assert found["schema_version"] == 1
    result = {key: value for key, value in found.items() if key != "schema_version"}
    assert sorted(set(_mismatches(types, "", result))) == []


def documented_keys(command: str) -> dict[str, str]:
    program = "" if command.startswith("wellkeeper-") else "wellkeeper "
    heading = "Failures" if command == "error" else f"`{program}{command}`"
    section = _TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE))
    if command == "why":
        shared = documented_keys("status")
        rows |= {key.partition("[].")[2]: kind for key, kind in shared.items() if key.startswith("certificates[].")}
        served = "nodes[].serves[]."
        rows |= {f"nodes[].{key.removeprefix(served)}": shared[key] for key in shared if key.startswith(served)}
    return rows


def _mismatches(types: Mapping[str, str], parent: str, found: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if types.get(parent, "").startswith("map"):
        return
    if isinstance(found, list):
        for one in found:
            yield from _mismatches(types, f"{parent}[]", one)
    elif isinstance(found, dict):
        prefix = f"{parent}." if parent else ""
        wanted = {key for key in types if re.fullmatch(rf"{re.escape(prefix)}\w+", key)}
        for key in {f"{prefix}{key}" for key in found} ^ wanted:
            yield f"{key} is {'missing' if key in wanted else 'not documented'}"
        for key, value in found.items():
            yield from _mismatches(types, f"{prefix}{key}", value)
