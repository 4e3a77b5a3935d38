"""Find the settings file, and read `state_dir` without the rest: cheap to load, unlike the settings."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

DEFAULT_PATH: Final = Path("/etc/wellkeeper/issuer.toml")
PATH_VARIABLE: Final = "WELLKEEPER_CONFIG"
DEFAULT_STATE_DIR: Final = Path("/var/lib/wellkeeper/issuer")
_TABLE: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def settings_path(given: Path | None) -> Path:
    """Return the path of the settings: `--config`, else WELLKEEPER_CONFIG, else the default."""
    return find_settings(given)[0]


def find_settings(given: Path | None) -> tuple[Path, str]:
    """Return the path of the settings and its origin. Nothing else reads settings from the environment."""
    if given:
        return given, "--config"
    from_environment = os.environ.get(PATH_VARIABLE)
    return (Path(from_environment), PATH_VARIABLE) if from_environment else (DEFAULT_PATH, "default")


def peek_state_dir(path: Path) -> Path | None:
    """Return the state directory in the settings; None when only reading all of them can tell what is wrong."""
    try:
        found = _top_level(path.read_text()).get("state_dir", str(DEFAULT_STATE_DIR))
    except (OSError, ValueError, RecursionError):
        return None
    return Path(found) if isinstance(found, str) and found.startswith("/") else None


def _top_level(text: str) -> dict[str, Any]:
    """Parse what is before the first table: ten thousand certificates behind it take a third of a second."""
    top = _TABLE.split(text, maxsplit=1)[0]
    try:
        return tomllib.loads(top)
    except tomllib.TOMLDecodeError:
        return tomllib.loads(text)  # the line was inside an array or a string
