"""Check what another ACME client obtained, and make an attempt of it that only has to be installed."""

from datetime import datetime
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Attempt
from wellkeeper_node.certificates import chains, reading
from wellkeeper_node.model import Certificate, Pair

_WHAT: Final = "cannot deliver the certificate"
_USABLE_KEY: Final = "Give its ECDSA or RSA key in PEM, without a passphrase."
_OTHER_KEY: Final = "Give the key that the client made for this certificate."
_FULL_CHAIN: Final = "Give the PEM file with the certificate first, then the intermediate ones (fullchain)."


def check_pair(pair: Pair, now: datetime) -> Certificate:
    """Return the leaf of a chain that nginx can serve with its key. Raises SettingsError with what is wrong."""
    try:
        chain = chains.parse_chain(pair.chain_pem)
        reading.split_chain(pair.chain_pem)
        certificate = reading.describe(chain[0])
        _check_leaf(certificate)
        chains.check_whole(chain)
        chains.check_chain(chain, certificate.identifiers, now)
    except chains.DatesFault as fault:
        what = fault.what.replace("the CA's certificate", "the certificate")
        raise SettingsError(_WHAT, f"{what}: {fault.why}", fault.remedy) from fault
    except (chains.ChainFault, ValueError) as fault:
        raise SettingsError(_WHAT, f"the chain is not usable: {fault}", _FULL_CHAIN) from fault
    _check_key(pair)
    return certificate


def make_attempt(name: str, pair: Pair) -> Attempt:
    """Return the attempt of the certificate `name`; which CA issued the pair, which `check_pair` passed, is unknown."""
    identifiers = tuple(sorted(reading.read_certificate(pair.chain_pem).identifiers))
    return Attempt(
        lineage=name,
        directory_url="",
        identifiers=identifiers,
        certificate_key_pem=pair.certificate_key_pem,
        csr_der=pki.make_csr(pair.certificate_key_pem, identifiers),
        chain_pem=pair.chain_pem,
    )


def _check_leaf(certificate: Certificate) -> None:
    if certificate.is_self_signed:
        raise chains.ChainFault("it is self-signed")
    if not certificate.identifiers:
        raise chains.ChainFault("its first certificate has no DNS name and no IP address")


def _check_key(pair: Pair) -> None:
    try:
        is_its_own = reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise SettingsError(_WHAT, f"the key cannot be used: {error}", _USABLE_KEY) from error
    if not is_its_own:
        raise SettingsError(_WHAT, "the key belongs to another certificate", _OTHER_KEY)
