"""Check the certificate in a bundle: the issuer before it seals one, a node before it installs one."""

from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from wellkeeper_node.bundles.model import Bundle
from wellkeeper_node.certificates import chains, reading
from wellkeeper_node.model import Pair


def check_certificate(bundle: Bundle, now: datetime) -> str:
    """Return SHA-256 of the leaf once chain, key, names and dates are proven to be usable.

    A bundle without a key is for nodes that have it already. Raises ValueError and `chains.ChainFault`.
    """
    pair = bundle.pair
    chain = chains.parse_chain(pair.chain_pem)
    reading.split_chain(pair.chain_pem)  # refuses one that is cut short
    if pair.certificate_key_pem and not _matches(pair):
        raise ValueError("its key does not match its certificate")
    chains.check_chain(chain, bundle.identifiers, now)
    return sha256(chain[0].public_bytes(Encoding.DER)).hexdigest()


def _matches(pair: Pair) -> bool:
    try:
        return reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
    except (TypeError, UnsupportedAlgorithm) as error:  # an encrypted key, or one of an unknown kind
        raise ValueError(f"its key cannot be used: {error}") from error
