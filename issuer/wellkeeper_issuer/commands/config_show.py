"""config show: print the effective value of every key, and where it comes from."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import find_settings
from wellkeeper_issuer.settings import check
from wellkeeper_issuer.settings.effective import Entry, Origin, effective
from wellkeeper_issuer.settings.files import Location, read_sources


@click.command()
@click.argument("key", required=False)
@options.config_option
@options.json_option
def show(key: str | None, config: Path | None, as_json: bool) -> None:
    """Print the effective value of every key, and where it comes from.

    KEY limits the output to one key or table, such as 'nginx.reload', 'certificates.www.example.org' or 'cas.zerossl'.

    The output is valid TOML; secrets are masked as '***'.

    Exit status: 0 success, 2 mistakes in the settings, unknown key, or usage.
    """
    path, path_origin = find_settings(config)
    sources = read_sources(path)
    entries = effective(check(sources), sources)
    if key:
        entries = _below(entries, key)
    if as_json:
        print_json({"file": {"path": str(path), "origin": path_origin}, "settings": [_to_json(one) for one in entries]})
    else:
        head = [] if key else [one_line(f"# Effective settings of {path} ({path_origin})")]
        click.echo("\n".join([*head, *_to_toml(entries)]))


def _below(entries: Sequence[Entry], key: str) -> list[Entry]:
    """Return the entries of this key or table; raises SettingsError."""
    found = [one for one in entries if one.is_below(key)]
    if not found:
        close = get_close_matches(key, dict.fromkeys(name for one in entries for name in one.names()), n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else "Run 'wellkeeper config show' to see all keys."
        raise SettingsError(f"no setting is named {key!r}", remedy=remedy)
    return found


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "key": ".".join(entry.parts),
        "value": entry.value,
        "origin": _kind(entry.origin),
        "path": str(entry.origin.path) if entry.origin.path else None,
        "line": entry.origin.line,
        "is_masked": entry.is_masked,
    }


def _kind(origin: Origin) -> str:
    if origin.path is None:
        return "default"
    return "drop-in" if origin.is_drop_in else "file"


def _to_toml(entries: Sequence[Entry]) -> Iterator[str]:
    table: Location = ()
    for entry in entries:
        if entry.table != table:
            table = entry.table
            yield from ("", _header(table)) if entry is not entries[0] else (_header(table),)
        yield _line(entry)


def _header(table: Location) -> str:
    name = ".".join(part for part in table if isinstance(part, str))
    return f"[[{name}]]" if isinstance(table[-1], int) else f"[{name}]"


def _line(entry: Entry) -> str:
    import tomlkit

    key, origin = entry.parts[-1], one_line(f"{entry.origin}, masked" if entry.is_masked else str(entry.origin))
    if entry.value is None:
        return f"# {key} is not set"
    return f"{key} = {tomlkit.item(entry.value).as_string()}  # {origin}"
