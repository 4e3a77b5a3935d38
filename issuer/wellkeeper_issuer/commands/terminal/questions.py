"""The questions of init: options first; in a terminal, it asks for what they leave open until the answer is valid."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
from pydantic import ValidationError

from wellkeeper_issuer.assembly.authorities import open_authorities
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.values import parse_contact
from wellkeeper_node.errors import WellkeeperError

_DEFAULT_CA: Final = "letsencrypt"
_AGREE: Final = "--agree-to-terms-of-service"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answers:
    """The values for new settings."""

    ca: str
    contact: tuple[str, ...]
    is_agreed: bool
    certificates: tuple[tuple[str, ...], ...]


def ask(given: dict[str, Any], *, may_prompt: bool) -> Answers:
    """Return valid answers in a terminal; else the options, or raise UsageError that names a missing one."""
    ca, contact, certificates = given["ca"], given["contact"], tuple(map(_split, given["certificate"]))
    is_terminal = may_prompt and sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        ca = ca or _prompt("CA (a name or a directory URL)", _DEFAULT_CA, _check_ca)
        contact = contact or _prompt("Email address for the CA (may be empty)", "", _check_contact)
        certificates = certificates or (
            _prompt("Names of the first certificate, separated by commas", "", _check_names),
        )
    ca = ca or _DEFAULT_CA
    is_agreed = given["agree_to_terms_of_service"] or _agree(ca, is_terminal=is_terminal)
    return Answers(ca, contact, is_agreed, tuple(filter(None, certificates)))


def _agree(name: str, *, is_terminal: bool) -> bool:
    """Show the terms of service of the CA, and ask for agreement; raise UsageError without a terminal."""
    try:
        ca = Settings().find_ca(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ca") from error
    try:
        terms = asyncio.run(_read_terms(ca))
    except WellkeeperError as error:
        shown = f"cannot be read ({error.what}: {error.why})"
    else:
        if terms is None:
            return False
        shown = f"are at {terms}"
    text = f"The terms of service of the CA {ca.name} {shown}"
    if not is_terminal:
        raise click.UsageError(f"Missing option '{_AGREE}'. {text}. Read them, and pass the option to agree.")
    click.echo(f"{text}.")
    return click.confirm("Have you read them, and do you agree?", default=False)


async def _read_terms(ca: CaSettings) -> str | None:
    """Return the URL of the CA's terms of service, None when it has none. Raises OrderError."""
    from wellkeeper_issuer.outside.ca.abilities import read_abilities

    async with open_authorities(Settings(cas=(ca,))) as authorities:
        return read_abilities(await authorities.connect(ca.directory).directory()).terms_of_service


def _prompt(text: str, default: str, check: Callable[[str], T]) -> T:
    """Ask until the check accepts the answer; show why it does not."""

    def convert(answer: str) -> T:
        try:
            return check(answer.strip())
        except ValidationError as error:
            reasons = dict.fromkeys(one["msg"].removeprefix("Value error, ") for one in error.errors())
            raise click.BadParameter("; ".join(reasons)) from error
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    answer: T = click.prompt(text, default=default, value_proc=convert, show_default=bool(default))
    return answer


def _check_ca(text: str) -> str:
    Settings().find_ca(text)
    return text


def _check_contact(text: str) -> tuple[str, ...]:
    for one in text.split():
        parse_contact(one)
    return tuple(text.split())


def _check_names(text: str) -> tuple[str, ...]:
    names = _split(text)
    if names:
        CertificateSettings.model_validate({"identifiers": names})
    return names


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
