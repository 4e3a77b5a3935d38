"""What a CA's refusal means: problem documents read, decided on, and told.

The one translation of the families of errors that the acme library lets through.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import josepy.errors
import requests
from acme import errors

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.outside.ca.bodies import BodyError
from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.foreign_text import cleaned
from wellkeeper_node.model import Problem
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time

_COUNTED_IN_SECONDS: Final = 3600.0

# What trying again brings, by problem. NEVER: a person has to change something first.
_DECISIONS: Final[Mapping[str, Retry]] = {
    # RFC 8555 section 6.7; what is not listed here or below is tried at the next pass.
    "accountDoesNotExist": Retry.LATER,  # registering it anew was tried
    "alreadyRevoked": Retry.NEVER,
    "badCSR": Retry.NEVER,  # the settings make it: key type, names, contact (SSL.com wants one)
    "badPublicKey": Retry.NEVER,
    "badRevocationReason": Retry.NEVER,
    "badSignatureAlgorithm": Retry.NEVER,
    "caa": Retry.NEVER,  # the record forbids it; a look-up that failed is `dns`
    "externalAccountRequired": Retry.NEVER,
    "invalidContact": Retry.NEVER,
    "rateLimited": Retry.LATER,  # NEVER when paused: see `decide`
    "rejectedIdentifier": Retry.NEVER,
    "serverInternal": Retry.LATER,
    "unauthorized": Retry.LATER,  # NEVER when the account is deactivated: see `decide`
    "unsupportedContact": Retry.NEVER,
    "unsupportedIdentifier": Retry.NEVER,
    "userActionRequired": Retry.NEVER,
    # draft-aaron-acme-profiles
    "invalidProfile": Retry.NEVER,
}


class ProblemError(Exception):
    """The CA answered with an error; not seen outside this module and its neighbours."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def decide(problem: Problem) -> Retry:
    """When trying the same again makes sense; of several subproblems, the worst counts."""
    if problem.name == "rateLimited" and problems.unpause_link(problem):
        return Retry.NEVER
    if problem.name == "unauthorized" and problems.is_about_deactivation(problem):
        return Retry.NEVER
    own = _DECISIONS.get(problem.name, Retry.SOON)
    inner = [decide(one) for one in problem.subproblems]
    return max([own, *inner], key=_SEVERITY.index)


_SEVERITY: Final = (Retry.SOON, Retry.LATER, Retry.NEVER)


def is_passing(problem: Problem) -> bool:
    """Whether the same read may succeed shortly: the CA is busy or limits us."""
    return problem.status in {429, 500, 502, 503, 504}


def read_problem(response: requests.Response, now: datetime) -> Problem:
    """The problem document of an error reply; one made of the status line when the body is something else."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, Mapping):
        return parse_problem(body, response.status_code, retry_after_seconds(response.headers, now))
    text = " ".join(cleaned(response.text).split())[:200] or "no body"
    return Problem(
        "about:blank",
        f"the reply is no problem document: {text}",
        response.status_code,
        retry_after_seconds(response.headers, now),
    )


def parse_problem(body: Mapping[str, Any], status: int | None = None, retry_after: float | None = None) -> Problem:
    identifier = body.get("identifier")
    subproblems = body.get("subproblems")
    detail, instance = cleaned(body.get("detail", "no detail given")), body.get("instance")
    if isinstance(instance, str) and instance not in detail:
        detail += f" (see {cleaned(instance)})"  # RFC 8555 section 7.3.3: where userActionRequired leads to
    return Problem(
        type=cleaned(body.get("type", "about:blank")),
        detail=detail,
        status=status or (body["status"] if isinstance(body.get("status"), int) else None),
        retry_after_seconds=retry_after,
        identifier=cleaned(identifier.get("value")) if isinstance(identifier, Mapping) else None,
        subproblems=tuple(parse_problem(sub) for sub in subproblems if isinstance(sub, Mapping))
        if isinstance(subproblems, list)
        else (),
    )


@contextmanager
def translated(kind: type[WellkeeperError], doing: str, clock: Clock) -> Iterator[None]:
    """What the library raises becomes one of ours: `kind`, saying what was tried, and until when the CA wants peace."""
    try:
        yield
    except ProblemError as error:
        problem, now = error.problem, clock.now()
        text = f"{doing}: the CA says {problem}{_asked_for(problem, now)}{problems.of_request(problem)}"
        raise kind(text, problem=problem, retry=decide(problem), retry_at=_retry_at(problem, now)) from error
    except BodyError as error:
        raise kind(f"{doing}: {error}; it is asked again with the next try") from error
    except requests.exceptions.JSONDecodeError as error:
        # A RequestException, although the answer came.
        raise kind(_not_understood(doing, error)) from error
    except requests.exceptions.SSLError as error:
        raise kind(
            f"{doing}: the CA's own certificate is not trusted: {_root(error)}; for a test CA set ca_bundle"
        ) from error
    except requests.RequestException as error:
        raise kind(
            f"{doing}: no answer from the CA: {_root(error)}; check network, proxy and DNS of this host"
        ) from error
    except OSError as error:
        raise kind(f"{doing}: {error}; is ca_bundle a PEM file that this user may read?") from error
    except (errors.Error, josepy.errors.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise kind(_not_understood(doing, error)) from error


def _retry_at(problem: Problem, now: datetime) -> datetime | None:
    seconds = problem.retry_after_seconds
    return None if seconds is None else now + timedelta(seconds=seconds)


def _asked_for(problem: Problem, now: datetime) -> str:
    seconds = problem.retry_after_seconds
    if seconds is None:
        return ""
    if seconds <= _COUNTED_IN_SECONDS:
        return f"; it asks to wait {math.ceil(seconds)} s, then run renew again"
    return f"; it asks to wait until {format_time(now + timedelta(seconds=seconds))}, then run renew again"


def _not_understood(doing: str, error: Exception) -> str:
    return f"{doing}: the CA's reply cannot be understood: {type(error).__name__}: {cleaned(error):.300}"


def _root(error: BaseException) -> str:
    """The innermost reason; requests and urllib3 wrap it in names of objects."""
    while (inner := error.__cause__ or error.__context__ or next(filter(_is_error, error.args), None)) is not None:
        error = inner
    return f"{type(error).__name__}: {cleaned(error):.200}"


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)
