"""Say what a handshake showed where it was not the newest version: after a failure, and without one. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.deliver.verify import is_one_of
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Verified


@dataclass(frozen=True, slots=True)
class Known:
    """The facts that tell leaves apart: the fingerprint in the manifest, and the names in the archive.

    `at` is the time of the check, `numbers` are those of versions that the manifest has listed, by fingerprint.
    """

    newest: str
    versions: Collection[str]
    numbers: Mapping[str, int]
    at: float

    def after_error(self, error: VerifyError) -> Instead | None:
        """Return None when no handshake could be tried."""
        if error.leaf is not None:
            return self.of_leaf(error.leaf)
        if error.unrelated is not None:
            return self._dated(Got.UNRELATED, error.unrelated)
        return Instead(Got.NOTHING, self.at) if error.is_refused or error.is_unanswered else None

    def after_check(self, verified: Verified) -> Instead | None:
        """Return None when it does not show, as when no server block uses the certificate."""
        served = verified.served
        if served.is_served:
            return self.of_leaf(verified.certificate)
        return self.of_leaf(served.leaf) if served.leaf is not None else None

    def of_leaf(self, leaf: Certificate) -> Instead:
        if leaf.fingerprint_sha256 == self.newest:
            return self._dated(Got.NEWEST, leaf)
        if leaf.is_self_signed:
            return self._dated(Got.PLACEHOLDER, leaf)
        return self._dated(Got.OLDER if is_one_of([leaf.fingerprint_sha256], self.versions) else Got.OTHER, leaf)

    def _dated(self, what: Got, leaf: Certificate) -> Instead:
        number = self.numbers.get(leaf.fingerprint_sha256)
        # Anyone's certificate may begin before 1970, but a report has no such times.
        dates = (max(one.timestamp(), 0.0) for one in (leaf.not_before, leaf.not_after))
        return Instead(what, self.at, number, leaf.serial, *dates)
