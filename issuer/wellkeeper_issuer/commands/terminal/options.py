"""Options and arguments of several commands, and what a shell proposes for them.

The settings are loaded when they are read: a command that the daemon carries out needs none.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.location import peek_state_dir, settings_path
from wellkeeper_node.errors import WellkeeperError

if TYPE_CHECKING:
    from wellkeeper_issuer.settings import Settings

_CONFIG: Final = "wellkeeper.config"


class Verbosity(Enum):
    """The amount of output; stages are details."""

    QUIET = "quiet"
    BRIEF = "brief"
    VERBOSE = "verbose"


def _remembered(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """Return the --config before or after the command; the latter wins."""
    if value is not None:
        context.meta[_CONFIG] = value
    found: Path | None = context.meta.get(_CONFIG)
    return found


def lineage_name(value: str) -> str:
    """Return the name of a certificate as the settings have it; Unicode and upper case are accepted."""
    lower = value.lower()
    if lower.isascii() and "xn--" not in lower:
        return lower  # a plain name needs no tables of Unicode
    from wellkeeper_issuer import idn

    try:
        return idn.to_ascii(value)
    except ValueError:
        return value  # `choose` reports that no certificate has this name


def _settings_to_complete(context: click.Context) -> "Settings | None":
    """Return the settings; None when they cannot be read: any message would end up in the user's prompt."""
    from wellkeeper_issuer.settings import read_settings

    try:
        return read_settings(settings_path(context.meta.get(_CONFIG)))
    except (WellkeeperError, OSError):
        return None


def complete_certificates(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the certificates that are not on the command line yet."""
    settings, given = _settings_to_complete(context), context.params.get(parameter.name or "") or ()
    names = [one.name for one in settings.certificates] if settings else []
    return [name for name in names if name.startswith(incomplete) and name not in given]


def complete_own_cas(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the CAs at which we have account keys."""
    return _matching(_own_cas(context), incomplete)


def complete_cas(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the CAs in the settings, then those of well-known ones."""
    return _matching([*_own_cas(context), *CA_DIRECTORIES], incomplete)


def _own_cas(context: click.Context) -> Iterator[str]:
    from wellkeeper_issuer.settings.cas import directory_urls

    settings = _settings_to_complete(context)
    if settings is not None:
        yield from (settings.find_ca(url).name for url in directory_urls(settings))


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


name_argument = click.argument("name", type=lineage_name, shell_complete=complete_certificates)
names_argument = click.argument("names", nargs=-1, type=lineage_name, shell_complete=complete_certificates)
config_option = click.option(
    "--config",
    callback=_remembered,
    is_eager=True,
    type=click.Path(path_type=Path, dir_okay=False, readable=False),  # who reads it names the remedy
    help="The settings file (TOML).  [default: $WELLKEEPER_CONFIG, else /etc/wellkeeper/issuer.toml]",
)
staging_option = click.option(
    "--staging",
    is_flag=True,
    help="Use Let's Encrypt's staging CA for this run; its test certificates never replace real ones.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    help="Progress format on standard error; auto updates in place in a terminal.",
)

verbose_option = click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Show every stage.")
quiet_option = click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Print nothing but errors.")


def verbosity(*, is_verbose: bool, is_quiet: bool) -> Verbosity:
    """Return what -v and -q ask for; raises UsageError for both."""
    if is_verbose and is_quiet:
        raise click.UsageError("-v and -q cannot be combined")
    if is_quiet:
        return Verbosity.QUIET
    return Verbosity.VERBOSE if is_verbose else Verbosity.BRIEF


def read(config: Path | None, *, is_staging: bool = False, is_for_standbys: bool = False) -> "Settings":
    """Read the settings, and apply `--staging`; raises SettingsError, and JournalError on a standby.

    `is_for_standbys`: the command changes nothing, so that it may run there.
    """
    from wellkeeper_issuer.settings import read_settings

    settings = read_settings(settings_path(config))
    if not is_for_standbys:
        _refuse_standby(settings.state_dir)
    if is_staging:
        staging = ("letsencrypt-staging",)
        certificates = tuple(one.model_copy(update={"ca": staging}) for one in settings.certificates)
        return settings.model_copy(update={"ca": staging, "certificates": certificates})
    return settings


def refuse_standbys(config: Path | None) -> None:
    """Raise JournalError on a standby, before a command changes the settings."""
    state_dir = peek_state_dir(settings_path(config))
    if state_dir is not None:
        _refuse_standby(state_dir)


def _refuse_standby(state_dir: Path) -> None:
    from wellkeeper_issuer.outside.state.standby import refuse_standby

    refuse_standby(state_dir)
