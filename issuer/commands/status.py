"""status: what is installed, until when, when it is renewed, and what is left to do. Asks nobody."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from issuer.commands import build, options
from issuer.model import Flip, Installed
from issuer.obtain.due import renew_at
from issuer.outside.journal import SqliteJournal
from issuer.settings import Settings


@click.command()
@options.config_option
@options.json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show each certificate: state, dates, next renewal."""
    settings = options.read(config)
    found = asyncio.run(_read(settings))
    if as_json:
        click.echo(json.dumps({"certificates": found}, indent=2))
        return
    for one in found:
        until = f", valid until {one['not_after'][:10]}, renewed from {one['renew_at'][:10]}" if one["serial"] else ""
        click.echo(f"{one['name']}: {one['state']}{until}")
    if not found:
        click.echo("the settings name no certificate; add [[certificates]]")


async def _read(settings: Settings) -> list[dict[str, Any]]:
    folders = build.certificates(settings)
    path = settings.state_dir / build.JOURNAL
    undelivered: dict[str, Flip] = {}
    unserved: frozenset[str] = frozenset()
    under_way: set[str] = set()
    if path.exists():
        async with SqliteJournal(path, is_exclusive=False) as journal:
            undelivered, unserved = await journal.undelivered(), await journal.unserved()
            names = [certificate.name for certificate in settings.certificates]
            under_way = {name for name in names if await journal.read_attempt(name)}
    found = []
    for certificate in settings.certificates:
        installed = await folders.installed(certificate.name)
        state = _state(certificate.name, installed, {"undelivered": undelivered, "unserved": unserved})
        found.append(_describe(certificate.name, installed, state, is_under_way=certificate.name in under_way))
    return found


def _state(name: str, installed: Installed | None, journalled: dict[str, Any]) -> str:
    if name in journalled["undelivered"]:
        return "installed, nginx not reloaded yet: run renew"
    if name in journalled["unserved"]:
        return "installed, not served yet"
    if installed is None:
        return "missing: run renew"
    return "placeholder: run renew" if installed.certificate.is_self_signed else "served"


def _describe(name: str, installed: Installed | None, state: str, *, is_under_way: bool) -> dict[str, Any]:
    certificate = installed.certificate if installed else None
    return {
        "name": name,
        "state": state,
        "is_renewal_under_way": is_under_way,
        "identifiers": sorted(map(str, certificate.identifiers)) if certificate else [],
        "serial": certificate.serial if certificate else None,
        "fingerprint_sha256": certificate.fingerprint_sha256 if certificate else None,
        "issued_by": certificate.issued_by if certificate else None,
        "not_after": certificate.not_after.isoformat() if certificate else None,
        "renew_at": renew_at(certificate.not_before, certificate.not_after).isoformat() if certificate else None,
    }
