"""publisher remove: revoke the publishing key of another ACME client, in the trust file and in the settings."""

from dataclasses import replace
from pathlib import Path

import click

from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands import trust, trust_file
from wellkeeper_issuer.commands.publisher_add import key_path
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.host.drop_ins import remove_drop_in
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.files import PUBLISHERS, Sources, find_table_lines, read_sources
from wellkeeper_node.happened import Happened, What


@click.command()
@click.argument("name", metavar="NAME")
@options.config_option
@options.json_option
def remove(name: str, config: Path | None, *, as_json: bool) -> None:
    """Revoke the publisher NAME: the responder answers none of its tokens any more, not even published ones.

    Take it out of the trust file, wait up to 5 seconds until the responders have read that, and delete its key and its
    file in issuer.d. Nothing else of the trust file changes, and the account of the client stays at its CA. Settings
    that you wrote by hand are never changed; the command then shows which lines to remove.
    """
    options.refuse_standbys(config)
    path = settings_path(config)
    sources = read_sources(path)
    settings = check(sources)
    drop_in, key = _drop_in(sources, settings, name), key_path(path, name)
    host = _without(trust_file.find(settings, path), name)
    # The trust file first: an interrupted command is repeated, and finds the rest.
    if not host.is_current:
        trust_file.write(host, build.history(settings.state_dir))
    lagging = trust.await_responders(settings, host)
    with key_files.translated(key):
        key.unlink(missing_ok=True)
    remove_drop_in(drop_in)
    build.history(settings.state_dir).add(Happened(What.KEY_RETIRED, "publishing", {"publisher": name}))
    if as_json:
        responders = {node: why or None for node, why in lagging.items()}
        print_json({"name": name, "key_file": str(key), "drop_in": str(drop_in), "responders": responders})
    else:
        click.echo(_report(name, key, drop_in) + trust.notes(lagging) + _elsewhere(settings), nl=False)


def _drop_in(sources: Sources, settings: Settings, name: str) -> Path:
    """Return the file with its table. Raises SettingsError for an unknown publisher, and for a file of the user."""
    names = [one.name for one in settings.publishers]
    if name not in names:
        raise SettingsError(
            f"there is no publisher named {name}",
            f"the settings have: {', '.join(names) or 'none'}",
            "Run 'wellkeeper trust --write' if the trust file still has it.",
        )
    file, location = sources.place((PUBLISHERS, names.index(name)))
    if file is sources.main or len(file.tables(PUBLISHERS)) > 1 or file.values.keys() != {PUBLISHERS}:
        lines = find_table_lines(file.text, location)
        where = f"lines {lines[0]} to {lines[1]} of {file.path}" if lines else f"its table in {file.path}"
        raise SettingsError(
            f"cannot remove publisher {name}; nothing was changed",
            f"{file.path} was written by hand",
            f"Remove {where}, then run 'wellkeeper trust --write'.",
        )
    return file.path


def _without(host: HostTrust, name: str) -> HostTrust:
    """Return the trust file as it should be: as it is, without the publisher. Raises SettingsError if it is invalid."""
    if host.fault:
        raise SettingsError(
            f"cannot revoke publisher {name}; nothing was changed", host.fault, f"{trust_file.WRITE}, then repeat this."
        )
    found = host.found or Trust()
    kept = tuple(one for one in found.publishers if one.name != name)
    return replace(host, found=found, wanted=replace(found, publishers=kept))


def _report(name: str, key: Path, drop_in: Path) -> str:
    return f"{name} is removed from the trust file.\nremoved  {key}\nremoved  {drop_in}\n"


def _elsewhere(settings: Settings) -> str:
    """Return what to do for responders that read other trust files."""
    if not settings.fleet.listen and len(settings.nodes) == 1:
        return ""
    return "Next: copy the trust file to the other nodes; until then, their responders answer its tokens.\n"
