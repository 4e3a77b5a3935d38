"""validate: answer the challenges, and wait until the CA has accepted every authorization.

RFC 8555 section 7.5.1: a client that sees the CA's fetches should not poll before it saw one. Responders report them;
the CA decides after the *last* one, since it fetches from several places (`obtain.learned_fetches`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.advice import problems
from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Authorization, Challenge, Ordered, Status
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.refused_names import with_accepted
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_node.model import ExpectedFetches, Identifier, Problem
from wellkeeper_node.ports import Clock, Responders, Watch

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
# The error of an earlier try may stay in the challenge until the CA has looked again.
_SAME_PROBLEM_SECONDS: Final = 5.0


async def validate(
    ordered: Ordered,
    ca: CertificateAuthority,
    responders: Responders,
    clock: Clock,
    learned: LearnedFetches | None = None,
) -> Sequence[str]:
    """Return the clients that fetched the tokens, the first few of each, when every authorization is valid.

    Raises one ChallengeError for all that are not.
    """
    learned = learned or LearnedFetches()
    open_ones = [a for a in ordered.authorizations if a.status is not Status.VALID]
    valid_ones = [a for a in ordered.authorizations if a.status is Status.VALID]
    results = await asyncio.gather(
        *(_Validation(authorization, ca, clock, learned).run(responders) for authorization in open_ones),
        return_exceptions=True,
    )
    errors = [result for result in results if isinstance(result, BaseException)]
    unexpected = [error for error in errors if not isinstance(error, ChallengeError)]
    if unexpected:
        raise unexpected[0]
    valid_ones += [a for a, result in zip(open_ones, results, strict=True) if not isinstance(result, BaseException)]
    accepted = [a.identifier for a in ordered.authorizations if a in valid_ones]
    _raise_together([error for error in errors if isinstance(error, ChallengeError)], accepted)
    fetched = [one for one in results if not isinstance(one, BaseException)]
    return list(dict.fromkeys(client for clients in fetched for client in clients))


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


@dataclass(frozen=True, slots=True)
class _Validation:
    """The validation of one authorization."""

    authorization: Authorization
    ca: CertificateAuthority
    clock: Clock
    learned: LearnedFetches

    async def run(self, responders: Responders) -> Sequence[str]:
        """Return the clients that fetched the token."""
        challenge = self.authorization.challenge
        if self.authorization.status is not Status.PENDING or challenge is None:
            raise _refused(self.authorization)
        async with responders.watch(challenge.token) as watch:
            if challenge.status is not Status.PENDING:
                # It was answered before the watch began, so some fetches were not seen.
                await self._await_verdict(challenge, watch, None)
                return watch.clients
            expected = await self.learned.expected(self.ca.directory_url)
            await _answer(self.authorization, challenge, self.ca)
            await self._await_verdict(challenge, watch, expected)
            await self.learned.record_valid(self.ca.directory_url, watch.count)
            return watch.clients

    async def _await_verdict(self, challenge: Challenge, watch: Watch, expected: ExpectedFetches | None) -> None:
        began_at, wait_seconds, was_fetched = self.clock.monotonic(), _FIRST_WAIT_SECONDS, False
        found = self.authorization
        while (seconds := self.clock.monotonic() - began_at) < _LIMIT_SECONDS:
            is_fetched = await watch.settle(_QUIET_SECONDS, min(wait_seconds, _LIMIT_SECONDS - seconds), expected)
            is_by_count = expected is not None and watch.count >= expected.count
            found = await self.ca.read_authorization(self.authorization.url)
            if found.status is Status.VALID:
                return
            if found.status is not Status.PENDING or _has_failed(found, challenge, self.clock.monotonic() - began_at):
                raise _refused(found, watch.clients)
            if is_by_count:
                # Too early: wait for quiet as if the CA had not been asked, whatever its Retry-After.
                await self.learned.record_early(self.ca.directory_url)
                expected, wait_seconds = None, _QUIET_SECONDS
            elif is_fetched and not was_fetched:
                was_fetched, wait_seconds = True, found.retry_after_seconds or _FETCHED_WAIT_SECONDS
            else:
                wait_seconds = found.retry_after_seconds or min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
        raise _undecided(found, watch.clients)


def _has_failed(authorization: Authorization, answered: Challenge, seconds: float) -> bool:
    """Return whether the CA reports an error, and waits for us to answer again (RFC 8555 section 8.2).

    step-ca, Caddy and serles leave the challenge pending then; one in `processing` is retried by the CA itself.
    """
    present = authorization.challenge
    if present is None or present.status is not Status.PENDING or present.problem is None:
        return False
    return present.problem != answered.problem or seconds >= _SAME_PROBLEM_SECONDS


async def _answer(authorization: Authorization, challenge: Challenge, ca: CertificateAuthority) -> None:
    try:
        await ca.answer_challenge(challenge)
    except ChallengeError:
        # A resumed order may have been answered meanwhile: then its state counts, not this error.
        found = await ca.read_authorization(authorization.url)
        if found.status is Status.PENDING and found.challenge and found.challenge.status is Status.PENDING:
            # serles reports the error of the validation with both.
            if found.challenge.problem:
                raise _refused(found) from None
            raise


def _refused(authorization: Authorization, clients: Sequence[str] | None = None) -> ChallengeError:
    """Return the error; `clients` are those that fetched the token, None when it was not published."""
    problem, name = _problem(authorization), authorization.identifier
    if problem:
        why, remedy = str(problem), problems.of_validation(problem)
    else:
        why = f"its authorization is {authorization.status}, and the CA gave no reason"
        why += "" if clients is None else f"; {_fetches(clients)}"
        remedy = "Run 'wellkeeper renew' again to place a new order."
        remedy = remedy if clients is None or clients else problems.WAY_TO_THE_NODES
    error = ChallengeError(f"the CA did not accept {name}", why, remedy, problem=problem)
    error.identifiers = (name,)
    return error


def _undecided(authorization: Authorization, clients: Sequence[str]) -> ChallengeError:
    problem = _problem(authorization)
    return ChallengeError(
        f"the CA did not validate {authorization.identifier} within {_LIMIT_SECONDS:.0f} s",
        f"{str(problem) if problem else _fetches(clients)}; the order stays open",
        "Run 'wellkeeper renew' again to continue it.",
    )


def _problem(authorization: Authorization) -> Problem | None:
    return authorization.challenge.problem if authorization.challenge else None


def _fetches(clients: Sequence[str]) -> str:
    return f"its token was fetched by {', '.join(clients)}" if clients else "no responder reported a fetch of its token"
