"""join: prove an invite to the issuer, write what it answers (settings, trust file, placeholders), start the units."""

import asyncio
import grp
import importlib.metadata
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client import services, trust_file
from wellkeeper_client.joining import Invite, JoinAnswer, Pins, parse_invite
from wellkeeper_client.trust_file import Trust, TrustError
from wellkeeper_node import durable, presence, settings, units
from wellkeeper_node.agent.arrival import has_arrived_within
from wellkeeper_node.agent.join import join as join_fleet
from wellkeeper_node.agent.join import name_of
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.shown import StatusFile
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.commands.options import absolute, config_option, own_history, state_dir_option
from wellkeeper_node.deliver.install import install
from wellkeeper_node.errors import FleetError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.model import LINEAGE_NAME, Identifier, IdentifierType
from wellkeeper_node.records.relay import RelayRecords
from wellkeeper_node.settings import NodeSettings
from wellkeeper_node.start import DEFAULT_PATH

_PLACEHOLDER_DAYS: Final = 7
_REPLACE: Final = "Compare it with the keys of the fleet, then repeat the command with --replace."
# A new node gets 200 certificates in less than a second, and nginx needs some to load them.
_ARRIVAL_SECONDS: Final = 15.0
_NONE_YET: Final = "note   not all certificates have arrived yet: see 'wellkeeper-node status'"
_PROMPT: Final = "Invite, as 'wellkeeper node invite' printed it"
_UNITS: Final = (units.RESPONDER, units.NODE)
_NEXT: Final = """\
Next: include snippets/wellkeeper/challenge.conf in the server blocks on port 80, name these in those with ssl:
{}
      then test it with 'nginx -t', and {}
"""


@dataclass(frozen=True, slots=True)
class _Places:
    """The files of this node."""

    config: Path
    state_dir: Path
    certificates_dir: Path
    group: str | None
    is_replaced: bool
    other_trust_file: Path | None = None

    @property
    def trust_file(self) -> Path:
        return self.other_trust_file or self.config.with_name(trust_file.NAME)

    def folders(self) -> CertificateFolders:
        """Raises FleetError for an unknown group."""
        try:
            gid = grp.getgrnam(self.group).gr_gid if self.group else None
        except KeyError:
            raise FleetError(f"cannot use the group {self.group!r}", "this host has no such group") from None
        return CertificateFolders(self.certificates_dir, group=gid)


@click.command()
@config_option
@state_dir_option
@click.option(
    "--certificates-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=NodeSettings.__dataclass_fields__["certificates_dir"].default,
    show_default=True,
    callback=absolute,
    help="Directory for nginx to read: live/NAME and archive/NAME/VERSION.",
)
@click.option("--certificates-group", "group", metavar="GROUP", help="Group that may read the certificates' keys.")
@click.option("--replace", "is_replaced", is_flag=True, help="Replace settings and a trust file that differ.")
@click.option(
    "--name",
    metavar="NAME",
    help="Name of this node, if the invite is for several.  [default: host name, and six characters of its key]",
)
def join(name: str | None, **given: Any) -> None:  # noqa: ANN401 - the options
    """Join a fleet with an invite.

    Asks for the invite, or reads it from standard input; it is never an argument. Creates the keys of this node, proves
    the invite to the issuer, and writes node.toml, trust.toml, and a self-signed certificate in place of each that this
    node will get, so that nginx can start. Then it starts the responder and the agent, and waits a few seconds for
    certificates. You can repeat it.
    """
    places = _Places(**given)
    found = settings.read(places.config) if presence.exists(places.config) and not places.is_replaced else None
    invite = _named(_read_invite(), name, found)
    places = _kept(places, found)
    folders = places.folders()
    _check_trust(places, invite)
    keys = NodeKeys(places.state_dir)
    keys.make()
    if not invite.node:
        invite = replace(invite, node=name_of(socket.gethostname(), keys.public.signing_key))
    answer = asyncio.run(_ask(invite, keys))
    _write_trust(places, answer)
    lines = asyncio.run(_make_placeholders(answer, folders))
    _write_settings(places, answer)
    _tell(places, answer, lines, _start(places, answer))


def _start(places: "_Places", answer: JoinAnswer) -> list[str]:
    """Start the units, wait for certificates, and return a line about each. Raises FleetError."""
    clock = SystemClock()
    began = clock.now()
    started = units.start_all(_UNITS, places.config, DEFAULT_PATH, restarted=[units.NODE])
    status, seconds = StatusFile(answer.node, places.state_dir), 0.0 if started[units.NODE] else _ARRIVAL_SECONDS
    has_arrived = asyncio.run(has_arrived_within(status, began, seconds, clock))
    return [*units.to_lines(started), *([] if has_arrived else [_NONE_YET])]


def _tell(places: "_Places", answer: JoinAnswer, lines: Sequence[str], started: Sequence[str]) -> None:
    """Print what was done, and the `lines` for nginx."""
    written = (f"wrote  {path}" for path in (places.config, places.trust_file))
    click.echo("\n".join([f"joined as {answer.node}", *written, *started, ""]))
    click.echo(
        _NEXT.format("\n".join(lines) or "      (no certificates yet)", services.clause("reload", "nginx")), nl=False
    )


