"""Questions for new settings: options first; in a terminal, ask for what they leave open until the answer is valid."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click
from pydantic import ValidationError

from wellkeeper_issuer.assembly.authorities import open_authorities
from wellkeeper_issuer.commands.terminal.environment import named
from wellkeeper_issuer.commands.terminal.given import Options
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.values import parse_contact
from wellkeeper_node.errors import WellkeeperError

DEFAULT_CA: Final = "letsencrypt"
CA: Final = "CA (a name or a directory URL)"
CONTACT: Final = "Email address for the CA (may be empty)"
_FIRST: Final = "Names of the first certificate, separated by commas"
PATHS: Final = ("config", "state_dir", "certificates_dir")
_AGREE: Final = "--agree-to-terms-of-service"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answers:
    """The values for new settings; `is_agreed` is None when the CA has no terms."""

    ca: str
    contact: tuple[str, ...]
    is_agreed: bool | None
    certificates: tuple[tuple[str, ...], ...]
    ca_bundle: Path | None = None


def ask(given: dict[str, Any], *, may_prompt: bool) -> Answers:
    """Return valid answers in a terminal; else the options, or raise UsageError that names a missing one."""
    options, asks = Options(given), may_prompt and has_terminal()
    options.add_paths(PATHS)
    with options.kept("wellkeeper init"):
        certificates = given_certificates(options)
        if asks and not certificates:
            certificates = tuple(filter(None, [prompt(_FIRST, "", check_names)]))
            options.add("--certificate", *map(",".join, certificates))
        return replace(ask_account(options, asks=asks), certificates=certificates)


class Agree(Protocol):
    """Find out whether the user agrees to the CA's terms: None if it has none. `ask_agreement` asks both."""

    def __call__(self, name: str, bundle: Path | None, /, *, is_terminal: bool) -> bool | None: ...


def ask_account(options: Options, *, asks: bool, agree: Agree | None = None) -> Answers:
    """Return the CA, the contact and the agreement, without certificates."""
    given = options.given
    ca = checked(given["ca"], check_ca, "--ca") if given["ca"] else None
    ca = ca or (prompt(CA, DEFAULT_CA, check_ca) if asks else DEFAULT_CA)
    options.add("--ca", ca)
    bundle = given["ca_bundle"] and given["ca_bundle"].absolute()
    options.add_paths(["ca_bundle"])
    contact = tuple(address for one in given["contact"] for address in checked(one, check_contact, "--contact"))
    contact = contact or (prompt(CONTACT, "", check_contact) if asks else ())
    options.add("--contact", *contact)
    is_agreed = given["agree_to_terms_of_service"] or (agree or ask_agreement)(ca, bundle, is_terminal=asks)
    if is_agreed:
        options.words.append(_AGREE)
    return Answers(ca, contact, is_agreed, (), bundle)


def given_certificates(options: Options) -> tuple[tuple[str, ...], ...]:
    """Return the names of each certificate that the options give."""
    given = (checked(one, check_names, "--certificate") for one in options.given["certificate"])
    certificates = tuple(filter(None, given))
    options.add("--certificate", *map(",".join, certificates))
    return certificates


def has_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_agreement(name: str, bundle: Path | None, *, is_terminal: bool) -> bool | None:
    """Show the terms of service of the CA, and ask for agreement; None if it has no terms.

    Raises UsageError without a terminal.
    """
    try:
        ca = Settings().find_ca(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ca") from error
    try:
        terms = asyncio.run(_read_terms(ca, bundle))
    except WellkeeperError as error:
        shown = f"cannot be read ({error.what}: {error.why})"
    else:
        if terms is None:
            return None
        shown = f"are at {terms}"
    text = f"The terms of service of the CA {ca.name} {shown}"
    if not is_terminal:
        raise click.UsageError(f"Missing option '{_AGREE}'. {text}. Read them, and pass the option to agree.")
    click.echo(f"{text}.")
    return click.confirm("Have you read them, and do you agree?", default=False)


async def _read_terms(ca: CaSettings, bundle: Path | None) -> str | None:
    """Return the URL of the CA's terms of service, None when it has none. Raises OrderError."""
    from wellkeeper_issuer.outside.ca.abilities import read_abilities

    async with open_authorities(Settings(cas=(ca,)).model_copy(update={"ca_bundle": bundle})) as authorities:
        return read_abilities(await authorities.connect(ca.directory).directory()).terms_of_service


def prompt(text: str, default: str, check: Callable[[str], T]) -> T:
    """Ask until the check accepts the answer; show why it does not."""
    answer: T = click.prompt(
        text, default=default, value_proc=lambda answer: checked(answer, check), show_default=bool(default)
    )
    return answer


def checked(answer: str, check: Callable[[str], T], option: str | None = None) -> T:
    """Return what the check makes of the answer, which `option` gave if a person did not; raise BadParameter."""
    try:
        return check(answer.strip())
    except ValidationError as error:
        # The first kind of mistake alone: a bad name leaves a list without names, which is not another mistake.
        kind = error.errors()[0]["type"]
        reasons = dict.fromkeys(
            one["msg"].removeprefix("Value error, ") for one in error.errors() if one["type"] == kind
        )
        raise click.BadParameter("; ".join(reasons), param_hint=named(option) if option else None) from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=named(option) if option else None) from error


def check_ca(text: str) -> str:
    """Return the CA; raise ValueError for one that is not known."""
    Settings().find_ca(text)
    return text


def check_contact(text: str) -> tuple[str, ...]:
    """Return the addresses; raise ValueError for what is not one."""
    for one in text.split():
        parse_contact(one)
    return tuple(text.split())


def check_names(text: str) -> tuple[str, ...]:
    """Return the names of a certificate; raise ValueError for one that it cannot have."""
    names = split(text)
    if names:
        CertificateSettings.model_validate({"identifiers": names})
    return names


def split(text: str) -> tuple[str, ...]:
    """Return the parts between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
