"""Prove by handshakes that nginx serves a certificate: the same for renewals, rehearsals and `status --check`."""

from collections.abc import Sequence
from typing import Final, Protocol

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Check
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Served, Verified
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import with_reload

_TRIES: Final = 3
_PAUSE_SECONDS: Final = 5.0
_LOST: Final = "no server block uses it"
_NAME_AGAIN: Final = with_reload(
    "Name it in a server block again, or set https_addresses = [] in its [[certificates]]."
)


class Verifier(Protocol):
    async def verify(self, lineage: str, https_addresses: Sequence[tuple[str, int]] | None = None) -> Verified:
        """Make the handshakes; see `ports.node.Delivery.verify`."""
        ...


async def prove(
    lineage: Lineage, check: Check | None, verifier: Verifier, clock: Clock, *, is_patient: bool
) -> Verified:
    """Return what nginx serves; `check` is the last look. A patient proof takes three refusals within ten seconds.

    Raises VerifyError when nginx serves something else, or served the certificate before and does not now;
    InstallError and ReloadError as `verify` does.
    """
    for _ in range(_TRIES - 1 if is_patient else 0):
        try:
            return await _look(lineage, check, verifier)
        except VerifyError as error:
            if not error.is_refused:
                raise
        await clock.sleep(_PAUSE_SECONDS)
    return await _look(lineage, check, verifier)


async def _look(lineage: Lineage, check: Check | None, verifier: Verifier) -> Verified:
    verified = await verifier.verify(lineage.name, lineage.https_addresses)
    served = verified.served
    if not served.is_served and not served.is_hidden and check is not None and check.served_version is not None:
        raise _lost(lineage.name, served, check.served_version)
    return verified


def _lost(name: str, served: Served, version: str) -> VerifyError:
    """Return the error for a certificate that nginx served before, and that no server block uses now."""
    remedy = f"See nginx's error log. If nginx's workers read the key of {name} themselves, let them read it."
    error = VerifyError(
        f"nginx no longer serves the certificate of {name}",
        f"it served version {version}, and {'refuses handshakes' if served.is_refused else _LOST} now",
        remedy if served.is_refused else _NAME_AGAIN,
    )
    error.leaf, error.is_refused = served.leaf, served.is_refused
    return error
