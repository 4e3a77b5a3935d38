"""Read account keys as other ACME clients keep them: JWK, PEM or DER, private or public, RSA or EC.

Each file that is something else is refused with the reason: pinning the wrong key would trust a stranger's account.
"""

import base64
import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import presence, public_keys, rights

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# An RSA key of 16384 bits has 13 KiB.
_LONGEST: Final = 64 * 1024
_MOST_NEIGHBOURS: Final = 200
_OTHER: Final = "Name the account key; 'wellkeeper trust --clients' finds those of certbot, acme.sh, lego and others."
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
# Older versions of OpenSSL write the name of the curve before the key.
_PARAMETERS: Final = re.compile(rb"-----BEGIN EC PARAMETERS-----.*?-----END EC PARAMETERS-----\s*", re.DOTALL)
_RSA_NUMBERS: Final = ("p", "q", "d", "dp", "dq", "qi")


def read_thumbprint(path: Path) -> tuple[str, str]:
    """Return the kind of the account key in the file, and its RFC 7638 thumbprint. Raises SettingsError."""
    try:
        key = parse(_read(path))
        public = key.public_key() if isinstance(key, PrivateKey) else key
        thumbprint = _thumbprint(public)
        _refuse_certificate_key(path, public)
    except OSError as error:
        remedy = _OTHER if isinstance(error, FileNotFoundError | NotADirectoryError) else "Run the command with sudo."
        raise SettingsError(f"cannot read account key {path}", error.strerror or str(error), remedy) from error
    except ValueError as error:
        raise SettingsError(f"{path} is not an account key", str(error), _OTHER) from error
    return kind_of(public), thumbprint


def kind_of(key: PublicKey) -> str:
    """Return the kind of the key, such as `RSA 2048` or `EC secp256r1`."""
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPublicKey) else f"EC {key.curve.name}"


def parse(data: bytes) -> PublicKey | PrivateKey:
    """Return the key; a private one if the data has it. Raises ValueError with the reason."""
    if not data.strip():
        raise ValueError("it is empty")
    try:
        key = _parse(data)
    except UnsupportedAlgorithm as error:
        raise ValueError(f"its algorithm is not supported: {error}") from error
    if isinstance(key, PublicKey | PrivateKey):
        return key
    raise ValueError(f"it is a key of type {type(key).__name__}; account keys are RSA or EC")


def parse_jwk(jwk: Mapping[str, Any]) -> PublicKey | PrivateKey:
    """Return the key of a JSON Web Key (RFC 7517), a private one if it has `d`. Raises ValueError."""
    try:
        match jwk.get("kty"):
            case "RSA":
                return _rsa(jwk)
            case "EC":
                return _ec(jwk)
            case None:
                raise ValueError("it is JSON, but not a JSON Web Key: it has no 'kty'")
            case other:
                raise ValueError(f"it is a JSON Web Key with kty {other!r:.40}; account keys are RSA or EC")
    except (KeyError, TypeError) as error:
        raise ValueError(f"the JSON Web Key is damaged: {error}") from error


def _thumbprint(key: PublicKey) -> str:
    found = public_keys.thumbprint(key)
    if found is None:
        raise ValueError(f"its kind is {kind_of(key)}; ACME has P-256, P-384, P-521 and RSA")
    return found


def _read(path: Path) -> bytes:
    if presence.is_symlink(path):
        raise ValueError(f"it is a symbolic link to {path.readlink()}")
    found = path.stat()
    if stat.S_ISREG(found.st_mode) and found.st_size > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} bytes")
    return rights.read_file(path)


def _parse(data: bytes) -> object:
    if data.lstrip().startswith((b"{", b"[")):
        return parse_jwk(_object(data))
    blocks = [block.decode() for block in _BEGIN.findall(data)]
    return _parse_pem(data, blocks) if blocks else _parse_der(data)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON: {error!s:.100}") from error
    if not isinstance(found, dict):
        raise ValueError("it is JSON, but not a JSON Web Key")
    return found


def _parse_pem(data: bytes, blocks: list[str]) -> object:
    names = [block for block in blocks if block != "EC PARAMETERS"]
    _check_blocks(names)
    name = names[0]
    if name == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in data:
        raise ValueError(
            "it is encrypted; write its public key to a file with 'openssl pkey -in FILE -pubout' and name that"
        )
    pem = _PARAMETERS.sub(b"", data)
    try:
        if name.endswith("PUBLIC KEY"):
            return serialization.load_pem_public_key(pem)
        return serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the {name.lower()} is damaged or was cut short: {error!s:.100}") from error


def _check_blocks(names: list[str]) -> None:
    """Raise ValueError unless the PEM blocks are one key."""
    if not names:
        raise ValueError("it has the parameters of a key, but no key")
    name = names[0]
    if "CERTIFICATE" in name:
        raise ValueError(f"it is a {name.lower()}")
    if len(names) > 1:
        raise ValueError(
            f"it has several blocks: {', '.join(names).lower():.100}; give a file with only the account key"
        )
    if name == "OPENSSH PRIVATE KEY":
        raise ValueError("it is an SSH key")
    if not name.endswith(("PRIVATE KEY", "PUBLIC KEY")):
        raise ValueError(f"it is PEM with {name!r:.40}, not with a key")


def _parse_der(data: bytes) -> object:
    for load in (_load_der_private, serialization.load_der_public_key):
        try:
            return load(data)
        except (ValueError, TypeError):
            continue
    try:
        x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise ValueError("it is neither a JSON Web Key nor a key in PEM or DER, or it was cut short") from error
    raise ValueError("it is a certificate")


def _load_der_private(data: bytes) -> object:
    return serialization.load_der_private_key(data, None)


def _rsa(jwk: Mapping[str, Any]) -> PublicKey | PrivateKey:
    public = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
    if "d" not in jwk:
        return public.public_key()
    p, q, d, dp, dq, qi = (_number(jwk[name]) for name in _RSA_NUMBERS)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()


def _ec(jwk: Mapping[str, Any]) -> PublicKey | PrivateKey:
    curve = _CURVES.get(jwk["crv"])
    if curve is None:
        raise ValueError(f"its curve is {jwk['crv']!r:.40}; ACME has {', '.join(_CURVES)}")
    public = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve)
    if "d" not in jwk:
        return public.public_key()
    return ec.EllipticCurvePrivateNumbers(_number(jwk["d"]), public).private_key()


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))


def _refuse_certificate_key(path: Path, key: PublicKey) -> None:
    """Raise ValueError if a certificate beside the file has the same key."""
    for neighbour in _certificates_beside(path):
        try:
            found = x509.load_pem_x509_certificate(rights.read_file(neighbour, follows_link=True)).public_key()
        except (OSError, ValueError, UnsupportedAlgorithm):
            continue
        if found == key:
            raise ValueError(f"it is the key of the certificate {neighbour.name} beside it")


def _certificates_beside(path: Path) -> Iterator[Path]:
    names = [one for one in sorted(path.parent.iterdir()) if one.suffix in {".pem", ".crt", ".cer", ".cert"}]
    yield from (one for one in names[:_MOST_NEIGHBOURS] if one.name != path.name)
