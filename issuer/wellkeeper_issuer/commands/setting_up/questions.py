"""The questions of setup: which names, which CA, its terms, the contact, and a test with the staging CA first.

Options come first. An interrupted user gets the answers back as options, so that nothing is typed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal.given import Options
from wellkeeper_issuer.commands.terminal.questions import (
    DEFAULT_CA,
    PATHS,
    Answers,
    ask_account,
    check_names,
    given_certificates,
    prompt,
)
from wellkeeper_issuer.settings.values import parse_identifier
from wellkeeper_node.nginx.sites import Site, grouped, served_names

_ALL: Final = "all"
_STAGING: Final = "Try everything with Let's Encrypt's staging CA first (its test certificates are thrown away)?"
_NAMES: Final = "Names of the certificate, separated by commas"
_WHICH_MORE: Final = "Other certificates to obtain (numbers, or names separated by commas; empty for none)"
_DECLINED: Final = "Without your agreement, the CA issues no certificates."
_WHICH: Final = "Certificates to obtain (numbers, or names separated by commas; 'all' for all numbers)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wishes of the user; `answers` is None when the settings exist, which stay as they are."""

    certificates: tuple[tuple[str, ...], ...]
    answers: Answers | None = None
    tries_staging: bool = False


def ask(
    given: dict[str, Any], found: Sequence[Site], known: Sequence[frozenset[str]], *, is_new: bool, asks: bool
) -> Wanted:
    """Return what to set up. `known` are the names of each certificate in the settings, `is_new`: there are none yet.

    Raises UsageError for a missing option when nothing may be asked.
    """
    options = Options(given)
    options.add_paths(PATHS)
    with options.kept("wellkeeper setup"):
        certificates = _certificates(options, found, known, asks=asks)
        if not is_new:
            return Wanted(certificates)
        answers = ask_account(options, asks=asks)
        if answers.is_agreed is False:
            click.echo(_DECLINED, err=True)
            raise click.Abort
        tries_staging = asks and answers.ca == DEFAULT_CA and click.confirm(_STAGING, default=True)
    return Wanted(certificates, answers, tries_staging)


def _certificates(
    options: Options, found: Sequence[Site], known: Sequence[frozenset[str]], *, asks: bool
) -> tuple[tuple[str, ...], ...]:
    """Return the names of each certificate, without those that the settings have."""
    if given := given_certificates(options):
        return unknown(given, known)
    groups = unknown(grouped(found), known)
    if asks and (groups or not known):
        _show(found, groups)
        if known:
            chosen = prompt(_WHICH_MORE, "", lambda text: _chosen(text, groups) if text else ())
        else:
            question, default = (_WHICH, _ALL) if groups else (_NAMES, "")
            chosen = prompt(question, default, lambda text: _chosen(text, groups))
        for one in chosen:
            options.add("--certificate", ",".join(one))
        return unknown(chosen, known)
    if known:
        return ()
    served = ", ".join(one.name for one in served_names(found) if not one.reason) or "no names"
    raise click.UsageError(f"Missing option '--certificate'. nginx serves: {served}.")


def unknown(groups: Sequence[tuple[str, ...]], known: Sequence[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the certificates that the settings lack, each once; case and a trailing dot make no difference."""
    found = dict[frozenset[str], tuple[str, ...]]()
    for group in groups:
        found.setdefault(frozenset(map(_normalized, group)), group)
    return tuple(group for names, group in found.items() if not any(names <= others for others in known))


def _normalized(name: str) -> str:
    try:
        return parse_identifier(name).value
    except ValueError:
        return name  # nginx's own, which no certificate can have


def _show(found: Sequence[Site], groups: Sequence[tuple[str, ...]]) -> None:
    """List the certificates that can be chosen, with their places, and the other names with the reason."""
    names = {one.name: one for one in served_names(found)}
    click.echo("nginx serves these names:\n" if names else "nginx serves no names yet.")
    for number, group in enumerate(groups, 1):
        click.echo(f"  {number:2}  {', '.join(group)}  ({names[group[0]].place})")
    for one in names.values():
        if one.reason:
            click.echo(f"   -  {one.name}  ({one.place}): {one.reason}")
    click.echo("")


def _chosen(text: str, groups: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the chosen certificates; raise ValueError for an answer that means nothing."""
    if text == _ALL and groups:
        return tuple(groups)
    words = text.replace(", ", ",").split()
    if not words:
        raise ValueError("give at least one name")
    chosen = []
    for word in words:
        if word.isdigit() and not 1 <= int(word) <= len(groups):
            raise ValueError(f"{word} is not in the list")
        chosen.append(groups[int(word) - 1] if word.isdigit() else check_names(word))
    return tuple(dict.fromkeys(chosen))
