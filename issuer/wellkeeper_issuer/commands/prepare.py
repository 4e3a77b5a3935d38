"""prepare: fill the volumes of containers with all that they need, from options or the environment. Idempotent."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.certificate_add import write_certificate
from wellkeeper_issuer.commands.new_settings import options_of_new_settings, write_settings
from wellkeeper_issuer.commands.placeholder import Placeholders, make_placeholders
from wellkeeper_issuer.commands.preparing import agent, modes, volumes
from wellkeeper_issuer.commands.preparing.program import write_program
from wellkeeper_issuer.commands.preparing.report import Prepared
from wellkeeper_issuer.commands.preparing.wishes import Wishes, options_of_wishes, read_wishes
from wellkeeper_issuer.commands.setting_up.questions import unknown
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.environment import named, reads_environment, refuse_mistyped
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check, read_settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES, read_sources
from wellkeeper_node import presence

_TRUST: Final = Path("/var/lib/wellkeeper/trust/trust.toml")


@reads_environment
@click.command()
@options_of_new_settings
@options_of_wishes
@options.config_option
@options.json_option
def prepare(config: Path | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Fill the volumes of containers before these start. Run it before each start.

    Write settings if there are none, keys, the responder's trust file, the files for nginx's container, the
    directories of nginx's agent, and a placeholder for each certificate. A later run adds what is missing and new
    certificates, updates the trust file and the files for nginx, and keeps settings and keys. It needs neither the
    network nor privileges.

    Exit status: 0 everything is in place, 1 another error, 2 usage, settings or a volume.
    """
    refuse_mistyped(click.get_current_context().command)
    path = settings_path(config).absolute()
    with interrupts.terminable():  # a container's first process ignores SIGTERM otherwise
        prepared = _prepare(path, given)
    if as_json:
        print_json(prepared.to_json())
    else:
        click.echo(prepared.to_text())


def _prepare(path: Path, given: dict[str, Any]) -> Prepared:
    volumes.refuse_other_user({"--config": path.parent})
    with volumes.explained({"--config": path.parent}):
        corrected = list(modes.settings(path))
        settings = _existing(path)
    places = _places(path, given, settings)
    trust = (given["trust"] or (settings and settings.trust_file) or _TRUST).absolute()
    wishes = read_wishes(given, trust, is_new=settings is None)
    volumes.refuse_other_user(places)
    with volumes.explained(places | {"--trust": trust.parent}), volumes.alone(places["--state-dir"]):
        corrected += modes.state(places["--state-dir"])
        prepared = _fill(path, wishes, trust, given["program"].absolute())
        if prepared.settings.nginx.agent:
            corrected += modes.agent(prepared.settings.nginx.agent)
        return replace(prepared, corrected=corrected)


def _existing(path: Path) -> Settings | None:
    return read_settings(path) if presence.exists(path) else None


def _places(path: Path, given: dict[str, Any], settings: Settings | None) -> dict[str, Path]:
    """Return the directory that each option names; settings that exist decide."""
    new = Settings()
    state_dir = settings.state_dir if settings else given["state_dir"] or new.state_dir
    certificates_dir = settings.certificates_dir if settings else given["certificates_dir"] or new.certificates_dir
    agent_dir = settings.nginx.agent if settings else given["nginx_agent"]
    return {
        "--config": path.parent,
        "--state-dir": state_dir.absolute(),
        "--certificates-dir": certificates_dir.absolute(),
        "--program": given["program"].absolute(),
    } | ({"--nginx-agent": agent_dir.absolute()} if agent_dir else {})


def _fill(path: Path, wishes: Wishes, trust_path: Path, program: Path) -> Prepared:
    """Write what is missing. Raises WellkeeperError, OSError."""
    settings = _existing(path)  # a second `prepare` may have written it
    is_new = settings is None
    if is_new:
        write_settings(path, dict(wishes.values))
    drop_ins = _add_certificates(path, wishes)
    settings = read_settings(path)
    folders = agent.make_folders(settings.nginx.agent) if settings.nginx.agent else []
    keys = build.accounts(settings).make_keys()
    trust = trust_file.find(settings, path, trust_path)
    if not trust.is_current:
        trust_file.write(trust, build.history(settings.state_dir))
    files, placeholders = write_program(program), _make_placeholders(settings)
    if drop_ins and not is_new:
        asyncio.run(remote.ask(settings, {"command": "reload"}))
    differing = {} if is_new else dict.fromkeys(wishes.differing(settings), str(path))
    differing |= _other_names(path, wishes)
    return Prepared(path, settings, is_new, differing, drop_ins, keys, trust, program, files, folders, placeholders)


def _make_placeholders(settings: Settings) -> Placeholders:
    if not settings.certificates:  # a user may remove the last one, or add the first one later
        return Placeholders([], [], build.certificates(settings))
    return make_placeholders(settings, ())


def _add_certificates(path: Path, wishes: Wishes) -> list[Path]:
    """Write a drop-in for each certificate that the settings lack."""
    return [_add_certificate(path, names) for names in _unknown(path, wishes) if _known_as(path, names) is None]


def _other_names(path: Path, wishes: Wishes) -> dict[str, str]:
    """Return the option, with the place of the first certificate that has other names there, which are kept."""
    places = [place for names in _unknown(path, wishes) if (place := _known_as(path, names))]
    return {"--certificate": places[0]} if places else {}


def _unknown(path: Path, wishes: Wishes) -> tuple[tuple[str, ...], ...]:
    known = [frozenset(one.value for one in lineage.identifiers) for lineage in read_settings(path).lineages()]
    return unknown(wishes.certificates, known)


def _known_as(path: Path, names: tuple[str, ...]) -> str | None:
    """Return the place of the certificate that has the name of these."""
    name, sources = CertificateSettings.model_validate({"identifiers": list(names)}).name, read_sources(path)
    found = [index for index, one in enumerate(check(sources).certificates) if one.name == name]
    return sources.name_place((CERTIFICATES, found[0])) if found else None


def _add_certificate(path: Path, names: tuple[str, ...]) -> Path:
    try:
        return write_certificate(path, {"identifiers": list(names)})[1]
    except SettingsError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EROFS:
            raise
    raise SettingsError(
        f"cannot add a certificate for {', '.join(names)}",
        f"{path.parent} is read-only",
        f"Add it to {path.name} there, or leave out {named('--certificate')}.",
    )
