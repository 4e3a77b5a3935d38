"""Checks that imports follow the design's directions and files stay small."""

import subprocess
import sys

import pytest

from tests.imports import imports, imports_inside_functions, module_name, source_files, violations
from tests.layers import MAX_LINES, PROJECT

pytestmark = pytest.mark.any_python

SOURCES = list(source_files())


def test_modules_import_only_what_their_row_allows() -> None:
    checked = [path for path in SOURCES if "tests" not in path.parts]
    assert [one for path in checked for one in violations(module_name(path), path.read_text())] == []


def test_imports_are_at_module_level() -> None:
    assert [one for path in SOURCES for one in imports_inside_functions(module_name(path), path.read_text())] == []


def test_files_have_at_most_300_lines() -> None:
    counts = {module_name(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: count for name, count in counts.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        (
            "wellkeeper_client.wire",
            "from wellkeeper_responder import tokens",
            "may not import wellkeeper_responder.tokens",
        ),
        ("wellkeeper_responder.app", "import wellkeeper_issuer.model", "may not import wellkeeper_issuer.model"),
        ("wellkeeper_responder.app", "from wellkeeper_issuer import model", "may not import wellkeeper_issuer.model"),
        ("wellkeeper_responder.app", "import acme.client", "may not import acme.client"),
        ("wellkeeper_issuer.model", "import cryptography", "may not import cryptography"),
        (
            "wellkeeper_issuer.ports",
            "from wellkeeper_node.certificates import folders",
            "may not import wellkeeper_node.certificates.folders",
        ),
        ("wellkeeper_node.ports", "from wellkeeper_issuer import model", "may not import wellkeeper_issuer.model"),
        ("wellkeeper_issuer.obtain.order", "import time", "may not import time"),
        ("wellkeeper_issuer.obtain.order", "from random import random", "may not import random"),
        (
            "wellkeeper_issuer.obtain.order",
            "from wellkeeper_issuer.outside.ca.network import Ca",
            "may not import wellkeeper_issuer.outside.ca.network",
        ),
        (
            "wellkeeper_issuer.obtain.order",
            "from wellkeeper_issuer.obtain import due",
            "may not import wellkeeper_issuer.obtain.due",
        ),
        (
            "wellkeeper_issuer.obtain.order",
            "from wellkeeper_node.deliver import reload",
            "may not import wellkeeper_node.deliver.reload",
        ),
        ("wellkeeper_node.deliver.verify", "def verify():\n    import ssl", "may not import ssl"),
        ("wellkeeper_node.certificates.folders", "import acme", "may not import acme"),
        ("wellkeeper_node.certificates.folders", "from wellkeeper_issuer.outside.ca import signing", "may not import"),
        (
            "wellkeeper_node.certificates.folders",
            "from wellkeeper_client import signing",
            "may not import wellkeeper_client.signing",
        ),
        (
            "wellkeeper_node.nginx.local",
            "from wellkeeper_issuer import renew",
            "may not import wellkeeper_issuer.renew",
        ),
        (
            "wellkeeper_issuer.daemon",
            "from wellkeeper_node.certificates import folders",
            "may not import wellkeeper_node.certificates.folders",
        ),
        ("stand.nginx", "import wellkeeper_issuer.settings", "may not import wellkeeper_issuer.settings"),
        ("wellkeeper_issuer.outside.ca.session", "import requests", "may not import requests"),
        ("wellkeeper_issuer.outside.host.hooks", "from wellkeeper_issuer.outside.ca import signing", "it loads acme"),
        ("wellkeeper_issuer.misc", "", "is not in tests/layers.py"),
    ],
)
def test_forbidden_import_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "wellkeeper_issuer.obtain.order",
            "import asyncio\nfrom wellkeeper_issuer import pki\nfrom wellkeeper_issuer.model import Order",
        ),
        (
            "wellkeeper_issuer.outside.ca.authority",
            "from acme import messages\nfrom wellkeeper_issuer.outside import ca_network",
        ),
        ("wellkeeper_node.responders.publications", "from wellkeeper_client.signing import sign_publication"),
        ("wellkeeper_issuer.assembly.build", "from wellkeeper_issuer.outside.ca.authority import Ca"),
    ],
)
def test_allowed_import_is_accepted(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_import_inside_a_function_is_found() -> None:
    source = "async def renew():\n    if True:\n        import json\n"
    assert imports_inside_functions("wellkeeper_issuer.renew", source) == [
        "wellkeeper_issuer.renew: an import inside renew, line 3"
    ]
    assert imports_inside_functions("wellkeeper_issuer.commands.renew", source) == []


def test_only_commands_that_a_person_runs_know_the_trust_file() -> None:
    """A daemon that could write it could be made to add a pin (docs/design/0002-trust.md)."""
    inside = [path for path in SOURCES if not {"tests", "bench"} & set(path.parts)]
    writers = {"wellkeeper_issuer.commands.trust_file", "wellkeeper_client.trust_file"}
    found = {module_name(path) for path in inside if writers & set(imports(path.read_text()))}
    assert {name for name in found if not name.startswith("wellkeeper_responder.")} == {
        "wellkeeper_issuer.commands.init",
        "wellkeeper_issuer.commands.prepare",
        "wellkeeper_issuer.commands.preparing.report",
        "wellkeeper_issuer.commands.setting_up.writing",
        "wellkeeper_issuer.commands.publisher_list",
        "wellkeeper_issuer.commands.publisher_remove",
        "wellkeeper_issuer.commands.trust",
        "wellkeeper_issuer.commands.trust_file",
        "wellkeeper_issuer.commands.fleet_listen",
        "wellkeeper_issuer.commands.node_invite",
        "wellkeeper_node.commands.join",
        # These read it only.
        "wellkeeper_issuer.commands.backing_up.collecting",
        "wellkeeper_node.agent.build",
    }


def test_daemon_does_not_load_the_trust_file() -> None:
    modules = [module_name(path) for path in sorted((PROJECT / "issuer").rglob("*.py"))]
    daemon = [name for name in modules if ".commands" not in name and "__main__" not in name]
    script = f"import sys, {', '.join(daemon)}, wellkeeper_issuer.commands.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert [name for name in loaded.stdout.split() if name.endswith("trust_file")] == []


def test_node_loads_neither_acme_nor_the_issuer() -> None:
    modules = [module_name(path) for path in sorted((PROJECT / "node").rglob("*.py"))]
    unwanted = {"acme", "josepy", "wellkeeper_issuer"}
    script = f"import sys, {', '.join(modules)}; print(sorted({unwanted} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
