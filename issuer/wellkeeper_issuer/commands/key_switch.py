"""key switch: use the next key, once all nodes trust it; the former one stays trusted until it is retired."""

from collections.abc import Mapping
from pathlib import Path

import click

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import KeyKind, find_lacking
from wellkeeper_issuer.commands.account import ca_option, choose, roll_over, with_session
from wellkeeper_issuer.commands.key_kinds import KINDS, check_trusted, signing_key
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.happened import Happened, What, record
from wellkeeper_node.settings.values import address_text


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@ca_option
@click.option("--force", is_flag=True, help="Leave behind nodes that do not trust the next key.")
@options.config_option
@options.json_option
def switch(kind: str, name: str | None, config: Path | None, *, force: bool, as_json: bool) -> None:
    """Use the next key of this KIND: publishing, fleet or account. A daemon uses it from then on.

    Refused while a node does not trust it. With --force, that is a warning: no token or certificate reaches these nodes
    until they do. If interrupted, run it again.

    Exit status: 0 switched, 1 a node does not trust the next key, or the CA refuses it, 2 usage or settings.
    """
    settings, chosen = options.read(config), KeyKind(kind)
    if chosen is KeyKind.ACCOUNT:
        found, lacking = interrupts.run(_switch_account(settings, name, is_forced=force))
        following = "trust --write"
    else:
        found, lacking = interrupts.run(_switch_signing(settings, chosen, is_forced=force))
        following = f"key retire {kind}"
        if chosen is KeyKind.FLEET and settings.fleet.listen:
            addresses = " ".join(map(address_text, settings.fleet.listen))
            following = f"fleet listen {addresses}, then sudo wellkeeper {following}"
    for node, why in lacking.items():
        click.echo(f"warning: {node}: {why}", err=True)
    if as_json:
        print_json({"kind": kind, "id": found, "lacking": dict(lacking)})
    else:
        click.echo(f"The {kind} key is now {found}\nNext: sudo wellkeeper {following}")


async def _switch_signing(settings: Settings, kind: KeyKind, *, is_forced: bool) -> tuple[str, Mapping[str, str]]:
    """Return the id of the new key, and the nodes that do not trust it. Raises SettingsError and PublishError."""
    key = signing_key(settings, kind)
    key.check_retired()  # nodes cannot know the key after the next one
    following = key.following
    lacking = {} if following is None else await find_lacking(settings, kind, key_id(following))
    if not is_forced:
        check_trusted(f"cannot switch the {kind} key yet", lacking)
    key.switch()
    found = key_id(key.current.public_key())
    await record(
        build.history(settings.state_dir),
        Happened(What.KEY_SWITCHED, kind, {"id": found, "lacking": ", ".join(lacking)}),
    )
    await remote.ask(settings, {"command": "take keys"})
    return found, lacking


async def _switch_account(settings: Settings, name: str | None, *, is_forced: bool) -> tuple[str, Mapping[str, str]]:
    """Raises SettingsError without a next key, else as `roll_over`."""
    ca, accounts = choose(settings, name), build.accounts(settings)
    following = accounts.next_account_key(ca.directory)
    if following is None:
        raise SettingsError(
            f"cannot switch the account key at the CA {ca.name}",
            f"{accounts.next_key_path(ca.directory)} does not exist",
            "Run 'wellkeeper key prepare account' first.",
        )
    lacking = await find_lacking(settings, KeyKind.ACCOUNT, account_thumbprint(following)) if is_forced else {}
    return await with_session(settings, ca, lambda session: roll_over(session, is_forced=is_forced)), lacking
