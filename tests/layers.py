"""Which module may import what: the table of the design, and a checker that reads source text."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
MAX_LINES: Final = 300

_CORE: Final = ("issuer.model", "issuer.errors", "issuer.records", "issuer.ports", "issuer.ports_state")
_STAGE: Final = (*_CORE, "issuer.pki", "issuer.csr", "issuer.public_keys")
_OUTSIDE: Final = (
    *_STAGE,
    "issuer.remedies",
    "issuer.outside",
    "responder.wire",
    "aiofiles",
    "aiohttp",
    "cryptography",
    "yarl",
)
_SETTINGS: Final = ("issuer.settings.tables", "issuer.settings.values")
_PARTS: Final = (*_CORE, "issuer.obtain", "issuer.reports", "issuer.steps")

# The first pattern that matches a module decides; a module that none matches has no room yet. Names stand for
# themselves and all below them, `*` for everything; the standard library is free, but for the ban below.
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "responder.wire": (),
    "responder.__main__": ("responder", "click"),
    "responder*": ("responder", "aiohttp", "cryptography", "jwt", "prometheus_client"),
    "issuer.__main__": ("*",),
    "issuer.commands*": ("*",),
    "issuer.model": (),
    "issuer.errors": ("issuer.model",),
    "issuer.records": ("issuer.model", "issuer.errors"),
    "issuer.reports": ("issuer.model", "issuer.records"),
    "issuer.published_limits": ("issuer.records",),
    "issuer.upkeep.notices": ("issuer.records", "issuer.obtain.due"),
    "issuer.ports": ("issuer.model", "issuer.records"),
    "issuer.ports_state": ("issuer.model", "issuer.records"),
    "issuer.pki": ("issuer.model", "issuer.errors", "cryptography"),
    "issuer.idn": ("idna",),
    "issuer.remedies": (),
    "issuer.public_keys": ("issuer.model", "cryptography"),
    "issuer.csr": (
        "issuer.model",
        "issuer.errors",
        "issuer.pki",
        "issuer.public_keys",
        "issuer.settings.values",
        "cryptography",
    ),
    "issuer.settings*": (
        "issuer.idn",
        "issuer.model",
        "issuer.errors",
        "issuer.records",
        "issuer.remedies",
        "issuer.settings.complaints",
        "issuer.settings.files",
        "issuer.settings.tables",
        "issuer.settings.values",
        "pydantic",
    ),
    "issuer.obtain.limits": (*_STAGE, "issuer.obtain.blocks"),
    "issuer.upkeep.deliveries": (*_PARTS, "issuer.deliver"),
    "issuer.obtain.backoff": (*_STAGE, "issuer.obtain.blocks", "issuer.obtain.due"),
    "issuer.obtain*": _STAGE,
    "issuer.deliver*": _STAGE,
    "issuer.outside.ca.*": (*_OUTSIDE, "acme", "josepy", "requests", "urllib3"),
    "issuer.outside.responder*": (*_OUTSIDE, "responder.publication"),
    "issuer.outside.registered_domains": (*_OUTSIDE, "publicsuffixlist"),
    "issuer.outside.certbot": (*_OUTSIDE, "issuer.takeover"),
    "issuer.outside*": _OUTSIDE,
    "issuer.steps": _CORE,
    "issuer.upkeep": (),
    "issuer.upkeep.course": _PARTS,
    "issuer.upkeep.agenda": _PARTS,
    "issuer.upkeep.sources": (*_PARTS, "issuer.upkeep.notices"),
    "issuer.upkeep.aftermath": (*_PARTS, "issuer.upkeep.notices"),
    "issuer.renew": (*_PARTS, "issuer.pki", "issuer.deliver", "issuer.upkeep.agenda", "issuer.upkeep.sources"),
    "issuer.passes": (*_PARTS, "issuer.deliver", "issuer.renew", "issuer.upkeep"),
    "issuer.rehearse": _PARTS,
    "issuer.takeover": ("issuer.model", "issuer.pki", "issuer.public_keys"),
    "issuer.upkeep.standing": (*_CORE, "issuer.obtain"),
    "issuer.daemon": _PARTS,
    "issuer": (),
    "bench.yardsticks": ("acme", "aiohttp", "click", "josepy"),
    "bench.bare_threads": ("acme", "click", "cryptography", "josepy", "requests"),
    # What ten thousand certificates leave on disk is written by the issuer's own hands.
    "bench.installed": ("bench", "issuer", "cryptography"),
    "bench*": ("bench", "stand", "responder", "aiohttp", "click", "cryptography", "rich"),
    "stand*": ("stand", "aiohttp", "click", "cryptography", "rich", "yarl"),
}

# Stages decide; the world is handed to them.
BANNED: Final[dict[str, frozenset[str]]] = {
    pattern: frozenset({"socket", "ssl", "subprocess", "sqlite3", "time", "random"})
    for pattern in (
        "issuer.obtain*",
        "issuer.deliver*",
        "issuer.model",
        "issuer.ports",
        "issuer.renew",
        "issuer.rehearse",
    )
}

# Whoever imports these loads acme, which an installer must be able to do without.
_LOADS_ACME: Final = ("issuer.outside.ca.*",)
# Here what is heavy is loaded when it is needed.
_LAZY: Final = ("issuer.commands*", "issuer.__main__")


def source_files() -> Iterator[Path]:
    """All Python files of ours."""
    for folder in ("responder", "issuer", "stand", "bench", "tests"):
        yield from sorted((PROJECT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(module: str, source: str) -> list[str]:
    """One sentence for each import that its room does not allow."""
    allowed = next((names for pattern, names in ALLOWED.items() if fnmatchcase(module, pattern)), None)
    if allowed is None:
        return [f"{module} has no room in tests/layers.py: give it one, with a design page"]
    banned = frozenset[str]().union(*(names for pattern, names in BANNED.items() if fnmatchcase(module, pattern)))
    found = []
    for imported in imports(source):
        if imported.split(".")[0] in sys.stdlib_module_names:
            if imported.split(".")[0] in banned:
                found.append(f"{module} may not import {imported}: it is handed to the stage")
        elif not any(_covers(name, imported) for name in allowed):
            found.append(f"{module} may not import {imported}")
        elif _is_one_of(imported, _LOADS_ACME) and not _is_one_of(module, (*_LOADS_ACME, *_LAZY)):
            found.append(f"{module} may not import {imported}: it loads acme")
    return found


def imports(source: str) -> list[str]:
    """Absolute names; `from issuer import pki` imports the module `issuer.pki`, not the package alone."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "."
            found += [f"{module}.{alias.name}" if _is_module(module, alias.name) else module for alias in node.names]
    return found


def imports_inside_functions(module: str, source: str) -> list[str]:
    """Where an import hides in a function; commands may do that."""
    if _is_one_of(module, _LAZY):
        return []
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        f"{module}: an import inside {function.name}, line {node.lineno}"
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def _is_module(package: str, name: str) -> bool:
    path = PROJECT.joinpath(*package.split("."), name)
    return path.with_suffix(".py").exists() or path.is_dir()


def _covers(name: str, imported: str) -> bool:
    return name in {"*", imported} or imported.startswith(f"{name}.")


def _is_one_of(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)
