"""engine use: check an engine, write it into `fleet.toml`, fill it, and tell the nodes; or use none any more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build, engines, fleets
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.assembly.engine_contents import Cleared, leave, wait_until_filled
from wellkeeper_issuer.assembly.invites import LISTEN_FIRST, NO_RELAY
from wellkeeper_issuer.commands import fleet_drop_in
from wellkeeper_issuer.commands.engine_check import parse_url
from wellkeeper_issuer.commands.terminal import findings, interrupts
from wellkeeper_issuer.commands.terminal import options as common
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.files import Sources, read_sources
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.findings import Finding, Verdict, worst
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import counted

_ENGINE: Final = "engine"
_DELETES: Final = "Deleting the records of this fleet in the former engine takes up to a minute."
_DELETE: Final = "If nothing uses it any more, delete the keys there that begin with its prefix, by default '{wk}:'."
_ONLY_OURS: Final = "Write or delete [fleet.engine] there, and run 'wellkeeper reload'."
_file_type: Final = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


@click.command()
@click.argument("url", required=False)
@click.option("--none", "is_none", is_flag=True, help="Stop using an engine: nodes follow only the relay again.")
@click.option("--user", metavar="NAME", help="User of the issuer there.  [default: that of URL, wellkeeper-issuer]")
@click.option("--password-file", type=_file_type, help="Its password.  [default: the one of 'engine acl']")
@click.option("--node-user", metavar="NAME", help="User of the nodes there.  [default: wellkeeper-node]")
@click.option("--node-password-file", type=_file_type, help="Its password.  [default: the one of 'engine acl']")
@click.option("--sentinel-user", metavar="NAME", help="User of both in the Sentinels.  [default: their default user]")
@click.option("--sentinel-password-file", type=_file_type, help="Its password.  [default: none]")
@common.config_option
@common.json_option
def use(url: str | None, config: Path | None, *, is_none: bool, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Let the fleet use the engine at URL, such as rediss://HOST:6379, beside the relay.

    Tries the engine, writes issuer.d/fleet.toml, copies the records, and sends each node the address and the nodes'
    password, sealed. Nodes move by themselves. Nothing is written if a check fails (exit status 1).

    --none, or a URL of another engine, deletes the records of this fleet in the former engine, and no others.
    """
    if is_none == (url is not None):
        raise click.UsageError("give either URL or --none")
    common.refuse_standbys(config)
    path = settings_path(config)
    table = None if url is None else _table(url, given)
    sources = read_sources(path)
    drop_in, settings = _prepare(path, sources, table)
    found = interrupts.run(_try(settings)) if table else []
    if worst(found) is Verdict.FAIL:
        _show(found, _to_json(settings, [], None, is_filled=False) | {"engine": None}, [], as_json=as_json)
        click.get_current_context().exit(1)
    written = fleet_drop_in.write(drop_in.contents)
    details = {"engine": settings.fleet.engine.address or "none"}
    build.history(settings.state_dir).add(*(Happened(What.SETTINGS_WRITTEN, str(file), details) for file in written))
    is_filled = interrupts.run(spread(settings, has_changed=bool(written)))
    cleared = interrupts.run(_clear(sources, settings))
    lines = [*_written(written), *(_lines_of_former(cleared) if cleared and written else [])]
    lines += ["Nodes follow only the relay again."] if is_none else _lines_of_new(is_filled=is_filled)
    _show(found, _to_json(settings, written, cleared, is_filled=is_filled), lines, as_json=as_json)


def _table(url: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return [fleet.engine]. Raises SettingsError."""
    address = engines.with_user(parse_url(url), given["user"])
    names = ("password_file", "node_user", "node_password_file", "sentinel_user", "sentinel_password_file")
    return {"address": address, **{name: str(given[name]) for name in names if given[name] is not None}}


def _prepare(path: Path, sources: Sources, table: Mapping[str, str] | None) -> tuple[fleet_drop_in.DropIn, Settings]:
    """Return the drop-in, and the settings with it. Raises SettingsError."""
    former, elsewhere = fleet_drop_in.find(path, sources)
    if elsewhere is not None:
        raise fleet_drop_in.not_ours(elsewhere, _ONLY_OURS)
    if table and not former.get("listen"):
        raise SettingsError("cannot use an engine", NO_RELAY, LISTEN_FIRST)
    kept = {name: value for name, value in former.items() if name != _ENGINE}
    drop_in = fleet_drop_in.DropIn(path, {**kept, **({_ENGINE: table} if table else {})})
    return drop_in, check(drop_in.among(sources))


async def _try(settings: Settings) -> list[Finding]:
    found = await check_engine(settings, engines.required_address(settings))
    engines.node_access(settings)  # what nodes get must be usable, too
    return [one for one in found if one.check != "nodes"]  # it is new to them


async def spread(settings: Settings, *, has_changed: bool) -> bool:
    """Let the daemon, or else this process, send the records; return whether the engine has them."""
    since = SystemClock().now().timestamp()
    has_daemon = await remote.ask(settings, {"command": "reload"}) is not None
    if has_daemon and not has_changed:  # a reload without changes does not read passwords and CA again
        await remote.ask(settings, {"command": "take keys"})
    if not has_daemon and has_state(settings.state_dir):
        async with (
            build.owned_state(settings, "engine use") as (state, _),
            fleets.fleet(settings, state, is_daemon=False),
        ):
            pass
    return await wait_until_filled(settings, since)


async def _clear(former: Sources, settings: Settings) -> Cleared | None:
    """Delete what the engine of the former settings has of this fleet; None without another one than now."""
    try:
        before = check(former)
    except SettingsError as error:
        return Cleared(0, str(error))
    return await leave(before, settings, lambda: click.echo(_DELETES, err=True))


def _written(written: Sequence[Path]) -> list[str]:
    return [f"wrote  {path}" for path in written] or ["kept   the settings, which are up to date"]


def _lines_of_new(*, is_filled: bool) -> list[str]:
    if not is_filled:
        return ["note   the engine does not have all records yet; the daemon copies them while it runs"]
    return ["copied the records", "Next: sudo wellkeeper engine check, which shows the nodes that have moved"]


def _lines_of_former(cleared: Cleared) -> list[str]:
    if cleared.why:
        return [f"note   the former engine may still have records of this fleet: {cleared.why}", _DELETE]
    return [f"deleted {counted(cleared.count, 'record')} of this fleet in the former engine"]


def _to_json(
    settings: Settings, written: Sequence[Path], cleared: Cleared | None, *, is_filled: bool
) -> dict[str, Any]:
    return {
        "engine": settings.fleet.engine.address,
        "written": list(map(str, written)),
        "is_filled": is_filled,
        "deleted": cleared.count if cleared else None,
        "not_deleted": (cleared.why or None) if cleared else None,
    }


def _show(found: Sequence[Finding], result: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({**result, **findings.to_json(found)})
        return
    if found:
        findings.show(found, common.Verbosity.VERBOSE)
    for line in lines:
        click.echo(line)
