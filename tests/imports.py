"""Checker of the imports in `tests.layers`, which reads source text."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from tests.layers import ALLOWED, BANNED, FOLDERS, LAZY, LOADS_ACME, PROGRAMS, PROJECT


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
        elif _is_one_of(imported, LOADS_ACME) and not _is_one_of(module, (*LOADS_ACME, *LAZY)):
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
    if _is_one_of(module, LAZY):
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
