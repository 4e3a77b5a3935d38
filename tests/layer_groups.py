"""Groups of modules that `tests.layers` allows together."""

from typing import Final

ADVICE: Final = ("wellkeeper_node.model", "wellkeeper_node.wording")
CONTRACT: Final = tuple(
    f"wellkeeper_client.{name}" for name in ("foreign_text", "health", "own_addresses", "services", "wire")
)
# Signed messages that need not go through a responder.
RECORDS: Final = tuple(
    f"wellkeeper_client.{name}"
    for name in ("compact_jws", "fleet_bodies", "heartbeats", "joining", "record_state", "records", "signing")
)
NODE: Final = (
    "wellkeeper_node.model",
    "wellkeeper_node.errors",
    "wellkeeper_node.happened",
    "wellkeeper_node.ports",
    "wellkeeper_node.steps",
    "wellkeeper_node.wording",
    "wellkeeper_node.advice",
)
NOUNS: Final = (*ADVICE, "wellkeeper_node.errors", "wellkeeper_node.happened", "wellkeeper_issuer.model")
CORE: Final = (
    *NODE,
    "wellkeeper_issuer.model",
    "wellkeeper_issuer.errors",
    "wellkeeper_issuer.messages",
    "wellkeeper_issuer.records",
    "wellkeeper_issuer.ports",
    "wellkeeper_issuer.advice",
)
# Pure functions on bytes.
BYTES: Final = (
    "wellkeeper_node.certificates.reading",
    "wellkeeper_node.public_keys",
    "wellkeeper_issuer.pki",
    "wellkeeper_issuer.csr",
)
STAGE: Final = (*CORE, *BYTES, "wellkeeper_issuer.obtain.refused_names", "wellkeeper_issuer.obtain.vetoes")
OUTSIDE: Final = (
    *STAGE,
    "wellkeeper_node",
    "wellkeeper_issuer.outside",
    "wellkeeper_client.permissions",
    *CONTRACT,
    "aiofiles",
    "aiohttp",
    "cryptography",
    "yarl",
)
PARTS: Final = (*CORE, "wellkeeper_issuer.obtain", "wellkeeper_issuer.reports")
# Reads the disk only, never the network.
SHOWN: Final = (
    *PARTS,
    "wellkeeper_issuer.status",
    "wellkeeper_issuer.settings",
    "wellkeeper_issuer.outside.state",
    "wellkeeper_node.certificates",
    "wellkeeper_node.clock",
    "prometheus_client",
)
SERVED: Final = (
    *PARTS,
    "wellkeeper_issuer.service",
    "wellkeeper_issuer.location",
    "wellkeeper_issuer.settings",
    "wellkeeper_issuer.outside.daemon",
    "pydantic",
)
ASSEMBLED: Final = (
    *OUTSIDE,
    *SHOWN,
    *RECORDS,
    "wellkeeper_issuer.assembly",
    "wellkeeper_issuer.fleet",
    "wellkeeper_issuer.upkeep",
    "wellkeeper_issuer.passes",
    "wellkeeper_issuer.renew",
    "wellkeeper_issuer.rehearse",
    "wellkeeper_issuer.daemon",
    "wellkeeper_issuer.known_cas",
    "wellkeeper_issuer.doctor",
)
TOOLS: Final = ("stand", "aiohttp", "click", "cryptography", "rich")

# What serves HTTP in the responder serves it in the relay.
SHARED: Final = "capacity clock connections exposition listeners logs options service settings"
SERVER: Final = tuple(f"wellkeeper_responder.{name}" for name in SHARED.split())
