"""Read a CA's problem documents, decide when to retry, and translate all errors of a request."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.outside.ca.json_replies import ReplyError, UrlError
from wellkeeper_issuer.outside.ca.retry_after import retry_after_seconds
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Problem
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time, with_reload

_COUNTED_IN_SECONDS: Final = 3600.0
# An order has a hundred identifiers at most.
_MOST_SUBPROBLEMS: Final = 100
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL (x509_vfy.h).
_DATES: Final = frozenset({9, 10})

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


def read_problem(reply: Reply, now: datetime) -> Problem:
    """Return the problem document of an error reply; one that quotes the body when it is not a problem document."""
    retry_after = retry_after_seconds(reply.headers, now)
    try:
        return parse_problem(reply.json(), reply.status, retry_after)
    except ReplyError:
        text = one_line(reply.body[:2_000].decode(errors="replace"), 200) or "no body"
        return Problem("about:blank", f"the reply is not a problem document: {text}", reply.status, retry_after)


def parse_problem(body: Mapping[str, Any], status: int | None = None, retry_after: float | None = None) -> Problem:
    """Return the problem; members that are missing or have a wrong type are left out, and so are most of too many."""
    subproblems = body.get("subproblems")
    inner = subproblems[:_MOST_SUBPROBLEMS] if isinstance(subproblems, list) else []
    return replace(
        _parse_one(body, status, retry_after),
        # RFC 8555 section 6.7.1: those have none of their own.
        subproblems=tuple(_parse_one(sub) for sub in inner if isinstance(sub, Mapping)),
    )


def _parse_one(body: Mapping[str, Any], status: int | None = None, retry_after: float | None = None) -> Problem:
    identifier, instance, own_status = body.get("identifier"), body.get("instance"), body.get("status")
    detail = one_line(body.get("detail", "no detail given"))
    if isinstance(instance, str) and instance not in detail:
        detail += f" (see {one_line(instance)})"  # RFC 8555 section 7.3.3: the page to visit after userActionRequired
    return Problem(
        type=one_line(body.get("type", "about:blank")),
        detail=detail,
        status=status or (own_status if isinstance(own_status, int) and 100 <= own_status < 600 else None),
        retry_after_seconds=retry_after,
        identifier=one_line(identifier.get("value")) if isinstance(identifier, Mapping) else None,
    )


@contextmanager
def translated(kind: type[WellkeeperError], ca: str, request: str, clock: Clock) -> Iterator[None]:
    """Translate what a request raises into `kind`. `request` names what we sent: `the order for a.example`."""
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
    except UrlError as error:
        raise kind(f"refused to send {request} to the CA {ca}", str(error), error.remedy) from error
    except ReplyError as error:
        raise kind(f"cannot read the CA {ca}'s reply to {request}", str(error)) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise kind(f"the TLS certificate of the CA {ca} is not trusted", *_distrust(error, clock)) from error
    except TimeoutError as error:
        what = f"no answer from the CA {ca} to {request}"
        raise kind(what, "it did not answer in time", "Check network, proxy and DNS of this host.") from error
    except aiohttp.ClientError as error:
        what = f"no answer from the CA {ca} to {request}"
        raise kind(what, words(error), "Check network, proxy and DNS of this host.") from error
    except OSError as error:
        what = f"cannot send {request} to the CA {ca}"
        raise kind(what, one_line(error, 200), "Check that ca_bundle is a PEM file that this user can read.") from error


def _distrust(error: aiohttp.ClientConnectorCertificateError, clock: Clock) -> tuple[str, str]:
    """Return why the certificate of the CA's server is not trusted, and the remedy: dates are judged by our clock."""
    if getattr(error.certificate_error, "verify_code", None) in _DATES:
        says = f"this host's clock says {clock.now():%Y-%m-%d}; is it right?"
        return f"{words(error)}, and {says}", "Synchronize the clock by NTP: 'timedatectl set-ntp true'."
    return words(error), with_reload("For a test CA, set ca_bundle to the file with its root certificate.")


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
