"""Fakes of the node: certificates in memory, an nginx that reads them, and handshakes."""

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.fakes import FakeClock
from tests.keys import certificate_key
from wellkeeper_issuer import pki
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import InstallError, ReloadError, VerifyError
from wellkeeper_node.model import (
    LINEAGE_NAME,
    Answer,
    Certificate,
    Identifier,
    IdentifierType,
    Installed,
    KeyAlgorithm,
    KeyType,
    Node,
    Pair,
    ReadBack,
    Tested,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def dns(name: str) -> Identifier:
    return Identifier(IdentifierType.DNS, name)


class FakeCa:
    """A CA with a root and an intermediate; every part of a leaf can be made wrong."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign(_name("Fake Root"), self._root_key.public_key(), _name("Fake Root"), self._root_key)
        self.intermediate = self._sign(
            _name("Fake Intermediate"), self._key.public_key(), _name("Fake Root"), self._root_key
        )

    def leaf(
        self,
        certificate_key_pem: bytes,
        *identifiers: Identifier,
        starts_in: timedelta = timedelta(hours=-1),
        days: float = 90,
        is_ca: bool = False,
    ) -> bytes:
        """Return the leaf alone, PEM."""
        key = load_pem_private_key(certificate_key_pem, password=None)
        csr = x509.load_der_x509_csr(pki.make_csr(certificate_key_pem, identifiers))
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        begin = self.now + starts_in
        builder = x509.CertificateBuilder(
            self.intermediate.subject,
            x509.Name([]),
            csr.public_key(),
            x509.random_serial_number(),
            begin,
            begin + timedelta(days=days),
        )
        builder = builder.add_extension(names, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if key.public_key() != csr.public_key():
            raise ValueError("the CSR is its key is not the key in our CSR")
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def chain(self, certificate_key_pem: bytes, *identifiers: Identifier) -> bytes:
        return self.leaf(certificate_key_pem, *identifiers) + self.intermediate.public_bytes(Encoding.PEM)

    def pair(self, *identifiers: Identifier, key_type: KeyType = KeyType.ECDSA_P256) -> Pair:
        """Return a key from `tests.keys` and its chain."""
        certificate_key_pem = certificate_key(key_type)
        return Pair(certificate_key_pem, self.chain(certificate_key_pem, *identifiers))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        parent: x509.Name,
        parent_key: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        begin, end = self.now - timedelta(days=100), self.now + timedelta(days=1000)
        builder = x509.CertificateBuilder(parent, subject, key, x509.random_serial_number(), begin, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return builder.sign(parent_key, hashes.SHA256())


class FakeCertificates:
    """`ports.Certificates` in memory; tests may inspect `live` and `switches`.

    `without_pair` has versions, such as those live at the start, that can be switched to but not read.
    """

    def __init__(self, live: Mapping[str, str] | None = None) -> None:
        self.live: dict[str, str] = dict(live or {})
        self.without_pair = set(self.live.items())
        self.pairs: dict[tuple[str, str], Pair] = {}
        self.switches: list[tuple[str, str | None]] = []
        self.full_disk_for: set[str] = set()
        self.disowned: dict[str, set[str]] = {}

    def live_path(self, lineage: str) -> str:
        return f"/certificates/live/{_checked(lineage)}"

    async def write(self, lineage: str, pair: Pair) -> str:
        if lineage in self.full_disk_for:
            raise InstallError(f"cannot use /certificates/archive/{lineage}: No space left on device; free some")
        normalised = _normalised(lineage, pair)
        first = version = reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8]
        numbers = itertools.count(1)
        while self.pairs.setdefault((_checked(lineage), version), normalised) != normalised:
            version = f"{first}-{next(numbers)}"
        return version

    async def switch(self, lineage: str, version: str | None) -> str | None:
        known = self.without_pair | self.pairs.keys()
        if version not in {None, self.live.get(_checked(lineage))} and (lineage, version) not in known:
            raise InstallError(f"/certificates/archive/{lineage} does not have version {version!r}")
        before = self.live.pop(lineage, None)
        if version is not None:
            self.live[lineage] = version
        if version != before:
            self.switches.append((lineage, version))
        return before

    async def installed(self, lineage: str) -> Installed | None:
        version = self.live.get(_checked(lineage))
        pair = self.pairs.get((lineage, version or ""))
        if version is None or pair is None:
            return None
        return Installed(lineage, version, reading.read_certificate(pair.chain_pem), bool(pair.certificate_key_pem))

    async def read_pair(self, lineage: str) -> Pair | None:
        return self.pairs.get((lineage, self.live.get(_checked(lineage), "")))

    async def disown_key(self, lineage: str) -> None:
        pair = await self.read_pair(lineage)
        if pair is not None:
            self.disowned.setdefault(lineage, set()).add(public_keys.leaf_key_fingerprint(pair.chain_pem))

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        return frozenset(self.disowned.get(_checked(lineage), ()))


class FakeNginx:
    """`ports.Nginx` whose configuration names the lineages in `needed`; versions in `bad_versions` do not load.

    `broken` is the message of another fault; `refusal` makes a reload fail although the test passed.
    """

    def __init__(self, certificates: FakeCertificates, clock: FakeClock | None = None) -> None:
        self._certificates = certificates
        self._clock = clock or FakeClock()
        self.needed: set[str] = set()
        self.bad_versions: set[str] = set()
        self.broken: str | None = None
        self.refusal: str | None = None
        self.test_count = 0
        self.finishing_count = 0
        self.reloads: list[dict[str, str]] = []
        self.at_test: Callable[[int], None] = lambda _: None

    async def test(self) -> Tested:
        self.test_count += 1
        self.at_test(self.test_count)
        words = self._words()
        return Tested(words is None, words or "", 0.1)

    async def reload(self, tested: Tested) -> int:
        if not tested.passed:
            raise ReloadError("reload was asked for although the test failed")
        self._clock.advance(0.2)
        if self.refusal is not None:
            raise ReloadError(self.refusal)
        self.reloads.append(dict(self._certificates.live))
        return self.finishing_count

    async def finishing(self) -> int:
        return self.finishing_count

    async def mentions(self, path: str) -> bool:
        return any(path == f"{self._certificates.live_path(name)}/fullchain.pem" for name in self.needed)

    def _words(self) -> str | None:
        if self.broken is not None:
            return self.broken
        for name in sorted(self.needed):
            version = self._certificates.live.get(name)
            if version is None:
                return f"[emerg] cannot load certificate {name}: no such file"
            if version in self.bad_versions:
                return f"[emerg] cannot load certificate {name}: key values mismatch"
        return None


class FakeProbes:
    """`ports.Probes`: handshakes return `leaves`, by address and name; other addresses refuse connections.

    `second_leaves` are for clients that do not accept the first one's key algorithm.
    """

    def __init__(self) -> None:
        self.leaves: dict[tuple[tuple[str, int], Identifier], Certificate | None] = {}
        self.second_leaves: dict[tuple[tuple[str, int], Identifier], Certificate] = {}
        self.cause: str | None = None

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        return tuple(
            ReadBack(node.name, f"http://{answer.identifier}/", f"{host}:{port}", 200, self.cause)
            for host, port in node.http_addresses
        )

    async def handshake(
        self, address: tuple[str, int], identifier: Identifier, key_algorithm: KeyAlgorithm | None = None
    ) -> Certificate | None:
        if (address, identifier) not in self.leaves:
            raise VerifyError(f"no TLS handshake for {identifier} at {address[0]}:{address[1]}")
        leaf = self.leaves[address, identifier]
        if leaf is None or key_algorithm is None or leaf.key_algorithm is key_algorithm:
            return leaf
        return self.second_leaves.get((address, identifier))


def _checked(lineage: str) -> str:
    if LINEAGE_NAME.fullmatch(lineage) is None:
        raise InstallError(f"{lineage!r} is not a valid certificate name")
    return lineage


def _normalised(lineage: str, pair: Pair) -> Pair:
    """Return the pair as it is read back; refuse a mismatched pair."""
    key_pem = pair.certificate_key_pem
    try:
        is_pair = not key_pem or reading.certificate_key_matches(pair.chain_pem, key_pem)
        chain_pem = reading.normalise_pem(pair.chain_pem)
        reading.read_certificate(chain_pem)
    except ValueError as error:
        raise InstallError(
            f"cannot install the certificate of {lineage}", f"the certificate or its key is not PEM: {error}"
        ) from error
    if not is_pair:
        raise InstallError(f"cannot install the certificate of {lineage}", "the key does not match the certificate")
    return Pair(reading.normalise_pem(key_pem) if key_pem else b"", chain_pem)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
