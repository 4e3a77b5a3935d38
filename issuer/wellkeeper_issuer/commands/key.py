"""key: show and rotate the keys that nodes trust: publishing key, fleet key, account keys."""

from typing import Final

import click

from wellkeeper_issuer.commands.terminal.lazy import LazyGroup, Place

_SECTIONS: Final = {
    "Commands": {
        "list": Place("wellkeeper_issuer.commands.key_list:list_keys", "List all keys, and the nodes without them."),
        "prepare": Place("wellkeeper_issuer.commands.key_prepare:prepare", "Make the next key, which nodes may learn."),
        "switch": Place("wellkeeper_issuer.commands.key_switch:switch", "Use the next key, once all nodes trust it."),
        "retire": Place("wellkeeper_issuer.commands.key_retire:retire", "Trust the former key no longer."),
    }
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def key() -> None:
    """Show and rotate the keys that nodes trust: prepare the next one, switch to it, retire the former one.

    docs/key-rotation.md has the commands for each key, and for stolen and lost ones.
    """
