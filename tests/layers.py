"""Table of the imports that each module may make, and a checker that reads source text."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
MAX_LINES: Final = 300
# Top-level folders; each of the first contains that program's package.
PROGRAMS: Final = ("client", "responder", "node", "issuer")
FOLDERS: Final = (*PROGRAMS, "stand", "bench", "tests")

_ADVICE: Final = ("wellkeeper_node.model", "wellkeeper_node.wording")
_CONTRACT: Final = ("wellkeeper_client.foreign_text", "wellkeeper_client.wire")
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
_STAGE: Final = (*_CORE, *_BYTES, "wellkeeper_issuer.obtain.refused_names")
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
    "wellkeeper_issuer.assembly",
    "wellkeeper_issuer.upkeep",
    "wellkeeper_issuer.passes",
    "wellkeeper_issuer.renew",
    "wellkeeper_issuer.rehearse",
    "wellkeeper_issuer.daemon",
    "wellkeeper_issuer.known_cas",
)
_TOOLS: Final = ("stand", "aiohttp", "click", "cryptography", "rich")

# The first pattern that matches a module decides; a module without a match has no place yet. Names stand for
# themselves and all below them, `*` for everything; the standard library is allowed, except for the ban below.
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "wellkeeper_client.wire": (),
    "wellkeeper_client*": ("wellkeeper_client", "cryptography"),
    "wellkeeper_responder.__main__": ("wellkeeper_client", "wellkeeper_responder", "click"),
    "wellkeeper_responder*": (
        "wellkeeper_client",
        "wellkeeper_responder",
        "aiohttp",
        "cryptography",
        "jwt",
        "prometheus_client",
    ),
    "wellkeeper_node.model": (),
    "wellkeeper_node.wording": (),
    "wellkeeper_node.advice.read_back": (*_ADVICE, *_CONTRACT, "aiohttp"),
    "wellkeeper_node.advice*": _ADVICE,
    "wellkeeper_node.errors": ("wellkeeper_node.model", "wellkeeper_client.foreign_text"),
    "wellkeeper_node.ports": ("wellkeeper_node.model",),
    "wellkeeper_node.steps": ("wellkeeper_node.errors", "wellkeeper_node.ports"),
    "wellkeeper_node.deliver.batch": (*_NODE, "wellkeeper_node.deliver.reload"),
    "wellkeeper_node.deliver.local": (*_NODE, "wellkeeper_node.deliver"),
    "wellkeeper_node.deliver.verification": (*_NODE, "wellkeeper_node.deliver"),
    "wellkeeper_node.deliver*": (*_NODE, "wellkeeper_node.deliver.addresses"),
    "wellkeeper_node.responders*": ("wellkeeper_node", "wellkeeper_client", "aiohttp", "cryptography"),
    "wellkeeper_node.nginx.configuration": ("crossplane",),
    "wellkeeper_node*": ("wellkeeper_node", *_CONTRACT, "aiofiles", "aiohttp", "cryptography", "yarl"),
    "wellkeeper_issuer.__main__": ("*",),
    "wellkeeper_issuer.commands*": ("*",),
    "wellkeeper_issuer.assembly*": _ASSEMBLED,
    "wellkeeper_issuer.service*": (*_SERVED, "wellkeeper_client.permissions"),
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
    "wellkeeper_issuer.ports*": (*_NOUNS, "wellkeeper_issuer.records"),
    "wellkeeper_issuer.pki": (
        *_NOUNS,
        "wellkeeper_issuer.errors",
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
    "wellkeeper_issuer.outside.host.certbot": (*_OUTSIDE, "wellkeeper_issuer.takeover"),
    "wellkeeper_issuer.outside*": _OUTSIDE,
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
    "bench.installed": ("bench", "wellkeeper_issuer", "wellkeeper_node", "cryptography"),
    "bench*": (*_TOOLS, "bench", "wellkeeper_client", "wellkeeper_responder"),
    "stand*": (*_TOOLS, "yarl"),
}

# Stages decide; everything that does I/O is passed to them.
BANNED: Final[dict[str, frozenset[str]]] = {
    pattern: frozenset({"socket", "ssl", "subprocess", "sqlite3", "time", "random"})
    for pattern in (
        "wellkeeper_issuer.obtain*",
        "wellkeeper_node.deliver*",
        "wellkeeper_issuer.model",
        "wellkeeper_node.model",
        "wellkeeper_node.ports",
        "wellkeeper_issuer.ports*",
        "wellkeeper_issuer.renew",
        "wellkeeper_issuer.rehearse",
    )
}

# Importing these loads acme, which an installer must not need.
_LOADS_ACME: Final = ("wellkeeper_issuer.outside.ca.*",)
# These import heavy packages only when they are needed.
_LAZY: Final = ("wellkeeper_issuer.commands*", "wellkeeper_issuer.assembly*", "wellkeeper_issuer.__main__")


def source_files() -> Iterator[Path]:
    """Return all Python files of the project."""
    for folder in FOLDERS:
        yield from sorted((PROJECT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the name under which the file is imported."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    parts = parts[1:] if parts[0] in PROGRAMS else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(module: str, source: str) -> list[str]:
    """Return one sentence for each import that the module's row does not allow."""
    allowed = next((names for pattern, names in ALLOWED.items() if fnmatchcase(module, pattern)), None)
    if allowed is None:
        return [f"{module} is not in tests/layers.py: add it, with a design page"]
    banned = frozenset[str]().union(*(names for pattern, names in BANNED.items() if fnmatchcase(module, pattern)))
    found = []
    for imported in imports(source):
        if imported.split(".")[0] in sys.stdlib_module_names:
            if imported.split(".")[0] in banned:
                found.append(f"{module} may not import {imported}: pass it to the stage instead")
        elif not any(_covers(name, imported) for name in allowed):
            found.append(f"{module} may not import {imported}")
        elif _is_one_of(imported, _LOADS_ACME) and not _is_one_of(module, (*_LOADS_ACME, *_LAZY)):
            found.append(f"{module} may not import {imported}: it loads acme")
    return found


def imports(source: str) -> list[str]:
    """Return absolute names; `from package import pki` gives `package.pki` where that is a module."""
    found = []
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "."
            found += [f"{module}.{alias.name}" if _is_module(module, alias.name) else module for alias in node.names]
    return found


def imports_inside_functions(module: str, source: str) -> list[str]:
    """Return the places of imports inside functions, which only commands may have."""
    if _is_one_of(module, _LAZY):
        return []
    return [f"{module}: an import inside {name}, line {line}" for name, line in _hidden(_parsed(source), None)]


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _hidden(node: ast.AST, function: str | None) -> Iterator[tuple[str, int]]:
    """Yield function and line of each import below a function."""
    if isinstance(node, ast.Import | ast.ImportFrom) and function is not None:
        yield function, node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    if isinstance(node, ast.stmt | ast.Module | ast.ExceptHandler | ast.match_case):
        for child in ast.iter_child_nodes(node):
            yield from _hidden(child, function)


def _is_module(package: str, name: str) -> bool:
    inside = Path(*package.split("."), name)
    paths = [PROJECT / folder / inside for folder in ("", *PROGRAMS)]
    return any(path.with_suffix(".py").exists() or path.is_dir() for path in paths)


def _covers(name: str, imported: str) -> bool:
    return name in {"*", imported} or imported.startswith(f"{name}.")


def _is_one_of(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)
