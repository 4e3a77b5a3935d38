"""The shape of a played fleet: names and keys follow from numbers, so that issuer and nodes need not exchange them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.fleet.lineages import names

_BLOCK: Final = 250


@dataclass(frozen=True, slots=True)
class Shape:
    """So many nodes and lineages; each node gets `each` lineages, one after the other."""

    nodes: int
    lineages: int
    each: int

    @property
    def leaf(self) -> str:
        """The SHA-256 of every leaf in the manifest and in reports."""
        return "ab" * 32

    def node(self, number: int) -> str:
        return f"node{number:04}"

    def lineages_of(self, number: int) -> Sequence[str]:
        every = _names(self.lineages)
        return [every[(number * self.each + one) % self.lineages] for one in range(self.each)]


@cache
def signing_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_seed("signing", number))


@cache
def sealing_key(number: int) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_seed("sealing", number))


def connection_address(number: int) -> str:
    """Return the node's own address of loopback: a relay limits strangers by address."""
    return f"127.1.{number // _BLOCK}.{number % _BLOCK + 1}"


def _seed(purpose: str, number: int) -> bytes:
    return hashlib.sha256(f"{purpose} {number}".encode()).digest()


@cache
def _names(count: int) -> Sequence[str]:
    return names(count)
