"""Settings from text, and their error messages."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.schema import json_schema

SCHEMA = json_schema()


def validator(schema: dict[str, Any] = SCHEMA) -> Any:  # noqa: ANN401 - a class that jsonschema makes
    """Return a validator of jsonschema, which is loaded only here because that takes more than a second."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


def schema_mistakes(values: object, schema: dict[str, Any] = SCHEMA) -> list[str]:
    """Return what the JSON Schema refuses, by location."""
    return [f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(values)]


def read(folder: Path, text: str) -> Settings:
    """Read the settings; the JSON Schema must accept what the program accepts."""
    path = folder / "issuer.toml"
    path.write_text(text, encoding="utf-8")
    settings = read_settings(path)
    assert schema_mistakes(tomllib.loads(text)) == []
    return settings


def complaint(folder: Path, text: str) -> str:
    """Return the error message without the file name (and line) that starts each line, after checking that prefix."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    place = re.compile(re.escape(f"{folder}/issuer.toml") + r"(:[0-9]+)?")
    lines = str(caught.value).splitlines()
    assert all(map(place.match, lines))
    return "\n".join(place.sub("", line, count=1).removeprefix(": ") for line in lines)
