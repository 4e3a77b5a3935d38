"""Errors for what an engine refused, and for one that does not answer."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.errors import RecordRefusedError, RecordsError, UnavailableError
from wellkeeper_node.network_errors import words

LONGEST_WORDS: Final = 300
_CHECK_ADDRESS: Final = (
    "Check that a Valkey or Redis server runs at this address, with TLS if the address begins with rediss://."
)
_CHECK_SENTINELS: Final = "Check that these are the addresses of Sentinels that run."
_CERTIFICATE: Final = (
    "Add its CA to the address ('?ca=FILE'), and use a host name that its certificate has; Sentinels must use such a"
    " name for the primary, too."
)
_RIGHTS: Final = (
    "Copy the lines that 'wellkeeper engine acl' prints into the engine's ACL file: this user lacks rights."
)
_PRIMARY: Final = "Set the address of the engine's primary in the settings, or those of its Sentinels."
# How Valkey and Redis say that a script may not do something.
_IN_SCRIPTS: Final = ("ACL failure", "The user executing the script can't")
_REMEDIES: Final[Sequence[tuple[type[Exception], str]]] = (
    (AuthenticationError, "Check the user and the password of the engine: 'wellkeeper engine acl' prints both users."),
    (NoPermissionError, _RIGHTS),
    (BusyLoadingError, "Wait until it has loaded its data."),
    (ReadOnlyError, _PRIMARY),
    (MasterDownError, _PRIMARY),
    (AskError, "Use a server that is not part of a cluster."),
)
# Words of Redis and Valkey in other refusals, and of OpenSSL.
_REMEDIES_BY_WORDS: Final = {
    "DENIED": "Write 'user default off' into the engine's ACL file, or give that user a password: it has none, so the"
    " engine is in protected mode.",
    "DB index is out of range": "End the address with a database that the engine has, or without one.",
    "certificate has expired": "Renew the engine's certificate, and let the engine load it.",
    "CERTIFICATE_REQUIRED": "Set 'tls-auth-clients no' in the engine's configuration: issuer and nodes have passwords.",
    "NOREPLICAS": "Start the engine's replicas.",
    "MISCONF": "Check the engine's log: it cannot save its data.",
    "WRONGTYPE": "Another program uses these keys; choose another prefix in the engine's address.",
}


class UnknownServiceError(Exception):
    """A Sentinel does not know the service."""


class ReplicaError(OSError):
    """A Sentinel has named a server that is not the primary."""

    def __init__(self, place: str, service: str) -> None:
        super().__init__(0, f"{place}, which a Sentinel names as the primary of {service!r}, is a replica")
        self.remedy = (
            f"Run 'SENTINEL CKQUORUM {service}' in redis-cli at each Sentinel, and let them reach one another and the"
            " engine's servers."
        )


class SentinelsError(OSError):
    """No Sentinel has named the primary. `remedy` is for the one that got furthest."""

    def __init__(self, service: str, failures: Mapping[str, Exception]) -> None:
        said = "; ".join(f"{name}: {_words(error)}" for name, error in failures.items())
        super().__init__(0, f"no Sentinel names the primary of {service!r}: {said}")
        self.remedy = next(filter(None, map(_sentinel_remedy, failures.values())), _CHECK_SENTINELS)


def unavailable(engine: str, error: Exception, seconds: float) -> UnavailableError:
    """Return the error for a call without a usable answer; `seconds` is its limit."""
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return UnavailableError(f"{engine} did not answer within {seconds:g} s")
    return UnavailableError(f"cannot use {engine}", _words(error), _remedy(error) or _CHECK_ADDRESS)


def is_denied(reply: object) -> bool:
    """Return whether the engine does not let this user run a command, or does not have it."""
    return isinstance(reply, NoPermissionError) or "unknown command" in str(reply)


def refusal(engine: str, key: str, error: ResponseError) -> RecordsError:
    """Return why the engine did not store or delete a record."""
    what = f"{engine} refused {key}"
    if isinstance(error, OutOfMemoryError):
        remedy = "Raise the engine's maxmemory, or delete other data from it."
        return RecordRefusedError(what, _words(error), remedy)
    if isinstance(error, NoPermissionError) or any(words in str(error) for words in _IN_SCRIPTS):
        return RecordRefusedError(what, _words(error), _RIGHTS)
    return UnavailableError(what, _words(error), _remedy(error))


def _sentinel_remedy(error: Exception) -> str:
    if isinstance(error, AuthenticationError | NoPermissionError):
        return "Correct --sentinel-user and --sentinel-password-file of 'wellkeeper engine use'."
    if isinstance(error, UnknownServiceError):
        return "End the address with the service's name, NAME in the line 'sentinel monitor NAME …' of the Sentinels."
    return _remedy(error)


def _remedy(error: Exception) -> str:
    if isinstance(error, ReplicaError | SentinelsError):
        return error.remedy
    for said, remedy in _REMEDIES_BY_WORDS.items():
        if said in str(error):
            return remedy
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _causes(error)):
        return _CERTIFICATE
    return next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, and what redis-py has made it of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "it did not answer in time"
    return one_line(words(error) if isinstance(error, OSError) else error, LONGEST_WORDS)
