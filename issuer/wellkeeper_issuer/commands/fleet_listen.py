"""fleet listen: write the drop-in `fleet.toml` and the relay's environment, make the fleet key, start the relay."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.relay_wire import is_name, is_private
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import has_stale_relay
from wellkeeper_issuer.commands import fleet_drop_in, trust_file
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import DEFAULT_PATH, settings_path
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.files import FLEET, Sources, read_sources
from wellkeeper_issuer.settings.values import parse_address
from wellkeeper_node import units
from wellkeeper_node.happened import Happened, What

_COMMENT: Final = "Written by 'wellkeeper fleet listen'."
_ENVIRONMENT: Final = "relay.env"
_NEXT: Final = "Next: sudo wellkeeper node invite NAME"


@dataclass(frozen=True, slots=True)
class _Listening:
    """The files with their contents; `is_known` of the settings that have the addresses already.

    `former` are addresses at which the relay does not listen any more.
    """

    addresses: tuple[str, ...]
    drop_in: fleet_drop_in.DropIn
    environment: Path
    fleet_keys: tuple[str, ...]
    is_known: bool
    former: tuple[str, ...] = ()

    def contents(self) -> dict[Path, str]:
        environment = (
            f"# {_COMMENT} Public values only.\n"
            f"WELLKEEPER_RELAY_NODES={' '.join(self.addresses)}\n"
            f"WELLKEEPER_RELAY_FLEET_KEY={' '.join(self.fleet_keys)}\n"
        )
        settings = {} if self.is_known else self.drop_in.contents
        return {self.environment: environment, **settings}

    def to_json(self, written: Sequence[Path], started: Mapping[str, str], *, has_daemon: bool) -> dict[str, Any]:
        return {
            "listen": list(self.addresses),
            "fleet_keys": list(self.fleet_keys),
            "environment": str(self.environment),
            "written": [str(path) for path in written],
            "units": [{"name": name, "is_started": not why, "why": why} for name, why in started.items()],
            "has_daemon": has_daemon,
        }


@click.command()
@click.argument("addresses", metavar="ADDRESS…", nargs=-1, required=True)
@options.config_option
@options.json_option
def listen(addresses: tuple[str, ...], config: Path | None, *, as_json: bool) -> None:
    """Let nodes dial the relay of this host at ADDRESS…: private IP addresses with ports, such as 10.0.0.1:8404.

    Writes issuer.d/fleet.toml and relay.env beside the settings, makes the fleet key, starts
    wellkeeper-relay.service (again if it has other addresses or keys), and makes a daemon reload.
    Settings that have these addresses already are not changed, so that they may be read-only.
    """
    options.refuse_standbys(config)
    path = settings_path(config)
    listening = _prepare(path, read_sources(path), tuple(map(_checked, addresses)))
    written = fleet_drop_in.write(listening.contents())
    settings = options.read(config)
    details = {"listen": ", ".join(addresses)}
    build.history(settings.state_dir).add(*(Happened(What.SETTINGS_WRITTEN, str(file), details) for file in written))
    missing = _add_to_trust_file(settings, path)
    is_stale = listening.environment in written or interrupts.run(has_stale_relay(settings))
    restarted = [units.RELAY] if is_stale else []
    started = units.start_all([units.RELAY], path, DEFAULT_PATH, restarted)
    answer = interrupts.run(remote.ask(settings, {"command": "reload"}))
    interrupts.run(remote.ask(settings, {"command": "take keys"}))  # also those of a command that was interrupted
    if as_json:
        print_json(listening.to_json(written, started, has_daemon=answer is not None))
        return
    kept = [file for file in listening.contents() if file not in written]
    lines = [*(f"wrote  {file}" for file in written), *(f"kept   {file}, which is up to date" for file in kept)]
    notes = [f"note   {note}" for note in (missing, asyncio.run(_cut_off(settings, listening.former))) if note]
    click.echo("\n".join([*lines, *notes, *units.to_lines(started), "", _NEXT]))


def _prepare(path: Path, sources: Sources, addresses: tuple[str, ...]) -> _Listening:
    """Check the settings with the addresses, and make the keys. Raises SettingsError."""
    listen = {"listen": list(addresses)}
    former_table, elsewhere = fleet_drop_in.find(path, sources)
    is_known = elsewhere is not None and elsewhere.values[FLEET].get("listen") == list(addresses)
    if elsewhere is not None and not is_known:
        raise fleet_drop_in.not_ours(elsewhere, f"Set listen = {list(addresses)}.")
    drop_in = fleet_drop_in.DropIn(path, {**former_table, **listen})
    settings = check(sources if is_known else drop_in.among(sources))
    keys = FleetKeys(settings.state_dir)
    keys.make(build.history(settings.state_dir))
    public = tuple(encode_public_key(key) for key in keys.trusted)
    former = tuple(one for one in former_table.get("listen", ()) if one not in addresses)
    return _Listening(addresses, drop_in, path.with_name(_ENVIRONMENT), public, is_known, former)


async def _cut_off(settings: Settings, former: Sequence[str]) -> str:
    """Return which nodes may still dial addresses that the relay has left, and what to do."""
    if not former or not has_state(settings.state_dir):
        return ""
    async with build.state_to_read(settings) as state:
        nodes = await state.fleet.read_nodes()
    if not nodes:
        return ""
    words = f"nodes {', '.join(nodes)} may dial {', '.join(former)}: change 'relays' in node.toml there"
    return f"{words}, and let the relay listen at both addresses until then"


def _checked(address: str) -> str:
    """Return the address. Raises SettingsError for one that others could reach."""
    try:
        host, _ = parse_address(address)
    except ValueError as error:
        raise SettingsError(
            f"cannot listen at {address}", str(error), "Write HOST:PORT, such as 10.0.0.1:8404."
        ) from error
    if not is_name(host) and not is_private(host):  # the relay checks what a name leads to
        raise SettingsError(
            f"cannot listen at {address}",
            "plain HTTP needs a private IP address of this host",
            "Use an address of a VPN, or 127.0.0.1:8404 behind an nginx with TLS.",
        )
    return address


def _add_to_trust_file(settings: Settings, path: Path) -> str:
    """Add the fleet keys; a file that differs otherwise is left as it is, with what 'trust --write' would change.

    Return what is missing for it: a host without nginx gets its relay before its keys.
    """
    try:
        host = trust_file.find(settings, path)
    except SettingsError as error:
        return str(error)
    others = host.added.account_thumbprints + host.added.publishing_keys
    if host.found is not None and host.added.fleet_keys and not others and not host.removed:
        try:
            trust_file.write(host, build.history(settings.state_dir))
        except SettingsError as error:
            return f"{error.what} ({error.why}), which lacks the fleet keys; 'wellkeeper trust' shows them"
    return ""
