"""engine use: check an engine, write it into `fleet.toml`, fill it, and tell the nodes; or use none any more."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly import build, engines, fleets
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.commands import fleet_drop_in
from wellkeeper_issuer.commands.engine_check import parse_url
from wellkeeper_issuer.commands.terminal import findings, interrupts
from wellkeeper_issuer.commands.terminal import options as common
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict, worst
from wellkeeper_node.happened import Happened, What

_ENGINE: Final = "engine"
_FILL_SECONDS: Final = 15.0
_ONLY_OURS: Final = "Write or delete [fleet.engine] there, and run 'wellkeeper reload'."
_file_type: Final = click.Path(path_type=Path, dir_okay=False, resolve_path=True)


@click.command()
@click.argument("url", required=False)
@click.option("--none", "is_none", is_flag=True, help="Use no engine any more: nodes follow only the relay again.")
@click.option("--user", metavar="NAME", help="User of the issuer there.  [default: that of URL, wellkeeper-issuer]")
@click.option("--password-file", type=_file_type, help="Its password.  [default: the one of 'engine acl']")
@click.option("--node-user", metavar="NAME", help="User of the nodes there.  [default: wellkeeper-node]")
@click.option("--node-password-file", type=_file_type, help="Its password.  [default: the one of 'engine acl']")
@click.option("--sentinel-password-file", type=_file_type, help="Password of the Sentinels.  [default: none]")
@common.config_option
@common.json_option
def use(url: str | None, config: Path | None, *, is_none: bool, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Let the fleet use the engine at URL, such as rediss://HOST:6379, beside the relay.

    Tries the engine, writes issuer.d/fleet.toml, copies the records, and sends each node the address and the nodes'
    password, sealed. Nodes move by themselves. Nothing is written if a check fails (exit status 1).
    """
    if is_none == (url is not None):
        raise click.UsageError("give either URL or --none")
    common.refuse_standbys(config)
    path = settings_path(config)
    table = None if url is None else _table(url, given)
    drop_in, settings = _prepare(path, table)
    found = interrupts.run(_try(settings)) if table else []
    if worst(found) is Verdict.FAIL:
        _show(found, {"engine": None, "written": [], "is_filled": False}, [], as_json=as_json)
        click.get_current_context().exit(1)
    written = fleet_drop_in.write(drop_in.contents)
    details = {"engine": settings.fleet.engine.address or "none"}
    build.history(settings.state_dir).add(*(Happened(What.SETTINGS_WRITTEN, str(file), details) for file in written))
    is_filled = interrupts.run(spread(settings, has_changed=bool(written)))
    result = {"engine": settings.fleet.engine.address, "written": list(map(str, written)), "is_filled": is_filled}
    _show(found, result, _lines(written, has_engine=table is not None, is_filled=is_filled), as_json=as_json)


def _table(url: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return [fleet.engine]. Raises SettingsError."""
    address = engines.with_user(parse_url(url), given["user"])
    names = ("password_file", "node_user", "node_password_file", "sentinel_password_file")
    return {"address": address, **{name: str(given[name]) for name in names if given[name] is not None}}


def _prepare(path: Path, table: Mapping[str, str] | None) -> tuple[fleet_drop_in.DropIn, Settings]:
    """Return the drop-in, and the settings with it. Raises SettingsError."""
    sources = read_sources(path)
    former, elsewhere = fleet_drop_in.find(path, sources)
    if elsewhere is not None:
        raise fleet_drop_in.not_ours(elsewhere, _ONLY_OURS)
    kept = {name: value for name, value in former.items() if name != _ENGINE}
    drop_in = fleet_drop_in.DropIn(path, {**kept, **({_ENGINE: table} if table else {})})
    return drop_in, check(drop_in.among(sources))


async def _try(settings: Settings) -> list[Finding]:
    found = await check_engine(settings, engines.required_address(settings))
    engines.node_access(settings)  # what nodes get must be usable, too
    return found


async def spread(settings: Settings, *, has_changed: bool) -> bool:
    """Let the daemon, or else this process, send the records; return whether the engine has them."""
    has_daemon = await remote.ask(settings, {"command": "reload"}) is not None
    if has_daemon and not has_changed:  # a reload without changes does not read passwords and CA again
        await remote.ask(settings, {"command": "take keys"})
    if not has_daemon and has_state(settings.state_dir):
        async with (
            build.owned_state(settings, "engine use") as (state, _),
            fleets.fleet(settings, state, is_daemon=False),
        ):
            pass
    address = engines.engine_address(settings)
    if address is None or not has_state(settings.state_dir):
        return False
    async with build.state_to_read(settings) as state:
        missing = {f"{Kind.NODE}/{name}" for name in await state.fleet.read_nodes()}
    records = engines.issuer_records(settings, address)
    try:
        async with asyncio.timeout(_FILL_SECONDS), aclosing(records.follow(Kind.NODE)) as updates:
            while missing:
                missing -= {one.key for one in (await anext(updates)).records}
    except (TimeoutError, RecordsError):
        return False
    finally:
        await records.close()
    return True


def _lines(written: Sequence[Path], *, has_engine: bool, is_filled: bool) -> list[str]:
    lines = [f"wrote  {path}" for path in written] or ["kept   the settings, which are up to date"]
    if not has_engine:
        return [*lines, "Nodes follow only the relay again. What is in the engine can be deleted."]
    if not is_filled:
        return [*lines, "note   the engine does not have all records yet; the daemon copies them"]
    return [*lines, "copied the records", "Next: sudo wellkeeper engine check, which shows the nodes that have moved"]


def _show(found: Sequence[Finding], result: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({**result, **findings.to_json(found)})
        return
    if found:
        findings.show(found, common.Verbosity.VERBOSE)
    for line in lines:
        click.echo(line)
