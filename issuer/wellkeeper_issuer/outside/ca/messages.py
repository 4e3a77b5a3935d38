"""Messages to a CA that the acme library lacks, and our keys as JSON Web Keys."""

from typing import Any, Final

from acme import messages
from acme.jws import JWS
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from josepy.json_util import JSONObjectWithFields, field
from josepy.jwa import ES256, ES384, HS256, HS384, HS512, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct
from josepy.util import ComparableECKey, ComparableRSAKey

from wellkeeper_issuer.outside.ca.options import ExternalAccount
from wellkeeper_issuer.outside.keys.key_files import AccountKey

_BINDING_ALGORITHMS: Final = {"HS256": HS256, "HS384": HS384, "HS512": HS512}


class EmptyMessage(JSONObjectWithFields):
    """`{}`: the response to an http-01 challenge (RFC 8555 section 7.5.1)."""

    def __bool__(self) -> bool:
        """Return True: for a false message, as one without fields is, the library sends a POST-as-GET."""
        return True


class Deactivation(JSONObjectWithFields):
    """Deactivates an account or an authorization (RFC 8555 sections 7.3.6 and 7.5.2)."""

    status: str = field("status")

    def __init__(self, status: str = "deactivated") -> None:
        super().__init__(status=status)


class NewOrder(messages.NewOrder):
    """newOrder with `replaces` (RFC 9773 section 5)."""

    replaces: str | None = field("replaces", omitempty=True)


class KeyChange(JSONObjectWithFields):
    """The inner payload of keyChange (RFC 8555 section 7.3.5)."""

    account: str = field("account")
    old_key: JWK = field("oldKey")


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
    members: dict[str, Any] = signed.to_partial_json()
    return members


def key_change(account_url: str, present: JWK, following: JWK, key_change_url: str) -> JWS:
    """Return the inner keyChange object, signed with the new key; the old key signs the request around it."""
    payload = KeyChange(account=account_url, old_key=present.public_key()).json_dumps().encode()
    signed: JWS = JWS.sign(payload, following, algorithm_of(following), None, key_change_url)
    return signed
