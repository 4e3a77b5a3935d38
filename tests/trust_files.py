"""Trust files for responders of tests."""

from pathlib import Path

from tests.responder.messages import TRUST
from wellkeeper_client.trust_file import NAME, Trust, to_toml


def trusting(folder: Path, trust: Trust = TRUST) -> Path:
    """Write a trust file into the directory by one rename, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    new = path.with_suffix(".new")
    new.write_text(to_toml(trust))
    return new.replace(path)
