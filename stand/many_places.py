"""A CA that validates from several places by Boulder's rules, in front of a Pebble that accepts everything.

Pebble must run with PEBBLE_VA_ALWAYS_VALID; the verdicts on authorizations come from here.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from stand.boulder_fetch import Internet, Place, RefusedError, validate
from stand.fault_proxy import Asked, FaultProxy, Forward, Kind, Reply

ENVIRONMENT: Final = {"PEBBLE_VA_ALWAYS_VALID": "1"}
# More requests than one pass has.
_MANY: Final = 1000


class ManyPlaces:
    """The places with their `verdicts` by token: the reason of a refusal, or None for success."""

    def __init__(self, internet: Internet, places: Sequence[Place], thumbprint: str) -> None:
        self._internet = internet
        self._places = places
        self._thumbprint = thumbprint
        self._asked: dict[str, tuple[str, str]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self.verdicts: dict[str, str | None] = {}

    def stage(self, proxy: FaultProxy) -> None:
        proxy.stage(Kind.CHALLENGE, self._challenge, times=_MANY)
        proxy.stage(Kind.AUTHORIZATION, self._authorization, times=_MANY)

    async def _challenge(self, asked: Asked, forward: Forward) -> Reply:
        reply = await forward()
        if reply.status == 200:
            name, token = self._asked[asked.url]
            self._looking[token] = asyncio.create_task(self._look(name, token))
        return reply

    async def _look(self, name: str, token: str) -> None:
        try:
            await validate(self._internet, self._places, name, token, f"{token}.{self._thumbprint}")
        except RefusedError as error:
            self.verdicts[token] = str(error)
        else:
            self.verdicts[token] = None

    async def _authorization(self, _: Asked, forward: Forward) -> Reply:
        reply = await forward()
        if reply.status != 200:
            return reply
        members = json.loads(reply.body)
        (challenge,) = (one for one in members["challenges"] if one["type"] == "http-01")
        self._asked[challenge["url"]] = (members["identifier"]["value"], challenge["token"])
        self._judge(members, challenge)
        return Reply(reply.status, json.dumps(members).encode(), reply.headers)

    def _judge(self, members: dict[str, Any], challenge: dict[str, Any]) -> None:
        token = challenge["token"]
        if token not in self.verdicts:
            members["status"] = "pending"
            challenge["status"] = "processing" if token in self._looking else "pending"
        elif (detail := self.verdicts[token]) is not None:
            members["status"] = challenge["status"] = "invalid"
            kind = "urn:ietf:params:acme:error:unauthorized"
            challenge["error"] = {"type": kind, "detail": detail, "status": 403}
