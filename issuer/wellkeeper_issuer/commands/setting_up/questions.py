"""The questions of setup: which names, which CA, its terms, the contact, and a test with the staging CA first.

Options come first. An interrupted user gets the answers back as options, so that nothing is typed twice.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal.questions import (
    CA,
    CONTACT,
    DEFAULT_CA,
    Answers,
    agree,
    check_ca,
    check_contact,
    check_names,
    checked,
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


@dataclass
class Options:
    """The options that would give the answers so far."""

    given: dict[str, Any]
    words: list[str] = field(default_factory=list)

    def add(self, option: str, *values: str) -> None:
        self.words += [word for value in values for word in (option, value)]

    @contextmanager
    def kept(self, command: str) -> Iterator[None]:
        """Print the options when the user interrupts."""
        try:
            yield
        except (click.Abort, KeyboardInterrupt):
            if self.words:
                click.echo(f"\nContinue with your answers:\n\n  {command} {shlex.join(self.words)}\n", err=True)
            raise


def ask(
    given: dict[str, Any], found: Sequence[Site], known: Sequence[frozenset[str]], *, is_new: bool, asks: bool
) -> Wanted:
    """Return what to set up. `known` are the names of each certificate in the settings, `is_new`: there are none yet.

    Raises UsageError for a missing option when nothing may be asked.
    """
    options = Options(given)
    for key in ("config", "state_dir", "certificates_dir"):
        if given.get(key):
            options.add(f"--{key.replace('_', '-')}", str(given[key]))
    with options.kept("wellkeeper setup"):
        certificates = _certificates(options, found, known, asks=asks)
        if not is_new:
            return Wanted(certificates)
        ca, bundle = _ca(options, asks=asks)
        contact = tuple(address for one in given["contact"] for address in checked(one, check_contact, "--contact"))
        contact = contact or (prompt(CONTACT, "", check_contact) if asks else ())
        options.add("--contact", *contact)
        is_agreed = given["agree_to_terms_of_service"] or agree(ca, bundle, is_terminal=asks)
        if is_agreed is False:
            click.echo(_DECLINED, err=True)
            raise click.Abort
        if is_agreed:
            options.words.append("--agree-to-terms-of-service")
        tries_staging = asks and ca == DEFAULT_CA and click.confirm(_STAGING, default=True)
    return Wanted(certificates, Answers(ca, contact, bool(is_agreed), (), bundle), tries_staging)


def _ca(options: Options, *, asks: bool) -> tuple[str, Path | None]:
    ca = options.given["ca"] or (prompt(CA, DEFAULT_CA, check_ca) if asks else DEFAULT_CA)
    options.add("--ca", ca)
    bundle: Path | None = options.given["ca_bundle"]
    if bundle is None:
        return ca, None
    options.add("--ca-bundle", str(bundle))
    return ca, bundle.absolute()


def _certificates(
    options: Options, found: Sequence[Site], known: Sequence[frozenset[str]], *, asks: bool
) -> tuple[tuple[str, ...], ...]:
    """Return the names of each certificate, without those that the settings have."""
    given = tuple(filter(None, (checked(one, check_names, "--certificate") for one in options.given["certificate"])))
    for names in given:
        options.add("--certificate", ",".join(names))
    if given:
        return _unknown(given, known)
    groups = _unknown(grouped(found), known)
    if asks and (groups or not known):
        _show(found, groups)
        if known:
            chosen = prompt(_WHICH_MORE, "", lambda text: _chosen(text, groups) if text else ())
        else:
            question, default = (_WHICH, _ALL) if groups else (_NAMES, "")
            chosen = prompt(question, default, lambda text: _chosen(text, groups))
        for one in chosen:
            options.add("--certificate", ",".join(one))
        return _unknown(chosen, known)
    if known:
        return ()
    served = ", ".join(one.name for one in served_names(found) if not one.reason) or "no names"
    raise click.UsageError(f"Missing option '--certificate'. nginx serves: {served}.")


def _unknown(groups: Sequence[tuple[str, ...]], known: Sequence[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
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
