"""A relay in a thread of its own, beside commands that have the main thread, as SIGTERM needs it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.relay.conftest import settings
from wellkeeper_client.signing import encode_public_key
from wellkeeper_relay.app import Relay
from wellkeeper_responder.clock import SystemClock


@contextmanager
def running_relay(folder: Path, *fleet_keys: Ed25519PublicKey) -> Iterator[None]:
    """Run one with these keys at `folder/issuer.sock`."""
    made, is_ready = replace(settings(folder), fleet_keys=tuple(map(encode_public_key, fleet_keys))), Event()
    loop, is_over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with Relay(made, SystemClock()):
            is_ready.set()
            await is_over.wait()

    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert is_ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()
