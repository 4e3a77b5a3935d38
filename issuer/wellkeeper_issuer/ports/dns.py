"""The Protocol of DNS, which `outside.host.dns_client` implements."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RecordType(StrEnum):
    A = "A"
    AAAA = "AAAA"
    CAA = "CAA"


class Outcome(StrEnum):
    """The kinds of replies; FAILED: no usable one."""

    FOUND = "found"
    NO_DATA = "no data"
    NO_NAME = "no such name"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CaaRecord:
    """A CAA record (RFC 8659 section 4.1)."""

    flags: int
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class DnsReply:
    """The reply about one name and type: `addresses` for A and AAAA, `caa` for CAA, in the order of the reply.

    `target` is the name at the end of its CNAMEs, "" without any. `why` says in one line what failed.
    """

    outcome: Outcome
    addresses: tuple[str, ...] = ()
    caa: tuple[CaaRecord, ...] = ()
    target: str = ""
    why: str = ""


class Dns(Protocol):
    """Name servers, as this host asks them; /etc/hosts does not count."""

    async def ask(self, name: str, kind: RecordType) -> DnsReply:
        """Return the reply, within a bounded time; follow CNAMEs. Raises nothing. Cancellable at any time."""
        ...
