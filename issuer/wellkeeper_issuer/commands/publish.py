"""publish: answer the challenges of another ACME client on all nodes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json

if TYPE_CHECKING:
    from wellkeeper_node.model import Answer

# A key authorization, with a line end.
_LONGEST_INPUT: Final = 1024


class _Publish(click.Command):
    """Takes tokens that look like options."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        from wellkeeper_client.publisher import shield

        return super().parse_args(context, shield(args))


@click.command(cls=_Publish)
@click.argument("name", required=False)
@click.argument("key_authorization", required=False)
@click.option("--withdraw", metavar="TOKEN", help="Withdraw this token; also takes its key authorization.")
@click.option(
    "--without",
    metavar="NODE",
    multiple=True,
    help="Leave out this node, which is away for longer; repeatable.",
)
@options.config_option
@options.json_option
def publish(  # noqa: PLR0913 - its arguments and options
    name: str | None,
    key_authorization: str | None,
    config: Path | None,
    *,
    withdraw: str | None,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Publish the token of another ACME client on all nodes, for hooks of certbot, lego, dehydrated and others.

    NAME is the identifier that the CA validates, KEY_AUTHORIZATION is TOKEN.THUMBPRINT, and - reads it from standard
    input. Returns when every node that answers challenges serves the token through its own nginx. Otherwise, withdraws
    it and fails. The account must be pinned, as for wellkeeper-publish, which does the same on this host alone.

    A token that is not withdrawn expires after half an hour.

    Exit status: 0 all nodes serve it, or it is withdrawn; 1 not: do not ask the CA; 2 usage or settings.
    """
    from wellkeeper_issuer.assembly.publishing import publish_for_client, withdraw_for_client

    if bool(withdraw) == bool(key_authorization) or (withdraw and name):
        raise click.UsageError("Expected NAME and KEY_AUTHORIZATION, or --withdraw TOKEN.")
    if withdraw:
        token, identifier = _token(withdraw), None
        interrupts.run(withdraw_for_client(options.read(config), token, without))
    else:
        answer = _answer(name, key_authorization or "")
        token, identifier = answer.token, str(answer.identifier)
        interrupts.run(publish_for_client(options.read(config), answer, without))
    if as_json:
        print_json({"name": identifier, "token": token, "is_published": identifier is not None})


def _token(text: str) -> str:
    """Return the token of a key authorization, or the token itself."""
    from wellkeeper_client import wire

    token, _, _ = text.strip().partition(".")
    if not wire.is_token(token):
        raise click.BadParameter("expected the token of a challenge, or its key authorization", param_hint="--withdraw")
    return token


def _answer(name: str | None, text: str) -> "Answer":
    from wellkeeper_client.publisher import parse_key_authorization
    from wellkeeper_issuer.settings.values import parse_identifier
    from wellkeeper_node.model import Answer

    try:
        given = sys.stdin.read(_LONGEST_INPUT) if text == "-" else text
        return Answer(*parse_key_authorization(given), parse_identifier(name))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
