"""Options of several commands."""

from enum import Enum
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.settings import Settings, read_settings, settings_path

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
    try:
        return idn.to_ascii(value)
    except ValueError:
        return value  # `choose` reports that no certificate has this name


config_option = click.option(
    "--config",
    callback=_remembered,
    type=click.Path(path_type=Path, dir_okay=False),
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
        raise click.UsageError("-v and -q exclude each other")
    if is_quiet:
        return Verbosity.QUIET
    return Verbosity.VERBOSE if is_verbose else Verbosity.BRIEF


def read(config: Path | None, *, is_staging: bool = False) -> Settings:
    """Read the settings, and apply `--staging`; raises SettingsError."""
    settings = read_settings(settings_path(config))
    if is_staging:
        staging = ("letsencrypt-staging",)
        certificates = tuple(one.model_copy(update={"ca": staging}) for one in settings.certificates)
        return settings.model_copy(update={"ca": staging, "certificates": certificates})
    return settings
