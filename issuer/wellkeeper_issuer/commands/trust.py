"""trust: show or write the responder's trust file, and show the lines for nginx; public values only."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands import client_accounts, trust_file
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.host.client_accounts import ClientAccount
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings

# The snippets, as nginx in a container of the examples sees them.
IN_PROGRAM: Final = "/var/lib/wellkeeper/program/snippets"
_INDENT: Final = "  "
_FILE: Final = click.Path(path_type=Path, readable=False)


@click.command()
@click.option("--write", is_flag=True, help="Write the trust file, and show how it changed.")
@click.option(
    "--account-key",
    "first_keys",
    multiple=True,
    metavar="FILE...",
    type=_FILE,
    help="Show the thumbprint of another client's account key (JWK, PEM or DER); with --write, pin the account.",
)
@click.argument("more_keys", nargs=-1, metavar="[FILE]...", type=_FILE)
@click.option(
    "--clients",
    is_flag=True,
    help="The same for all accounts of certbot, acme.sh, lego and other clients on this host.",
)
@click.option("--home", "homes", multiple=True, type=_FILE, help="With --clients, look in this home directory, too.")
@click.option("--unpin", "unpinned", multiple=True, metavar="THUMBPRINT", help="With --write, unpin this account.")
@options.config_option
@options.json_option
def trust(  # noqa: PLR0913 - its options
    config: Path | None,
    *,
    as_json: bool,
    write: bool,
    first_keys: tuple[Path, ...],
    more_keys: tuple[Path, ...],
    clients: bool,
    homes: tuple[Path, ...],
    unpinned: tuple[str, ...],
) -> None:
    """Show what the responder must trust, and the nginx lines to copy.

    With --write, write it to the trust file (by default trust.toml beside the settings), and wait up to 5 seconds
    until the responders have read it. One that is not running, or reads another file, is only mentioned.

    --account-key and --clients show accounts of other ACME clients. With --write, these accounts are first added to
    account_thumbprints in the settings; --unpin removes an account from there. A pinned account can get certificates
    for every name whose tokens 'wellkeeper publish' publishes for it.
    """
    if (more_keys and not first_keys) or (homes and not clients) or (unpinned and not write):
        raise click.UsageError("files need --account-key, --home needs --clients, and --unpin needs --write")
    settings, path = options.read(config, is_for_standbys=not write), settings_path(config)
    accounts = _accounts((*first_keys, *more_keys), homes, has_all=clients)
    if write and (accounts or unpinned):
        client_accounts.check_unpinned(path, settings, unpinned)
        client_accounts.pin(path, settings, accounts)
        client_accounts.unpin(path, unpinned)
        settings = options.read(config)
    host = trust_file.find(settings, path)
    is_written = write and not host.is_current
    if is_written:
        trust_file.write(host, build.history(settings.state_dir))
    lagging = await_responders(settings, host) if write else {}
    if as_json:
        responders = {"responders": {node: why or None for node, why in lagging.items()}}
        shown = {"accounts": client_accounts.to_json(accounts, host.pinned)}
        print_json(to_json(settings, host, is_written=is_written) | responders | shown)
    elif write:
        click.echo(_written(host, lagging), nl=False)
    elif first_keys or clients:
        client_accounts.show(accounts, host.pinned)
    else:
        click.echo(explain(settings, host))


def _accounts(files: tuple[Path, ...], homes: tuple[Path, ...], *, has_all: bool) -> tuple[ClientAccount, ...]:
    """Return the accounts of these files, and all that are found. Raises SettingsError."""
    return (*client_accounts.read(files), *(client_accounts.find(homes) if has_all else ()))


def to_json(settings: Settings, host: HostTrust, *, is_written: bool) -> dict[str, Any]:
    live = build.certificates(settings)
    return {
        "trust_file": host.to_json(is_written=is_written),
        "trust": trust_file.members(host.wanted),
        "live": {one.name: live.live_path(one.name) for one in settings.certificates},
    }


def await_responders(settings: Settings, host: HostTrust) -> Mapping[str, str]:
    """Wait until the responders have read the file; return by node why one has not, else ""."""
    from wellkeeper_issuer.assembly.pins import await_trust

    return asyncio.run(await_trust(host.ids, build.responder_clients(settings)))


def _written(host: HostTrust, lagging: Mapping[str, str]) -> str:
    kept = f"kept   {host.path}, which is up to date\n"
    text = kept if host.is_current else f"wrote  {host.path}\n{host.differences()}"
    return text + notes(lagging)


def notes(lagging: Mapping[str, str]) -> str:
    """Return a line for each responder that has not read the file."""
    return "".join(f"note   {why}\n" for why in lagging.values() if why)


def explain(settings: Settings, host: HostTrust) -> str:
    """Return what the responder must trust, and the lines to copy to nginx."""
    stale = f".\n{host.differences()}{trust_file.WRITE} to write this file"
    heading = f"{host.state}{'' if host.is_current else stale}"
    content = "".join(f"{_INDENT}{line}".rstrip() + "\n" for line in host.content.splitlines())
    return f"{heading}:\n\n{content}\n{nginx_lines(settings)}"


def is_in_other_container(settings: Settings) -> bool:
    """Return whether nginx runs in another container, with the directory that `prepare` fills."""
    return settings.nginx.agent is not None or settings.nginx.test == "reload"


def nginx_lines(settings: Settings, snippets: str = "") -> str:
    """Return the lines to copy to nginx; `snippets` is their directory, by default the usual one."""
    snippets = snippets or (IN_PROGRAM if is_in_other_container(settings) else "snippets/wellkeeper")
    return (
        "Add to nginx's http block, unless a link in conf.d/ already includes it:\n\n"
        f"  include {snippets}/upstream.conf;\n\n"
        "and to every server block that listens on port 80:\n\n"
        f"  include {snippets}/challenge.conf;\n\n"
        f"{_certificate_lines(settings)}"
    )


def _certificate_lines(settings: Settings) -> str:
    if not settings.certificates:
        return "No certificates are configured yet. Run 'wellkeeper certificate add NAME' to add one.\n"
    live = build.certificates(settings)
    blocks = [lines_for_nginx(live.live_path(one.name), one) for one in settings.certificates]
    return "and to the server blocks that listen with ssl:\n\n" + "\n".join(blocks)


def lines_for_nginx(live_path: str, certificate: CertificateSettings) -> str:
    """Return the lines for the server block of this certificate."""
    certificate_key = f"{live_path}/privkey.pem" if certificate.csr is None else "THE KEY OF YOUR CSR"
    return (
        f"  # {', '.join(map(str, certificate.identifiers))}\n"
        f"  ssl_certificate     {live_path}/fullchain.pem;\n"
        f"  ssl_certificate_key {certificate_key};\n"
    )
