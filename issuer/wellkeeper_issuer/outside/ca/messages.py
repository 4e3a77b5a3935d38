"""Messages to a CA, and our keys as JSON Web Keys."""

import json
from collections.abc import Sequence
from typing import Any, Final

from acme.jws import JWS
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from josepy.jwa import ES256, ES384, HS256, HS384, HS512, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct
from josepy.util import ComparableECKey, ComparableRSAKey

from wellkeeper_issuer.outside.ca.options import ExternalAccount
from wellkeeper_issuer.outside.keys.key_files import AccountKey
from wellkeeper_node.model import Identifier

_BINDING_ALGORITHMS: Final = {"HS256": HS256, "HS384": HS384, "HS512": HS512}


# An account or an authorization (RFC 8555 sections 7.3.6 and 7.5.2).
DEACTIVATION: Final = {"status": "deactivated"}


def new_order(identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> dict[str, Any]:
    """Return newOrder (RFC 8555 section 7.4) with `replaces` (RFC 9773 section 5), without what is None."""
    names = [{"type": identifier.type.value, "value": identifier.value} for identifier in identifiers]
    more = {"profile": profile, "replaces": replaces}
    return {"identifiers": names, **{key: value for key, value in more.items() if value is not None}}


def account_jwk(account_key: AccountKey) -> JWK:
    return certificate_jwk(account_key)[0]


def algorithm_of(key: JWK) -> JWASignature:
    """Return the algorithm that signs with this account key, RSA or P-256."""
    return RS256 if isinstance(key, JWKRSA) else ES256


def certificate_jwk(certificate_key: PrivateKeyTypes) -> tuple[JWK, JWASignature]:
    """Return the key with its signing algorithm (RFC 8555 section 7.6); raises ValueError for other kinds of keys."""
    if isinstance(certificate_key, rsa.RSAPrivateKey):
        return JWKRSA(key=ComparableRSAKey(certificate_key)), RS256
    if isinstance(certificate_key, ec.EllipticCurvePrivateKey):
        algorithm = ES384 if isinstance(certificate_key.curve, ec.SECP384R1) else ES256
        return JWKEC(key=ComparableECKey(certificate_key)), algorithm
    raise ValueError(f"a {type(certificate_key).__name__} cannot sign a request")


def binding(account_key: JWK, new_account_url: str, external: ExternalAccount, hmac_key: bytes) -> dict[str, Any]:
    """Return the account's public key, signed with the external account's key (RFC 8555 section 7.3.4)."""
    payload = account_key.public_key().json_dumps().encode()
    algorithm = _BINDING_ALGORITHMS[external.algorithm]
    signed = JWS.sign(payload, JWKOct(key=hmac_key), algorithm, None, new_account_url, external.key_id)
    members: dict[str, Any] = signed.to_json()
    return members


def key_change(account_url: str, present: JWK, following: JWK, key_change_url: str) -> dict[str, Any]:
    """Return the inner keyChange object, signed with the new key; the old key signs the request around it."""
    payload = json.dumps({"account": account_url, "oldKey": present.public_key().to_json()}).encode()
    signed: dict[str, Any] = JWS.sign(payload, following, algorithm_of(following), None, key_change_url).to_json()
    return signed
