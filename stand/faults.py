"""Faults in an answer of a CA, to stage in a `FaultProxy`."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from stand.fault_proxy import Asked, Fault, Forward, Reply

_PREFIX: Final = "urn:ietf:params:acme:error:"


def answer(status: int, body: str = "", media_type: str = "text/html", **headers: str) -> Fault:
    """The real CA hears nothing of it; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def fault(_: Asked, __: Forward) -> Reply:
        return Reply(status, body.encode(), {"Content-Type": media_type, **named})

    return fault


def problem(status: int, name: str, detail: str, **headers: str) -> Fault:
    """A problem document (RFC 8555 section 6.7)."""
    body = json.dumps({"type": _PREFIX + name, "detail": detail, "status": status})
    return answer(status, body, "application/problem+json", **headers)


async def cut(_: Asked, __: Forward) -> None:
    """The connection ends before the request was looked at."""


async def cut_after(_: Asked, forward: Forward) -> None:
    """The CA did what it was asked to, and its reply is lost."""
    await forward()


def slow(seconds: float) -> Fault:
    """The CA did it at once and says so late."""

    async def fault(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        await asyncio.sleep(seconds)
        return reply

    return fault


def changed(edit: Callable[[dict[str, Any]], None], **headers: str) -> Fault:
    """The real CA's JSON, edited in place, with these headers besides."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def fault(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        if reply.status >= 400:
            return reply
        members = json.loads(reply.body)
        edit(members)
        return Reply(reply.status, json.dumps(members).encode(), reply.headers | named)

    return fault


def changed_body(edit: Callable[[bytes], bytes]) -> Fault:
    """The real CA's answer with another body."""

    async def fault(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        return Reply(reply.status, edit(reply.body), reply.headers)

    return fault


def with_nonce(nonce: str | None) -> Fault:
    """The real CA's answer with a nonce that is none, or without one."""

    async def fault(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        headers = {name: value for name, value in reply.headers.items() if name.lower() != "replay-nonce"}
        return Reply(reply.status, reply.body, headers if nonce is None else headers | {"Replay-Nonce": nonce})

    return fault
