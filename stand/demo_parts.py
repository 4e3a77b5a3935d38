"""Results and handshakes of both demos."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from stand.nginx import Address
from stand.pebble import Pebble

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Shown:
    """The object for `--json`, what is printed without it, and why requests failed."""

    result: dict[str, Any]
    printed: Sequence[Table | str]
    failures: Sequence[str]


async def trusting(ca: Pebble) -> ssl.SSLContext:
    """Return a context that accepts only what the CA has issued."""
    return ssl.create_default_context(cadata=(await ca.issuing_root()).decode())


async def served_leaf(address: Address, name: str, context: ssl.SSLContext) -> str:
    """Return the fingerprint of the leaf served for the name. Raises SSLError for one that the context refuses."""
    _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return hashlib.sha256(leaf).hexdigest()


def address_text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
