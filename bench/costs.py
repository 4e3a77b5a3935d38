"""Measurement: the costs of an idle responder: memory, start and stop, the check of a publication."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.responder import BenchResponder, Signer, new_tokens, publish, resident_mib
from wellkeeper_responder.publishing_keys import PublishingKeys

NAME: Final = "responder"
_CHECKS: Final = 500


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure an empty responder in every round, and a full one once."""
    signer = Signer.new()
    tell("responder: start, memory, stop")
    starts, stops, empty = [], [], []
    for number in range(plan.rounds):
        responder = BenchResponder(folder / f"empty{number}", signer, plan.token_count)
        began = time.monotonic()
        async with responder:
            starts.append(time.monotonic() - began)
            empty.append(resident_mib(responder.process.pid))
            began = time.monotonic()
        stops.append(time.monotonic() - began)
    tokens = f"{plan.token_count} tokens"
    series = [
        Series("start until it answers", "responder", "s", tuple(starts)),
        Series("stop", "0 tokens", "s", tuple(stops)),
        Series("memory (RSS)", "0 tokens", "MiB", tuple(empty)),
        *await _full(folder / "full", signer, plan.token_count, tell),
        *_checks(signer, plan.rounds),
    ]
    note = f"The responder with {tokens} is filled once, over its control socket, by one process that signs as well."
    return Result(NAME, "The responder at rest", tuple(series), (), (note,))


async def _full(folder: Path, signer: Signer, count: int, tell: Tell) -> list[Series]:
    responder = BenchResponder(folder, signer, count)
    async with responder:
        seconds = await publish(responder, signer, new_tokens(count), tell)
        mib = resident_mib(responder.process.pid)
        began = time.monotonic()
    stop_seconds = time.monotonic() - began
    return [
        Series("stop", f"{count} tokens", "s", (stop_seconds,)),
        Series("memory (RSS)", f"{count} tokens", "MiB", (mib,)),
        Series("publications signed, sent, checked", "responder", "/s", (count / seconds,)),
    ]


def _checks(signer: Signer, rounds: int) -> list[Series]:
    """Return the times of a complete check, and of the signature alone."""
    keys, now = PublishingKeys([signer.key.public_key()]), time.time()
    messages = [signer.sign(token).encode() for token in new_tokens(_CHECKS)]
    public_key, signature = signer.key.public_key(), signer.key.sign(messages[0])

    def whole() -> None:
        for message in messages:
            keys.check_publication(message, now)

    def alone() -> None:
        for _ in messages:
            public_key.verify(signature, messages[0])

    group = "check of a publication"
    pairs = [(_microseconds(whole), _microseconds(alone)) for _ in range(rounds)]
    return [
        Series(group, "responder", "µs", tuple(pair[0] for pair in pairs)),
        Series(group, "Ed25519 alone", "µs", tuple(pair[1] for pair in pairs)),
    ]


def _microseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / _CHECKS * 1e6