def _read_invite() -> Invite:
    """Ask for the invite, without showing it, or read standard input. Raises UsageError."""
    text = click.prompt(_PROMPT, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline(8192)
    try:
        return parse_invite(text)
    except ValueError as error:
        raise click.UsageError(f"cannot use the invite: {error}") from error


def _named(invite: Invite, name: str | None, found: NodeSettings | None) -> Invite:
    """Return the invite with the name of this node, "" if it has none yet. Raises UsageError, FleetError."""
    if name is not None and LINEAGE_NAME.fullmatch(name) is None:
        raise click.BadParameter("a name has only a-z, 0-9, '.', '_' and '-'", param_hint="--name")
    if not invite.is_reusable and name not in {None, invite.node}:
        raise click.UsageError(f"the invite is for node {invite.node}: leave out --name")
    wanted = invite.node or name or (found.name if found else "")
    if found is not None and found.name != wanted:
        raise FleetError(
            f"cannot join as {wanted}", f"this host is node {found.name}", "Run 'wellkeeper-node leave' first."
        )
    return replace(invite, node=wanted)


def _kept(places: _Places, found: NodeSettings | None) -> _Places:
    """Return the places that the settings name, if this node has some."""
    if found is None:
        return places
    return replace(
        places,
        state_dir=found.state_dir,
        certificates_dir=found.certificates_dir,
        group=found.certificates_group,
        other_trust_file=found.trust_file,
    )


def _check_trust(places: _Places, invite: Invite) -> None:
    """Raise FleetError for a trust file that must not be replaced, before the issuer enrols this node."""
    found = _read_trust(places)
    if found is None or places.is_replaced:
        return
    trusted = Pins(found.account_thumbprints, found.publishing_keys, found.fleet_keys, found.publishers)
    if trusted.digest != invite.pins:
        raise FleetError(
            f"cannot replace {places.trust_file}", "it trusts other keys than those of this fleet", _REPLACE
        )


def _read_trust(places: _Places) -> Trust | None:
    """Return what this node trusts, None without a usable file. Raises FleetError for one that must not be replaced."""
    try:
        return trust_file.read(places.trust_file)
    except FileNotFoundError:
        return None
    except TrustError as error:
        if not places.is_replaced:
            raise FleetError(f"cannot replace {places.trust_file}", error.what, _REPLACE) from error
        return None


async def _ask(invite: Invite, keys: NodeKeys) -> JoinAnswer:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        relays = []
        for address in invite.addresses:
            try:
                relays.append(RelayRecords(address, clock))
            except ValueError as error:
                raise FleetError(f"cannot join as {invite.node}", str(error)) from error
            stack.push_async_callback(relays[-1].close)
        return await join_fleet(invite, keys.public, relays, importlib.metadata.version("wellkeeper"), clock)


def _write_trust(places: _Places, answer: JoinAnswer) -> None:
    """Write the trust file, unless it is there: `_check_trust` compared it. Raises FleetError."""
    pins = answer.pins
    wanted = Trust(pins.account_thumbprints, pins.publishing_keys, pins.fleet_keys, pins.publishers)
    if _read_trust(places) != wanted:
        _write(places.trust_file, trust_file.to_toml(wanted))
        happened = Happened(What.TRUST_WRITTEN, str(places.trust_file), {"fleet_keys": ", ".join(wanted.fleet_keys)})
        own_history(places.state_dir).add(happened)


def _write_settings(places: _Places, answer: JoinAnswer) -> None:
    """Write the settings; the ones that this node has keep all but their relays. Raises FleetError."""
    made = NodeSettings(
        answer.node,
        answer.relays,
        places.state_dir,
        places.certificates_dir,
        places.group,
        trust_file=places.trust_file,
        answers=answer.answers,
    )
    if presence.exists(places.config) and not places.is_replaced:
        found = settings.read(places.config)
        if replace(found, relays=answer.relays, answers=answer.answers) == found:
            return
        raise FleetError(
            f"cannot change {places.config}",
            f"the relays are {', '.join(answer.relays)}, and answers is {str(answer.answers).lower()}",
            "Change these there, or repeat the command with --replace.",
        )
    _write(places.config, settings.to_toml(made))
    happened = Happened(What.NODE_JOINED, answer.node, {"relays": ", ".join(answer.relays)})
    own_history(places.state_dir).add(happened)


def _write(path: Path, text: str) -> None:
    with durable.translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        durable.replace_whole(path, text.encode(), 0o644)


async def _make_placeholders(answer: JoinAnswer, folders: CertificateFolders) -> list[str]:
    """Install a placeholder for each certificate that is not there; return the lines for nginx."""
    lines = []
    for name, identifiers in answer.certificates.items():
        if LINEAGE_NAME.fullmatch(name) is None:
            raise FleetError(
                f"cannot use the answer for {answer.node}", f"{name!r:.60} is not the name of a certificate"
            )
        if await folders.installed(name) is None:
            names = [_identifier(one) for one in identifiers]
            await install(name, make_self_signed(names, _PLACEHOLDER_DAYS, datetime.now(UTC)), folders)
        live = folders.live_path(name)
        lines.append(f"      ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem;")
    return lines


def _identifier(text: str) -> Identifier:
    """Raises FleetError."""
    kind, _, value = text.partition(":")
    try:
        return Identifier(IdentifierType(kind), value)
    except ValueError as error:
        raise FleetError("cannot use the answer of the issuer", f"{text!r:.60} is not an identifier") from error
