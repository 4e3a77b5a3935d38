"""Options that several commands share."""

from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.settings import Settings, read_settings, settings_path

_CONFIG: Final = "wellkeeper.config"


def _remembered(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """Return the --config before or after the command; the latter counts."""
    if value is not None:
        context.meta[_CONFIG] = value
    found: Path | None = context.meta.get(_CONFIG)
    return found


def lineage_name(value: str) -> str:
    """Convert an argument that names a certificate: it may be written in Unicode and in any case."""
    try:
        return idn.to_ascii(value)
    except ValueError:
        return value  # reported as unknown later


config_option = click.option(
    "--config",
    callback=_remembered,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file (TOML).  [default: $WELLKEEPER_CONFIG, else /etc/wellkeeper/issuer.toml]",
)
staging_option = click.option(
    "--staging",
    is_flag=True,
    help="Use Let's Encrypt's staging CA this time. Its certificates are for testing, and never replace real ones.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    help="Progress format on standard error; auto updates in place in a terminal.",
)


def read(config: Path | None, *, is_staging: bool = False) -> Settings:
    """Read the settings, and apply `--staging`; raises SettingsError."""
    settings = read_settings(settings_path(config))
    if is_staging:
        staging = ("letsencrypt-staging",)
        certificates = tuple(one.model_copy(update={"ca": staging}) for one in settings.certificates)
        return settings.model_copy(update={"ca": staging, "certificates": certificates})
    return settings
