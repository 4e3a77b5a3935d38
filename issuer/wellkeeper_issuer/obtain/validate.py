"""validate: answer the challenges, and wait until the CA has accepted every authorization.

RFC 8555 section 7.5.1: a client that sees the CA's fetches should not poll before it saw one. Responders report them;
the CA decides after the *last* one, since it fetches from several places.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Authorization, Challenge, Ordered, Status
from wellkeeper_issuer.obtain.refused_names import with_accepted
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_node.model import Identifier
from wellkeeper_node.ports import Clock, Responders

# A CA fetches from several continents within about this time, and decides after the last fetch. If polled sooner, it
# says "pending" and names a Retry-After of seconds.
_QUIET_SECONDS: Final = 0.2
# Without any fetch reported: the first wait, doubled up to the longest one. A Retry-After comes before both.
_FIRST_WAIT_SECONDS: Final = 2.0
# After the first reported fetch the decision is near, and doubling restarts from here, but only once: any client can
# fetch a token, and must not make us poll the CA all the time.
_FETCHED_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 16.0
# Boulder's validation gives up after about 20 s, but may be queued before that.
_LIMIT_SECONDS: Final = 120.0


async def validate(ordered: Ordered, ca: CertificateAuthority, responders: Responders, clock: Clock) -> None:
    """Return when every authorization is valid; raise one ChallengeError for all that are not."""
    open_ones = [a for a in ordered.authorizations if a.status is not Status.VALID]
    valid_ones = [a for a in ordered.authorizations if a.status is Status.VALID]
    results = await asyncio.gather(
        *(_validate_one(authorization, ca, responders, clock) for authorization in open_ones), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    unexpected = [error for error in errors if not isinstance(error, ChallengeError)]
    if unexpected:
        raise unexpected[0]
    valid_ones += [a for a, result in zip(open_ones, results, strict=True) if result is None]
    accepted = [a.identifier for a in ordered.authorizations if a in valid_ones]
    _raise_together([error for error in errors if isinstance(error, ChallengeError)], accepted)


def _raise_together(errors: Sequence[ChallengeError], accepted: Sequence[Identifier]) -> None:
    if len(errors) == 1:
        raise with_accepted(errors[0], accepted)
    if errors:
        problem = next((error.problem for error in errors if error.problem), None)
        together = ChallengeError(
            f"the CA did not accept {len(errors)} names",
            "; ".join(f"{error.identifiers[0]}: {error.why}" if error.identifiers else str(error) for error in errors),
            " ".join(dict.fromkeys(error.remedy for error in errors if error.remedy)),
            problem=problem,
        )
        together.identifiers = tuple(identifier for error in errors for identifier in error.identifiers)
        raise with_accepted(together, accepted)


async def _validate_one(
    authorization: Authorization, ca: CertificateAuthority, responders: Responders, clock: Clock
) -> None:
    challenge = authorization.challenge
    if authorization.status is not Status.PENDING or challenge is None:
        raise _refused(authorization)
    deadline = clock.monotonic() + _LIMIT_SECONDS
    wait_seconds = _FIRST_WAIT_SECONDS
    was_fetched = False
    async with responders.watch(challenge.token) as watch:
        if challenge.status is Status.PENDING:
            await _answer(authorization, challenge, ca)
        while (left_seconds := deadline - clock.monotonic()) > 0:
            is_fetched = await watch.settle(_QUIET_SECONDS, min(wait_seconds, left_seconds))
            found = await ca.read_authorization(authorization.url)
            if found.status is Status.VALID:
                return
            if found.status is not Status.PENDING:
                raise _refused(found)
            if is_fetched and not was_fetched:
                was_fetched, own_wait_seconds = True, _FETCHED_WAIT_SECONDS
            else:
                own_wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
            wait_seconds = found.retry_after_seconds or own_wait_seconds
    raise ChallengeError(
        f"the CA did not validate {authorization.identifier} within {_LIMIT_SECONDS:.0f} s",
        "the order stays open",
        "Run 'wellkeeper renew' again to continue it.",
    )


async def _answer(authorization: Authorization, challenge: Challenge, ca: CertificateAuthority) -> None:
    try:
        await ca.answer_challenge(challenge)
    except ChallengeError:
        # A resumed order may have been answered meanwhile: then its state counts, not this error.
        found = await ca.read_authorization(authorization.url)
        if found.status is Status.PENDING and found.challenge and found.challenge.status is Status.PENDING:
            raise


def _refused(authorization: Authorization) -> ChallengeError:
    problem = authorization.challenge.problem if authorization.challenge else None
    name = authorization.identifier
    if problem:
        error = ChallengeError(
            f"the CA did not accept {name}", str(problem), problems.of_validation(problem), problem=problem
        )
    else:
        error = ChallengeError(
            f"the CA did not accept {name}",
            f"its authorization is {authorization.status}, and the CA gave no reason",
            "Run 'wellkeeper renew' again to place a new order.",
        )
    error.identifiers = (name,)
    return error
