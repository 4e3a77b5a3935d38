"""A relay beside commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.issuer.commands.beside import running_beside
from tests.relay.conftest import settings
from wellkeeper_client.signing import encode_public_key
from wellkeeper_relay.app import Relay
from wellkeeper_responder.clock import SystemClock


@contextmanager
def running_relay(folder: Path, *fleet_keys: Ed25519PublicKey) -> Iterator[None]:
    """Run one with these keys at `folder/issuer.sock`."""
    made = replace(settings(folder), fleet_keys=tuple(map(encode_public_key, fleet_keys)))
    with running_beside(lambda: Relay(made, SystemClock())):
        yield
