"""completion: print the script with which a shell completes commands, options, certificates and CAs."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json

# Below /usr/share and /usr/local/share, where each shell finds its script.
SCRIPTS: Final = {
    "bash": "bash-completion/completions/wellkeeper",
    "zsh": "zsh/site-functions/_wellkeeper",
    "fish": "fish/vendor_completions.d/wellkeeper.fish",
}
_PROGRAM: Final = "wellkeeper"
# click derives this name from the program's.
_VARIABLE: Final = "_WELLKEEPER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@options.json_option
def completion(shell: str, *, as_json: bool) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(wellkeeper completion bash)", in ~/.bashrc
    zsh:  eval "$(wellkeeper completion zsh)", in ~/.zshrc after compinit
    fish: wellkeeper completion fish > ~/.config/fish/completions/wellkeeper.fish
    """
    if as_json:
        print_json({"shell": shell, "script": script(shell)})
    else:
        click.echo(script(shell), nl=False)


def script(shell: str) -> str:
    """Return click's script, which asks the program for proposals; the shell's version is not checked."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click does not support {shell}")
    text: str = kind.source_template % kind(click.Group(), {}, _PROGRAM, _VARIABLE).source_vars()
    return text.lstrip()
