"""engine acl: two users with the rights that issuer and nodes need, and the lines of the engine's configuration."""

from collections.abc import Iterator
from pathlib import Path

import click

from wellkeeper_issuer.assembly import engines
from wellkeeper_issuer.commands.engine_check import parse_url
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.fleet import engine_acl
from wellkeeper_issuer.outside.keys.engine_passwords import EnginePasswords


@click.command()
@click.argument("url", required=False)
@click.option("--node-user", metavar="NAME", help="User of the nodes.  [default: that of the settings]")
@options.config_option
@options.json_option
def acl(url: str | None, node_user: str | None, config: Path | None, *, as_json: bool) -> None:
    """Print two lines for the engine's ACL file, one for the issuer and one for all nodes, and its configuration.

    They have the issuer's user and the prefix of URL, such as rediss://USER@HOST:6379?prefix=NAME. By default, they
    have those of the settings.

    The first run creates a password for each, in state_dir; the lines contain only their SHA-256.
    """
    options.refuse_standbys(config)
    settings = options.read(config)
    made = EnginePasswords(settings.state_dir).make()
    address = parse_url(url) if url else engines.engine_address(settings)
    users = engines.users(settings, address, node_user or settings.fleet.engine.node_user)
    if as_json:
        print_json(
            {
                "users": [{"name": one.name, "password_file": str(one.file), "line": one.line} for one in users],
                "configuration": [one for one in engine_acl.CONFIGURATION if not one.startswith("#")],
                "written": [str(path) for path in made],
            }
        )
        return
    click.echo("\n".join(_lines(users, made)))


def _lines(users: tuple[engines.User, ...], made: tuple[Path, ...]) -> Iterator[str]:
    yield from (f"wrote  {path}" for path in made)
    yield "# For the engine's ACL file (aclfile), which cannot have comments; 'ACL LOAD' reads it again."
    yield from (one.line for one in users)
    yield "# If nothing else uses the engine, add this line; otherwise its default user needs a password."
    yield f"# {engine_acl.DEDICATED}"
    yield ""
    yield "# For its configuration (valkey.conf or redis.conf)."
    yield from engine_acl.CONFIGURATION
    yield ""
    yield "# The passwords, for a hosted service that wants them instead:"
    yield from (f"# {one.file} ({one.name})" for one in users)
    yield f"# Next: sudo wellkeeper engine use rediss://{users[0].name}@HOST:6379"
