"""list: show the configured certificates, and what is installed for each."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands.terminal import options, ranking, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.known_cas import is_of_test_ca
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview, Shown

_TITLES: Final = ("NAME", "CA", "KEY TYPE", "EXPIRES", "IDENTIFIERS")


@click.command("list")
@options.config_option
@options.json_option
def list_certificates(config: Path | None, as_json: bool) -> None:
    """List all certificates: CAs in order of preference, key type, expiry and identifiers.

    Placeholders and test certificates are marked in the column EXPIRES.
    """
    settings = options.read(config, is_for_standbys=True)
    seen = asyncio.run(overview.look(settings, settings.lineages()))
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        found = [_describe(settings, one) for one in seen.shown]
        print_json({"certificates": found, "is_reload_needed": is_outdated})
    elif seen.shown:
        rows = [_row(settings, seen, one) for one in seen.shown]
        print_table(_TITLES, rows, name_column=0, cuts_last=False)
    else:
        screen.print_lines(["no certificates are configured", "Next: sudo wellkeeper certificate add NAME"])


def _describe(settings: Settings, one: Shown) -> dict[str, Any]:
    lineage = one.lineage
    return {
        "name": lineage.name,
        "identifiers": [str(identifier) for identifier in lineage.identifiers],
        "cas": _cas(settings, one),
        "key_type": _key_type(lineage),
        "not_after": one.not_after.isoformat() if one.not_after else None,
    }


def _row(settings: Settings, seen: Overview, one: Shown) -> Row:
    lineage = one.lineage
    identifiers = ", ".join(idn.describe(str(identifier)) for identifier in lineage.identifiers)
    cas = ", ".join(_cas(settings, one))
    return Row((lineage.name, cas, _key_type(lineage) or "-", _expiry(seen, one), identifiers))


def _key_type(lineage: Lineage) -> str | None:
    """Return the type of the keys that are made for it; None where another client makes them."""
    return None if lineage.is_external else lineage.key_type.value


def _cas(settings: Settings, one: Shown) -> list[str]:
    return [settings.find_ca(url).name for url in one.lineage.directory_urls]


def _expiry(seen: Overview, one: Shown) -> str:
    if one.status.state is State.PLACEHOLDER:
        return "placeholder (not issued yet)"
    if one.status.version is None:
        return "not issued yet"
    mark = "test certificate, " if _is_test(one) else ""
    return f"{mark}{ranking.expiry(one, seen, is_dated=True)}"


def _is_test(one: Shown) -> bool:
    schedule, certificate = one.status.schedule, one.certificate
    directory_url, issued_by = schedule.directory_url if schedule else "", certificate.issued_by if certificate else ""
    return is_of_test_ca(directory_url, issued_by)
