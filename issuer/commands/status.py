"""status: what is installed, until when, when it is renewed, and what is left to do. Asks nobody."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from issuer.commands import build, options
from issuer.errors import SettingsError
from issuer.model import Flip, Installed
from issuer.obtain.due import renew_at
from issuer.outside.clock import SystemClock
from issuer.outside.state import open_state
from issuer.settings import Settings

_SERVED: Final = "served"


@dataclass(frozen=True, slots=True)
class _Journalled:
    """What the journal knows, by lineage."""

    known: frozenset[str] = frozenset()
    undelivered: Mapping[str, Flip] = field(default_factory=dict)
    unserved: frozenset[str] = frozenset()
    under_way: frozenset[str] = frozenset()


@click.command()
@options.config_option
@options.json_option
@click.option(
    "--check", "is_check", is_flag=True, help="Exit with 1 unless every certificate is served; for monitoring."
)
def status(config: Path | None, as_json: bool, is_check: bool) -> None:
    """Show each certificate: state, dates, next renewal."""
    settings = options.read(config)
    found = asyncio.run(_read(settings))
    if as_json:
        click.echo(json.dumps({"certificates": found}, indent=2))
    else:
        _show(found)
    if is_check and any(one["state"] != _SERVED for one in found):
        click.get_current_context().exit(1)


def _show(found: list[dict[str, Any]]) -> None:
    for one in found:
        until = f", valid until {one['not_after'][:10]}, renewed from {one['renew_at'][:10]}" if one["serial"] else ""
        click.echo(f"{one['name']}: {one['state']}{until}")
    if not found:
        click.echo("the settings name no certificate; add [[certificates]]")


async def _read(settings: Settings) -> list[dict[str, Any]]:
    folders, now = build.certificates(settings), SystemClock().now()
    names = [certificate.name for certificate in settings.certificates]
    journalled = await _read_journal(settings.state_dir / build.JOURNAL, names)
    found = []
    for name in names:
        installed = await folders.installed(name)
        state = _state(name, installed, journalled, now)
        found.append(_describe(name, installed, state, is_under_way=name in journalled.under_way))
    return found


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; run as the user who owns state_dir") from error
    return True


async def _read_journal(path: Path, names: list[str]) -> _Journalled:
    if not _is_there(path):
        return _Journalled()
    async with open_state(path, is_exclusive=False) as state:
        journal = state.journal
        return _Journalled(
            await journal.installed(),
            await journal.undelivered(),
            await journal.unserved(),
            frozenset([name for name in names if await journal.read_attempt(name)]),
        )


def _state(name: str, installed: Installed | None, journalled: _Journalled, now: datetime) -> str:
    """One state a certificate; the worst that holds."""
    if installed is None:
        return "missing: run renew"
    if installed.certificate.is_self_signed or installed.certificate.not_after <= now:
        return "placeholder: run renew" if installed.certificate.is_self_signed else "expired: run renew"
    if name in journalled.undelivered:
        if installed.version != journalled.undelivered[name].after:
            return "an older version, nginx refused the newer one: run renew"
        return "installed, nginx not reloaded yet: run renew"
    if name in journalled.unserved:
        return "installed, not served yet"
    return _SERVED if name in journalled.known else "installed, never proven to be served: run renew"


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
