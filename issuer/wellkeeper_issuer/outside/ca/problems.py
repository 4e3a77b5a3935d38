"""Read a CA's problem documents, decide when to retry, and translate all errors of the acme library."""

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
from wellkeeper_node.wording import format_time, with_reload

_COUNTED_IN_SECONDS: Final = 3600.0

# When to retry, by problem. NEVER: a person must change something first.
_DECISIONS: Final[Mapping[str, Retry]] = {
    # RFC 8555 section 6.7; all other problems are retried at the next pass.
    "accountDoesNotExist": Retry.LATER,  # registering again was tried
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
    """The CA replied with an error; never leaves this package."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def decide(problem: Problem) -> Retry:
    """Return when to retry; the worst subproblem counts."""
    if problem.name == "rateLimited" and problems.unpause_link(problem):
        return Retry.NEVER
    if problem.name == "unauthorized" and problems.is_about_deactivation(problem):
        return Retry.NEVER
    own = _DECISIONS.get(problem.name, Retry.SOON)
    inner = [decide(subproblem) for subproblem in problem.subproblems]
    return max([own, *inner], key=_SEVERITY.index)


_SEVERITY: Final = (Retry.SOON, Retry.LATER, Retry.NEVER)


def is_passing(problem: Problem) -> bool:
    """Return True if the same read may succeed soon: the CA is busy or limits us."""
    return problem.status in {429, 500, 502, 503, 504}


def read_problem(response: requests.Response, now: datetime) -> Problem:
    """Return the problem document of an error reply; one that quotes the body when it is not a problem document."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, Mapping):
        return parse_problem(body, response.status_code, retry_after_seconds(response.headers, now))
    text = " ".join(cleaned(response.text).split())[:200] or "no body"
    return Problem(
        "about:blank",
        f"the reply is not a problem document: {text}",
        response.status_code,
        retry_after_seconds(response.headers, now),
    )


def parse_problem(body: Mapping[str, Any], status: int | None = None, retry_after: float | None = None) -> Problem:
    """Return the problem; members that are missing or have a wrong type are left out."""
    identifier = body.get("identifier")
    subproblems = body.get("subproblems")
    detail, instance = cleaned(body.get("detail", "no detail given")), body.get("instance")
    if isinstance(instance, str) and instance not in detail:
        detail += f" (see {cleaned(instance)})"  # RFC 8555 section 7.3.3: the page to visit after userActionRequired
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
def translated(kind: type[WellkeeperError], ca: str, request: str, clock: Clock) -> Iterator[None]:
    """Translate what the library raises into `kind`. `request` names what we sent: `the order for a.example`."""
    try:
        yield
    except ProblemError as error:
        problem, now = error.problem, clock.now()
        raise kind(
            f"the CA {ca} refused {request}",
            str(problem),
            problems.of_request(problem) or _when_to_retry(problem, now),
            problem=problem,
            retry=decide(problem),
            retry_at=_retry_at(problem, now),
        ) from error
    except BodyError as error:
        raise kind(f"cannot read the CA {ca}'s reply to {request}", str(error)) from error
    except requests.exceptions.JSONDecodeError as error:
        # A RequestException, although the reply arrived.
        raise kind(*_unreadable(ca, request, error)) from error
    except requests.exceptions.SSLError as error:
        what = f"the TLS certificate of the CA {ca} is not trusted"
        raise kind(
            what, _root(error), with_reload("For a test CA, set ca_bundle to the file with its root certificate.")
        ) from error
    except requests.RequestException as error:
        what = f"no answer from the CA {ca} to {request}"
        raise kind(what, _root(error), "Check network, proxy and DNS of this host.") from error
    except OSError as error:
        what = f"cannot send {request} to the CA {ca}"
        raise kind(what, str(error), "Check that ca_bundle is a PEM file that this user can read.") from error
    except (errors.Error, josepy.errors.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise kind(*_unreadable(ca, request, error)) from error


def _retry_at(problem: Problem, now: datetime) -> datetime | None:
    seconds = problem.retry_after_seconds
    return None if seconds is None else now + timedelta(seconds=seconds)


def _when_to_retry(problem: Problem, now: datetime) -> str:
    seconds = problem.retry_after_seconds
    if seconds is None:
        return ""
    if seconds <= _COUNTED_IN_SECONDS:
        return f"Retry after {math.ceil(seconds)} s, as the CA asks."
    return f"Retry after {format_time(now + timedelta(seconds=seconds))}, as the CA asks."


def _unreadable(ca: str, request: str, error: Exception) -> tuple[str, str]:
    return f"cannot read the CA {ca}'s reply to {request}", f"{type(error).__name__}: {cleaned(error):.300}"


def _root(error: BaseException) -> str:
    """Return the innermost error, which requests and urllib3 wrap in names of objects."""
    while (inner := error.__cause__ or error.__context__ or next(filter(_is_error, error.args), None)) is not None:
        error = inner
    return f"{type(error).__name__}: {cleaned(error):.200}"


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)
