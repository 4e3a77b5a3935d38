"""Join a fleet: prove the invite, and verify that the answer is the issuer's. docs/design/0025-joining.md

Nothing on the way is trusted: what is taken was signed by the fleet key in the invite, repeats this request, and has
the pins whose digest is in the invite.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from wellkeeper_client import joining, records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.joining import Invite, JoinAnswer, JoinRefusal, JoinRequest
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_node.agent.keys import NodePublic
from wellkeeper_node.bundles.content import to_base64url
from wellkeeper_node.errors import FleetError, JoinRefusedError, RecordsError, UnavailableError
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time

_DO_NOT_TRUST: Final = "Someone may have changed it in transit. Ask for a new invite, and do not use this one again."
_NEW_INVITE: Final = "Run 'wellkeeper node invite {}' on the issuer's host for a new invite."
_OTHER_INVITE: Final = "Run 'wellkeeper node invites' on the issuer's host: it lists this invite and others."
_PAUSE_SECONDS: Final = 1.0
# A daemon puts an invite into the relay within a second.
_FAILED_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 120.0
# Of the name that a node gives itself: what is left of its host's name, and of the digest of its key (30 bits).
_HOST_CHARACTERS: Final = 50
_KEY_CHARACTERS: Final = 6


class Relay(Protocol):
    """The part of `records.relay.RelayRecords` that a node needs to join."""

    async def join(self, exchange: str, request: bytes) -> Stored | None: ...


def name_of(host: str, signing_key: bytes) -> str:
    """Return the name that a node of this host gives itself: another one whenever it has other keys.

    Groups of hosts that come and go use names again, and no host may take the place of another.
    """
    first = re.sub("[^a-z0-9_-]+", "-", host.partition(".")[0].lower())[:_HOST_CHARACTERS].strip("-")
    digest = base64.b32encode(hashlib.sha256(signing_key).digest()).decode().lower()[:_KEY_CHARACTERS]
    return f"{first or 'node'}-{digest}"


async def join(invite: Invite, public: NodePublic, relays: Sequence[Relay], version: str, clock: Clock) -> JoinAnswer:
    """Return the issuer's verified answer. Raises FleetError and RecordsError.

    Asks one relay after the other, for two minutes at most, or for five seconds if all of them fail.
    """
    if clock.now().timestamp() >= invite.expires_at + joining.LIFETIME_SECONDS:
        raise FleetError(
            f"cannot join as {invite.node}",
            "the invite has expired, by the clock of this machine",
            _remedy(invite),
        )
    keys = (to_base64url(public.signing_key), to_base64url(public.sealing_key))
    request = JoinRequest(invite.node, *keys, joining.new_nonce(), version).sealed(invite.secret)
    return verify_answer(invite, request, await _ask(invite, request, relays, clock))


def verify_answer(invite: Invite, request: JoinRequest, stored: Stored) -> JoinAnswer:
    """Return what the issuer answered to this request. Raises FleetError."""
    what = f"cannot join as {invite.node}: refused the answer"
    key = decode_public_key(invite.fleet_key)
    try:
        # Not by the clock, which may be wrong here: the nonce says that the answer is new.
        record = records.read(stored.value, {key_id(key): key}, Kind.ANSWER)
        answer = joining.parse_refusal(record.body) or joining.parse_answer(record.body)
    except (MessageError, ValueError) as error:
        raise FleetError(what, str(error), _DO_NOT_TRUST) from error
    if record.key != f"{Kind.ANSWER}/{invite.exchange(request.signing_key)}" or not answer.is_for(request):
        raise FleetError(what, "it answers another request", _DO_NOT_TRUST)
    if isinstance(answer, JoinRefusal):
        raise FleetError(f"cannot join as {invite.node}", one_line(answer.why), one_line(answer.remedy))
    if answer.pins.digest != invite.pins:
        raise FleetError(what, "its keys are not those of the invite", _DO_NOT_TRUST)
    return answer


async def _ask(invite: Invite, request: JoinRequest, relays: Sequence[Relay], clock: Clock) -> Stored:
    started_at = heard_at = clock.monotonic()
    while True:
        failures: list[RecordsError] = []
        for relay in relays:
            try:
                stored = await relay.join(invite.exchange(request.signing_key), request.to_bytes())
            except RecordsError as error:
                failures.append(error)
            else:
                heard_at = clock.monotonic()
                if stored is not None:
                    return stored
        if failures and clock.monotonic() - heard_at >= _FAILED_SECONDS:
            raise _explained(failures[0], invite, clock)
        if clock.monotonic() - started_at >= _LONGEST_SECONDS:
            raise UnavailableError(
                f"cannot join as {invite.node}", "the issuer has not answered", "Check that its daemon runs."
            )
        await clock.sleep(_PAUSE_SECONDS)


def _explained(error: RecordsError, invite: Invite, clock: Clock) -> RecordsError:
    what = f"cannot join as {invite.node}: {error.what}"
    if not isinstance(error, JoinRefusedError):
        return type(error)(what, error.why, error.remedy)
    ended_at = datetime.fromtimestamp(invite.expires_at, UTC)
    why = f"the invite expired at {format_time(ended_at)}" if clock.now() >= ended_at else error.why
    return JoinRefusedError(what, why, _remedy(invite))


def _remedy(invite: Invite) -> str:
    return _OTHER_INVITE if invite.is_reusable else _NEW_INVITE.format(invite.node)
