"""request: return the certificate key and the CSR of a new order, where they are not both new.

The settings can keep the live key (reuse_key), or name a CSR of the administrator, whose key is elsewhere. A
compromised key is never used again.
"""

from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.csr import check_csr
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.ports.people import CsrFiles
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import Retry
from wellkeeper_node.ports import Certificates

_NO_KEY: Final = b""


@dataclass(frozen=True, slots=True)
class Requests:
    """Makes the key and the CSR of an order from files."""

    certificates: Certificates
    csr_files: CsrFiles

    async def request(self, lineage: Lineage, account_thumbprint: str) -> tuple[bytes, bytes] | None:
        """Return the certificate key (PEM; empty if it is elsewhere) and the CSR (DER), or None to make both new.

        Raises SettingsError for a CSR that cannot lead to a certificate, InstallError for a key that cannot be read.
        """
        if lineage.csr_path is not None:
            return _NO_KEY, await self._read(lineage, lineage.csr_path, account_thumbprint)
        kept = await self._kept_key(lineage) if lineage.reuses_key else None
        return (kept, pki.make_csr(kept, lineage.identifiers)) if kept else None

    async def _read(self, lineage: Lineage, path: str, account_thumbprint: str) -> bytes:
        data = await self.csr_files.read_csr(path)
        csr_der = check_csr(data, path, lineage.identifiers, {account_thumbprint})
        if public_keys.csr_key_fingerprint(csr_der) in await self.certificates.disowned_keys(lineage.name):
            raise SettingsError(
                f"cannot use the CSR {path}",
                "a certificate with its key was revoked as compromised",
                "Make a new key and a new CSR.",
                retry=Retry.NEVER,
            )
        return csr_der

    async def _kept_key(self, lineage: Lineage) -> bytes | None:
        """Return the live key if it may be used again, else None."""
        pair = await self.certificates.read_pair(lineage.name)
        if pair is None or not pair.certificate_key_pem or _is_placeholder(pair.chain_pem):
            return None
        if public_keys.certificate_key_kind(pair.certificate_key_pem) is not lineage.key_type:
            return None
        disowned = await self.certificates.disowned_keys(lineage.name)
        return None if public_keys.leaf_key_fingerprint(pair.chain_pem) in disowned else pair.certificate_key_pem


def _is_placeholder(chain_pem: bytes) -> bool:
    return reading.is_placeholder(reading.read_certificate(chain_pem))
