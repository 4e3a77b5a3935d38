"""Revoke a certificate (RFC 8555 section 7.6) with our account or with the certificate's own key."""

from enum import IntEnum

from acme import messages
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.abilities import url_of
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.messages import certificate_jwk
from wellkeeper_issuer.outside.ca.problems import ProblemError, translated
from wellkeeper_issuer.outside.ca.signing import Sender, Signer


class Reason(IntEnum):
    """Reasons open to subscribers (RFC 5280 section 5.3.1; CA/Browser Forum baseline requirements, section 7.2.2)."""

    unspecified = 0
    keyCompromise = 1  # noqa: N815 - as RFC 5280 writes it
    affiliationChanged = 3  # noqa: N815
    superseded = 4
    cessationOfOperation = 5  # noqa: N815


async def revoke(
    connection: Connection, chain_pem: bytes, reason: Reason, certificate_key_pem: bytes | None = None
) -> bool:
    """Return False if it was already revoked. With the certificate's key, no account is needed. Raises OrderError."""
    message = messages.Revocation(certificate=x509.load_pem_x509_certificate(chain_pem), reason=int(reason))
    request = "the revocation"

    async def work(sender: Sender, directory: messages.Directory) -> bool:
        try:
            await sender.send(url_of(directory, "revokeCert"), message)
        except ProblemError as error:
            if error.problem.name == "alreadyRevoked":
                return False
            raise
        return True

    if certificate_key_pem is None:
        return await connection.call(OrderError, request, work)
    jwk, algorithm = certificate_jwk(load_pem_private_key(certificate_key_pem, None))
    directory = await connection.directory()

    with translated(OrderError, connection.options.name, request, connection.clock):
        return await work(connection.sender_for(Signer(jwk, algorithm)), directory)
