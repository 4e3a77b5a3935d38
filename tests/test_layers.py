"""The house keeps its rooms: imports go in the directions of the design, and files stay small."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import MAX_LINES, PROJECT, imports_inside_functions, module_name, source_files, violations

SOURCES = [pytest.param(path, id=module_name(path)) for path in source_files()]
NOT_TESTS = [pytest.param(path, id=module_name(path)) for path in source_files() if "tests" not in path.parts]


@pytest.mark.parametrize("path", NOT_TESTS)
def test_module_imports_only_what_its_room_allows(path: Path) -> None:
    assert violations(module_name(path), path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES)
def test_imports_stand_at_the_top(path: Path) -> None:
    assert imports_inside_functions(module_name(path), path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES)
def test_file_is_not_longer_than_one_can_read(path: Path) -> None:
    line_count = len(path.read_text().splitlines())
    assert line_count <= MAX_LINES


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("responder.wire", "from responder import tokens", "may not import responder.tokens"),
        ("responder.app", "import issuer.model", "may not import issuer.model"),
        ("responder.app", "from issuer import model", "may not import issuer.model"),
        ("responder.app", "import acme.client", "may not import acme.client"),
        ("issuer.model", "import cryptography", "may not import cryptography"),
        ("issuer.ports", "from issuer.outside import disk", "may not import issuer.outside.disk"),
        ("issuer.obtain.order", "import time", "may not import time"),
        ("issuer.obtain.order", "from random import random", "may not import random"),
        ("issuer.obtain.order", "from issuer.outside.ca.network import Ca", "may not import issuer.outside.ca.network"),
        ("issuer.obtain.order", "from issuer.obtain import due", "may not import issuer.obtain.due"),
        ("issuer.obtain.order", "from issuer.deliver import reload", "may not import issuer.deliver.reload"),
        ("issuer.deliver.verify", "def verify():\n    import ssl", "may not import ssl"),
        ("issuer.outside.disk", "import acme", "may not import acme"),
        ("issuer.outside.disk", "from issuer.outside.ca import network", "it loads acme"),
        ("issuer.outside.disk", "from responder import publication", "may not import responder.publication"),
        ("issuer.outside.nginx", "from issuer import renew", "may not import issuer.renew"),
        ("issuer.daemon", "from issuer.outside import disk", "may not import issuer.outside.disk"),
        ("stand.nginx", "import issuer.settings", "may not import issuer.settings"),
        ("issuer.misc", "", "has no room"),
    ],
)
def test_planted_violation_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("issuer.obtain.order", "import asyncio\nfrom issuer import pki\nfrom issuer.model import Order"),
        ("issuer.outside.ca.authority", "from acme import messages\nfrom issuer.outside import ca_network"),
        ("issuer.outside.responders", "from responder.publication import sign_publication"),
        ("issuer.commands.build", "from issuer.outside.ca.authority import Ca"),
    ],
)
def test_what_the_design_allows_is_not_complained_about(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_planted_import_inside_a_function_is_found() -> None:
    source = "async def renew():\n    if True:\n        import json\n"
    assert imports_inside_functions("issuer.renew", source) == ["issuer.renew: an import inside renew, line 3"]
    assert imports_inside_functions("issuer.commands.renew", source) == []


def test_installing_loads_no_acme() -> None:
    """An installer is these modules; the acme library must not even be needed there."""
    stages = [module_name(path) for path in sorted((PROJECT / "issuer/deliver").glob("*.py"))]
    outside = [f"issuer.outside.{name}" for name in ("disk", "nginx", "probes", "process")]
    script = f"import sys, {', '.join([*stages, *outside])}; print(sorted({{'acme', 'josepy'}} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
