"""Settings from text, and their error messages."""

import re
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings, read_settings


def read(folder: Path, text: str) -> Settings:
    path = folder / "issuer.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def complaint(folder: Path, text: str) -> str:
    """Return the error message without the file name (and line) that starts each line, after checking that prefix."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    place = re.compile(re.escape(f"{folder}/issuer.toml") + r"(:[0-9]+)?")
    lines = str(caught.value).splitlines()
    assert all(map(place.match, lines))
    return "\n".join(place.sub("", line, count=1).removeprefix(": ") for line in lines)
