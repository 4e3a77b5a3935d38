"""account show: show our account at every configured CA, the CA's features, and the CAA record to copy."""

import asyncio
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import AllAuthorities, open_authorities
from wellkeeper_issuer.commands.account import account, ca_option, choose
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_node.errors import WellkeeperError

_NO_ACCOUNT: Final = "none yet (the first order or 'account register' creates it)"

_FORGOTTEN: Final = "forgotten by the CA (the next order or 'account register' registers it again)"


@dataclass(frozen=True, slots=True)
class Shown:
    """One CA. If it did not answer, `error` has the reason and its features are None. `caa` are DNS records."""

    ca: str
    directory_url: str
    thumbprint: str
    next_thumbprint: str | None
    account_url: str | None
    status: str
    contact: tuple[str, ...]
    has_external_account: bool
    terms_of_service: str | None = None
    requires_external_account: bool | None = None
    has_renewal_info: bool | None = None
    has_key_change: bool | None = None
    profiles: dict[str, str] | None = None
    caa: tuple[str, ...] = ()
    error: str | None = None


@account.command(short_help="Show our account at every CA, its features, and the CAA record.")
@ca_option
@options.config_option
@options.json_option
def show(name: str | None, config: Path | None, as_json: bool) -> None:
    """Show our account at every CA, the CA's features, and the CAA record to copy. Accounts are not created."""
    settings = options.read(config, is_for_standbys=True)
    cas = settings.all_cas() if name is None else (choose(settings, name),)
    shown = asyncio.run(_ask(settings, cas))
    if as_json:
        print_json({"cas": [asdict(one) for one in shown]})
    else:
        click.echo("\n\n".join(map(_text, shown)))
    if any(one.error for one in shown):
        click.get_current_context().exit(1)


async def _ask(settings: Settings, cas: tuple[CaSettings, ...]) -> list[Shown]:
    folder = build.accounts(settings)
    async with open_authorities(settings) as authorities:
        return list(await asyncio.gather(*(_show(settings, one, folder, authorities) for one in cas)))


async def _show(settings: Settings, ca: CaSettings, folder: AccountFolder, authorities: AllAuthorities) -> Shown:
    record, following = folder.read(ca.directory), folder.next_account_key(ca.directory)
    known = Shown(
        ca=ca.name,
        directory_url=ca.directory,
        thumbprint=account_thumbprint(folder.account_key(ca.directory)),
        next_thumbprint=account_thumbprint(following) if following else None,
        account_url=record.account_url if record else None,
        status="none yet" if record is None else "deactivated" if record.is_deactivated else "on record",
        contact=settings.contact,
        has_external_account=ca.eab_key_id is not None,
    )
    try:
        return await _ask_ca(known, authorities)
    except WellkeeperError as error:
        return replace(known, error=str(error))


async def _ask_ca(known: Shown, authorities: AllAuthorities) -> Shown:
    from wellkeeper_issuer.outside.ca.account import AccountAtCa

    authority = authorities.open(known.directory_url)
    abilities = await authority.abilities()
    status, url = known.status, known.account_url
    if status == "on record":
        state = await AccountAtCa(authority.connection).state()
        status, url = (state.status, state.url) if state else (_FORGOTTEN, url)
    records = tuple(
        f'CAA 0 issue "{identity}; validationmethods=http-01; accounturi={url}"'
        for identity in abilities.caa_identities
        if url and status == "valid"
    )
    return replace(
        known,
        status=status,
        account_url=url,
        terms_of_service=abilities.terms_of_service,
        requires_external_account=abilities.requires_external_account,
        has_renewal_info=abilities.has_renewal_info,
        has_key_change=abilities.has_key_change,
        profiles=dict(abilities.profiles),
        caa=records,
    )


def _text(one: Shown) -> str:
    lines = [
        f"{one.ca}",
        f"  directory         {one.directory_url}",
        f"  account           {one.account_url or _NO_ACCOUNT}",
        f"  status            {one.status}",
        f"  thumbprint        {one.thumbprint}",
    ]
    if one.next_thumbprint:
        lines.append(f"  next thumbprint   {one.next_thumbprint} ('account rollover' finishes it, or --abandon)")
    lines.append(f"  contact           {', '.join(one.contact) or 'none'}")
    if one.error:
        return "\n".join([*lines, f"  error             {one.error}"])
    lines += [
        f"  terms of service  {one.terms_of_service or 'none'}",
        f"  external account  {_external(one)}",
        f"  renewal info      {'yes' if one.has_renewal_info else 'no'}",
        f"  key change        {'yes' if one.has_key_change else 'no'}",
        f"  profiles          {'' if one.profiles else 'none'}",
        *(f"    {name:<15} {text}" for name, text in (one.profiles or {}).items()),
    ]
    if one.caa:
        lines += [
            "  DNS record that allows only this account to issue, and only by http-01:",
            *(f"    {r}" for r in one.caa),
        ]
    return "\n".join(line.rstrip() for line in lines)


def _external(one: Shown) -> str:
    needed = "needed" if one.requires_external_account else "not needed"
    return f"{needed}, {'set' if one.has_external_account else 'not set'}"
