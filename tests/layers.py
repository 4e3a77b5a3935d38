"""Table of the imports that each module may make; `tests.imports` checks it."""

from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
MAX_LINES: Final = 300
# Top-level folders; each of the first contains that program's package.
PROGRAMS: Final = ("client", "responder", "relay", "node", "issuer")
FOLDERS: Final = (*PROGRAMS, "stand", "bench", "tests")

_ADVICE: Final = ("wellkeeper_node.model", "wellkeeper_node.wording")
_CONTRACT: Final = tuple(
    f"wellkeeper_client.{name}" for name in ("foreign_text", "health", "own_addresses", "services", "wire")
)
# Signed messages that need not go through a responder.
_RECORDS: Final = tuple(
    f"wellkeeper_client.{name}"
    for name in ("compact_jws", "fleet_bodies", "joining", "record_state", "records", "signing")
)
_NODE: Final = (
    "wellkeeper_node.model",
    "wellkeeper_node.errors",
    "wellkeeper_node.ports",
    "wellkeeper_node.steps",
    "wellkeeper_node.wording",
    "wellkeeper_node.advice",
)
_NOUNS: Final = (*_ADVICE, "wellkeeper_node.errors", "wellkeeper_issuer.model")
_CORE: Final = (
    *_NODE,
    "wellkeeper_issuer.model",
    "wellkeeper_issuer.errors",
    "wellkeeper_issuer.records",
    "wellkeeper_issuer.ports",
    "wellkeeper_issuer.advice",
)
# Pure functions on bytes.
_BYTES: Final = (
    "wellkeeper_node.certificates.reading",
    "wellkeeper_node.public_keys",
    "wellkeeper_issuer.pki",
    "wellkeeper_issuer.csr",
)
_STAGE: Final = (*_CORE, *_BYTES, "wellkeeper_issuer.obtain.refused_names", "wellkeeper_issuer.obtain.vetoes")
_OUTSIDE: Final = (
    *_STAGE,
    "wellkeeper_node",
    "wellkeeper_issuer.outside",
    "wellkeeper_client.permissions",
    *_CONTRACT,
    "aiofiles",
    "aiohttp",
    "cryptography",
    "yarl",
)
_PARTS: Final = (*_CORE, "wellkeeper_issuer.obtain", "wellkeeper_issuer.reports")
# Reads the disk only, never the network.
_SHOWN: Final = (
    *_PARTS,
    "wellkeeper_issuer.status",
    "wellkeeper_issuer.settings",
    "wellkeeper_issuer.outside.state",
    "wellkeeper_node.certificates",
    "wellkeeper_node.clock",
    "prometheus_client",
)
_SERVED: Final = (
    *_PARTS,
    "wellkeeper_issuer.service",
    "wellkeeper_issuer.location",
    "wellkeeper_issuer.settings",
    "wellkeeper_issuer.outside.daemon",
    "pydantic",
)
_ASSEMBLED: Final = (
    *_OUTSIDE,
    *_SHOWN,
    *_RECORDS,
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
_TOOLS: Final = ("stand", "aiohttp", "click", "cryptography", "rich")

# What serves HTTP in the responder serves it in the relay.
_SHARED: Final = "capacity clock connections exposition listeners logs options service settings"
_SERVER: Final = tuple(f"wellkeeper_responder.{name}" for name in _SHARED.split())

# The first pattern that matches a module decides; a module without a match has no place yet. Names stand for
# themselves and all below them, `*` for everything; the standard library is allowed, except for the ban below.
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "wellkeeper_client.wire": (),
    "wellkeeper_client*": ("wellkeeper_client", "cryptography"),
    "wellkeeper_responder.options": ("click",),
    "wellkeeper_responder.__main__": ("wellkeeper_client", "wellkeeper_responder", "click"),
    "wellkeeper_responder*": (
        "wellkeeper_client",
        "wellkeeper_responder",
        "aiohttp",
        "cryptography",
        "jwt",
        "prometheus_client",
    ),
    "wellkeeper_relay.__main__": ("wellkeeper_client", "wellkeeper_relay", *_SERVER, "click"),
    "wellkeeper_relay*": (
        "wellkeeper_client",
        "wellkeeper_relay",
        *_SERVER,
        "aiohttp",
        "cryptography",
        "prometheus_client",
    ),
    "wellkeeper_node.model": (),
    "wellkeeper_node.findings": (),
    "wellkeeper_node.wording": (),
    "wellkeeper_node.advice.read_back": (*_ADVICE, *_CONTRACT, "aiohttp"),
    "wellkeeper_node.advice*": _ADVICE,
    "wellkeeper_node.errors": ("wellkeeper_node.model", "wellkeeper_client.foreign_text"),
    "wellkeeper_node.ports": ("wellkeeper_node.model",),
    "wellkeeper_node.steps": ("wellkeeper_node.errors", "wellkeeper_node.ports"),
    "wellkeeper_node.deliver.batch": (*_NODE, "wellkeeper_node.deliver.reload"),
    "wellkeeper_node.deliver.install": (*_NODE, "wellkeeper_node.public_keys"),
    "wellkeeper_node.deliver.local": (*_NODE, "wellkeeper_node.deliver"),
    "wellkeeper_node.deliver.verify": (*_NODE, "wellkeeper_client.services", "wellkeeper_node.deliver.addresses"),
    "wellkeeper_node.deliver.verification": (*_NODE, "wellkeeper_node.deliver"),
    "wellkeeper_node.deliver*": (*_NODE, "wellkeeper_node.deliver.addresses"),
    "wellkeeper_node.sockets": ("wellkeeper_client.permissions", "aiohttp"),
    "wellkeeper_node.records*": ("wellkeeper_node", "wellkeeper_client", "aiohttp", "cryptography"),
    "wellkeeper_node.responders*": ("wellkeeper_node", "wellkeeper_client", "aiohttp", "cryptography"),
    "wellkeeper_node.bundles*": ("wellkeeper_node", *_CONTRACT, *_RECORDS, "cryptography"),
    "wellkeeper_node.agent.report": ("wellkeeper_node.model", *_CONTRACT, *_RECORDS),
    "wellkeeper_node.agent.fitting": ("wellkeeper_node.agent.report",),
    "wellkeeper_node.agent*": (
        "wellkeeper_node",
        *_CONTRACT,
        *_RECORDS,
        "wellkeeper_client.permissions",
        "wellkeeper_client.systemd",
        "wellkeeper_client.trust_file",
        "wellkeeper_client.relay_wire",
        "cryptography",
    ),
    "wellkeeper_node.__main__": ("wellkeeper_node", "wellkeeper_client", "click"),
    "wellkeeper_node.commands*": ("wellkeeper_node", "wellkeeper_client", "click"),
    "wellkeeper_node.settings*": ("wellkeeper_node", *_CONTRACT, "wellkeeper_client.permissions"),
    "wellkeeper_node.nginx.configuration": ("wellkeeper_node.nginx.disk", "crossplane"),
    "wellkeeper_node.nginx.route.*": (*_NODE, *_CONTRACT, "wellkeeper_node.findings", "wellkeeper_node.nginx"),
    "wellkeeper_node*": ("wellkeeper_node", *_CONTRACT, "aiofiles", "aiohttp", "cryptography", "yarl"),
    "wellkeeper_issuer.__main__": ("*",),
    "wellkeeper_issuer.start": ("wellkeeper_issuer", "wellkeeper_client.health"),
    "wellkeeper_issuer.commands*": ("*",),
    "wellkeeper_issuer.assembly.doctor*": (*_ASSEMBLED, *_SERVED),
    "wellkeeper_issuer.assembly*": _ASSEMBLED,
    "wellkeeper_issuer.doctor.*checks": ("wellkeeper_node", "wellkeeper_issuer.doctor.checks"),
    "wellkeeper_issuer.doctor.fleet": (
        *_OUTSIDE,
        *_SHOWN,
        "wellkeeper_issuer.doctor",
        "wellkeeper_issuer.fleet.node_status",
    ),
    "wellkeeper_issuer.doctor*": (*_OUTSIDE, *_SHOWN, "wellkeeper_issuer.doctor"),
    "wellkeeper_issuer.service.node_requests": (*_SERVED, "wellkeeper_issuer.upkeep.planner"),
    "wellkeeper_issuer.service*": (*_SERVED, "wellkeeper_client.permissions", "wellkeeper_client.services"),
    "wellkeeper_issuer.status.node_metrics": (*_SHOWN, "wellkeeper_issuer.fleet.node_status"),
    "wellkeeper_issuer.status*": _SHOWN,
    "wellkeeper_issuer.model": ("wellkeeper_node.model",),
    "wellkeeper_issuer.errors": ("wellkeeper_node.errors",),
    "wellkeeper_issuer.records": (*_NOUNS, "wellkeeper_issuer.errors"),
    "wellkeeper_issuer.reports": (*_NOUNS, "wellkeeper_issuer.records"),
    "wellkeeper_issuer.known_cas": (),
    "wellkeeper_issuer.location": (),
    "wellkeeper_issuer.advice*": _NOUNS,
    "wellkeeper_issuer.published_limits": ("wellkeeper_issuer.known_cas", "wellkeeper_issuer.records"),
    "wellkeeper_issuer.upkeep.notices": ("wellkeeper_issuer.records", "wellkeeper_issuer.obtain.due"),
    "wellkeeper_issuer.ports*": (*_NOUNS, "wellkeeper_issuer.records", "wellkeeper_issuer.ports.fleet"),
    "wellkeeper_issuer.pki": (
        *_NOUNS,
        "wellkeeper_issuer.errors",
        "wellkeeper_node.certificates.chains",
        "wellkeeper_node.certificates.placeholders",
        "wellkeeper_node.certificates.reading",
        "cryptography",
    ),
    "wellkeeper_issuer.idn": ("idna",),
    "wellkeeper_issuer.csr": (
        *_NOUNS,
        *_BYTES,
        "wellkeeper_issuer.errors",
        "wellkeeper_issuer.settings.values",
        "cryptography",
    ),
    "wellkeeper_issuer.settings.toml_text": ("wellkeeper_issuer.errors", "tomlkit"),
    "wellkeeper_issuer.settings*": (
        *_NOUNS,
        "wellkeeper_issuer.published_limits",
        "wellkeeper_issuer.errors",
        "wellkeeper_issuer.records",
        "wellkeeper_issuer.location",
        "wellkeeper_issuer.known_cas",
        "wellkeeper_issuer.idn",
        "wellkeeper_issuer.settings",
        "wellkeeper_client.permissions",
        "wellkeeper_node.advice.files",
        "wellkeeper_node.nginx.control",
        "pydantic",
        "pydantic_core",
    ),
    "wellkeeper_issuer.obtain.limits": (*_STAGE, "wellkeeper_issuer.obtain.blocks"),
    "wellkeeper_issuer.obtain.backoff": (*_STAGE, "wellkeeper_issuer.obtain.blocks", "wellkeeper_issuer.obtain.due"),
    "wellkeeper_issuer.obtain.early": (*_STAGE, "wellkeeper_issuer.obtain.due"),
    "wellkeeper_issuer.obtain.validate": (*_STAGE, "wellkeeper_issuer.obtain.learned_fetches"),
    "wellkeeper_issuer.obtain*": _STAGE,
    "wellkeeper_issuer.outside.ca.registered_domains": (*_OUTSIDE, "publicsuffixlist"),
    "wellkeeper_issuer.outside.ca.*": (*_OUTSIDE, "acme", "josepy"),
    "wellkeeper_issuer.outside.host.dns_client": (*_OUTSIDE, "dns"),
    "wellkeeper_issuer.outside.host.certbot": (*_OUTSIDE, "wellkeeper_issuer.takeover"),
    "wellkeeper_issuer.outside.keys.sealed_bundles": (*_OUTSIDE, "wellkeeper_issuer.fleet.sealing"),
    "wellkeeper_issuer.outside*": _OUTSIDE,
    "wellkeeper_issuer.fleet*": (
        *_NOUNS,
        *_RECORDS,
        *_CONTRACT,
        "wellkeeper_issuer.errors",
        "wellkeeper_issuer.fleet",
        "wellkeeper_issuer.ports",
        "wellkeeper_issuer.records",
        "wellkeeper_node.agent.keys",
        "wellkeeper_node.agent.report",
        "wellkeeper_node.bundles",
        "wellkeeper_node.complaints",
        "wellkeeper_node.ports",
        "wellkeeper_node.records.port",
        "wellkeeper_node.responders.client",
        "wellkeeper_node.certificates.reading",
        "cryptography",
    ),
    "wellkeeper_issuer.upkeep*": (*_PARTS, "wellkeeper_issuer.upkeep"),
    "wellkeeper_issuer.renew": (
        *_PARTS,
        *_BYTES,
        "wellkeeper_node.deliver",
        "wellkeeper_issuer.upkeep.planner",
        "wellkeeper_issuer.upkeep.sources",
    ),
    "wellkeeper_issuer.renew_partly": (*_PARTS, "wellkeeper_issuer.renew"),
    "wellkeeper_issuer.passes": (
        *_PARTS,
        "wellkeeper_issuer.renew",
        "wellkeeper_issuer.renew_partly",
        "wellkeeper_issuer.upkeep",
    ),
    "wellkeeper_issuer.rehearse": _PARTS,
    "wellkeeper_issuer.takeover": (*_NOUNS, *_BYTES, "wellkeeper_issuer.known_cas"),
    "wellkeeper_issuer.daemon": _PARTS,
    "wellkeeper_issuer": (),
    "bench.yardsticks": ("acme", "aiohttp", "click", "josepy"),
    "bench.bare_threads": ("acme", "click", "cryptography", "josepy", "requests"),
    # The issuer writes the files of ten thousand certificates itself.
    "bench.installed": ("bench", "wellkeeper_issuer", "wellkeeper_node"),
    "bench.ca": ("wellkeeper_issuer", "wellkeeper_node", "cryptography"),
    "bench.sealing": ("bench", "wellkeeper_client", "wellkeeper_issuer", "wellkeeper_node", "cryptography"),
    # They play an issuer with its own classes, and many nodes in one process.
    "bench.fleet*": (
        *_TOOLS,
        "bench",
        "wellkeeper_client",
        "wellkeeper_responder",
        "wellkeeper_issuer",
        "wellkeeper_node",
    ),
    "bench*": (*_TOOLS, "bench", "wellkeeper_client", "wellkeeper_responder"),
    "stand*": (*_TOOLS, "yarl"),
}

# Stages decide; everything that does I/O is passed to them.
BANNED: Final[dict[str, frozenset[str]]] = {
    pattern: frozenset({"socket", "ssl", "subprocess", "sqlite3", "time", "random"})
    for pattern in (
        "wellkeeper_issuer.obtain*",
        "wellkeeper_node.deliver*",
        "wellkeeper_issuer.fleet*",
        "wellkeeper_issuer.model",
        "wellkeeper_node.model",
        "wellkeeper_node.ports",
        "wellkeeper_issuer.ports*",
        "wellkeeper_issuer.renew",
        "wellkeeper_issuer.rehearse",
    )
}

# Importing these loads acme, which an installer must not need.
LOADS_ACME: Final = ("wellkeeper_issuer.outside.ca.*",)
# These import heavy packages only when they are needed.
LAZY: Final = ("wellkeeper_issuer.commands*", "wellkeeper_issuer.assembly*", "wellkeeper_issuer.__main__", "*.start")
