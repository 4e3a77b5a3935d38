"""The JSON Schema: a description for every key, and the same verdict as the program."""

import contextlib
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from tests.issuer.settings_texts import SCHEMA, complaint, read, schema_mistakes, validator
from tests.settings_docs import DOCS
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.schema import models
from wellkeeper_issuer.settings.values import (
    parse_address,
    parse_contact,
    parse_identifier,
    parse_name,
    parse_path,
    parse_responder,
    parse_webhook,
)
from wellkeeper_node import settings as node_settings

CERTIFICATE = "[[certificates]]\nidentifiers = ['a.example']\n"
LIMIT = "[[cas]]\nname = 'google'\n[[cas.limits]]\nspent = 'order'\nscope = 'account'\n"
MAIL = "[[notifications.mail]]\nname = 'admin'\nserver = 'a.example:25'\nsender = 'w@example.org'\n"
INVALID = {
    "wildcard that is ordered": "[[certificates]]\nsource = 'acme'\nidentifiers = ['*.a.example']",
    "other source": "[[certificates]]\nsource = 'other'\nidentifiers = ['a.example']",
    "CA of an external certificate": f"{CERTIFICATE}source = 'external'\nca = 'zerossl'",
    "unknown key": "bogus = 1",
    "unknown key of a table": "[nginx]\npid = 1",
    "unknown key of a list of tables": f"{CERTIFICATE}profil = 'x'",
    "number for a CA": "ca = 5",
    "no CA": "ca = []",
    "CA with http": "ca = 'http://ca.example/'",
    "relative path": "ca_bundle = 'ca.pem'",
    "contact": "contact = ['example.org']",
    "text for a list": "contact = 'a@example.org'",
    "number for true": "terms_of_service_agreed = 1",
    "word": "read_back = 'never'",
    "too small": "renewals_at_once = 0",
    "too large": "renewals_at_once = 65",
    "fraction": "renewals_at_once = 2.5",
    "zero": "orders_per_second = 0",
    "true for a number": "orders_per_second = true",
    "negative": "[nginx]\nreload_debounce_seconds = -1",
    "empty command": "[nginx]\ncommand = []",
    "port": "[nginx]\nhttps_addresses = ['a:65536']",
    "no port": "[nginx]\nhttps_addresses = ['443']",
    "no nodes": "nodes = []",
    "node without a name": "[[nodes]]\nresponder = 'unix:/x'",
    "relative status socket": "[web]\nlisten = 'unix:x'",
    "status without a port": "[web]\nlisten = '127.0.0.1'",
    "relay by TCP": "[fleet]\nrelay = '127.0.0.1:8404'",
    "engine at a socket": "[fleet.engine]\naddress = 'unix:/run/valkey.sock'",
    "relative socket": "[[nodes]]\nname = 'n'\nresponder = 'unix:x'",
    "name of a node": "[[nodes]]\nname = 'N 1'",
    "no identifiers": "[[certificates]]\nname = 'web'",
    "empty identifiers": "[[certificates]]\nidentifiers = []",
    "too many identifiers": f"[[certificates]]\nidentifiers = {[f'n{number}.example' for number in range(101)]}",
    "wildcard": "[[certificates]]\nidentifiers = ['*.a.example']",
    "single label": "[[certificates]]\nidentifiers = ['localhost']",
    "name of a certificate": f"{CERTIFICATE}name = '../x'",
    "key type": f"{CERTIFICATE}key_type = 'rsa-1024'",
    "dropping names beside a CSR": f"{CERTIFICATE}csr = '/a'\ndrop_failing_names = true",
    "text for dropping names": f"{CERTIFICATE}drop_failing_names = 'yes'",
    "key type beside a CSR": f"{CERTIFICATE}csr = '/a'\nkey_type = 'rsa-2048'",
    "must-staple": f"{CERTIFICATE}must_staple = true",
    "unknown CA without a directory": "[[cas]]\nname = 'own'",
    "directory with http": "[[cas]]\nname = 'own'\ndirectory = 'http://ca.example/'",
    "directory with http, not allowed": "[[cas]]\nname = 'own'\ndirectory = 'http://ca.example/'\nallow_http = false",
    "half a binding": "[[cas]]\nname = 'google'\neab_key_id = 'x'",
    "word of a limit": f"{LIMIT.replace('order', 'orders')}count = 1\nseconds = 60",
    "incomplete limit": f"{LIMIT}count = 1",
    "webhook": "[notifications]\nwebhook = 'mail'",
    "webhook without a URL": "[[notifications.webhooks]]\nname = 'chat'",
    "number as body": "[[notifications.webhooks]]\nname = 'chat'\nurl = 'https://a.example/'\nbody = 5",
    "unknown event": "[[notifications.webhooks]]\nname = 'chat'\nurl = 'https://a.example/'\nevents = ['x']",
    "no event": "[[notifications.webhooks]]\nname = 'chat'\nurl = 'https://a.example/'\nevents = []",
    "recipient": f"{MAIL}recipients = ['admin']",
    "no recipient": f"{MAIL}recipients = []",
    "way of sending mail": f"{MAIL}recipients = ['a@example.org']\nsecurity = 'ssl'",
    "method of the heartbeat": "[heartbeat]\nmethod = 'PUT'",
}


def test_every_key_has_a_description() -> None:
    keys = {f"{model.__name__}.{key}": field for model in models(Settings) for key, field in model.model_fields.items()}
    assert len(keys) > 60
    assert [key for key, field in keys.items() if not re.fullmatch(r"[\w`].*\.", field.description or "")] == []


def test_schema_is_valid_and_refuses_unknown_keys() -> None:
    validator().check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    tables = [SCHEMA, *(one for one in SCHEMA["$defs"].values() if "properties" in one)]
    assert [one["additionalProperties"] for one in tables] == [False] * 16


def test_every_default_is_valid() -> None:
    defaults = {key: value["default"] for key, value in SCHEMA["properties"].items() if "default" in value}
    assert schema_mistakes(defaults) == []
    assert defaults["ca"] == ["letsencrypt"]
    assert SCHEMA["$defs"]["NodeSettings"]["properties"]["http_addresses"]["default"] == ["127.0.0.1:80"]


def _pages() -> Iterator[tuple[str, str]]:
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md"), *DOCS.parent.glob("nginx/*.md")]
    for page in pages:
        for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)):
            yield f"{page.name}-{number}", text


# On these pages, tables in double brackets are of issuer.toml, all else of node.toml.
_ABOUT_NODES = ("several-nodes", "load-balancers", "standby")
OF_NODES = {name: text for name, text in _pages() if name.startswith(_ABOUT_NODES) and "[[" not in text}
PAGES = {name: text for name, text in _pages() if name not in OF_NODES}


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_examples_in_the_documentation_are_valid(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)


@pytest.mark.parametrize("text", OF_NODES.values(), ids=OF_NODES)
def test_examples_of_a_nodes_settings_are_valid(folder: Path, text: str) -> None:
    required = "" if "relays" in text else 'name = "web2"\nrelays = ["10.0.0.1:8404"]\n'
    path = folder / "node.toml"
    path.write_text(required + text)
    assert node_settings.read(path).relays[0] == "10.0.0.1:8404"


def test_there_are_examples_in_the_documentation() -> None:
    assert {name.partition(".md")[0] for name in PAGES} >= {"settings", "hooks", "renewals"}


def test_settings_of_the_integration_tests_are_valid(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    node = NodeUnderTest("n1", "unix:/run/n1.sock", ("::1", 8080), ("127.0.0.1", 8443))
    names = {"web": ["a.example", "::1"]}
    directories = ("https://a.example/directory", "https://b.example/directory")
    ca_bundle, pid_file = tmp_path / "ca.pem", tmp_path / "nginx.pid"
    issuer.configure(IssuerSettings(directories, ca_bundle, names, [node], ["nginx", "-c", "x"], pid_file))
    read(tmp_path, issuer.config_path.read_text())


def test_directory_without_tls_is_valid_where_it_is_allowed(tmp_path: Path) -> None:
    read(tmp_path, f"{CERTIFICATE}[[cas]]\nname = 'own'\ndirectory = 'http://ca.example/'\nallow_http = true")


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_program_and_schema_refuse_the_same_settings(tmp_path: Path, text: str) -> None:
    assert complaint(tmp_path, text) != ""
    assert schema_mistakes(tomllib.loads(text)) != []


# Characters of addresses, names and what is close to them.
TEXTS = st.text("aZ09.:-_@/[]% *\n。é") | st.text()
PARSERS: dict[Callable[[object], Any], tuple[str, str]] = {
    parse_address: ("NginxSettings", "https_addresses"),
    parse_contact: ("", "contact"),
    parse_identifier: ("CertificateSettings", "identifiers"),
    parse_name: ("CertificateSettings", "name"),
    parse_path: ("", "state_dir"),
    parse_responder: ("NodeSettings", "responder"),
    parse_webhook: ("NotificationsSettings", "webhook"),
}


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(text=TEXTS)
@example(text="[::1]:00080")
@example(text="::")
@example(text="/a\nb")
@example(text="mailto:a@b")
@example(text=" A.example. ")
@example(text="http://a.example")
def test_schema_accepts_every_text_that_the_program_accepts(parse: Callable[[object], Any], text: str) -> None:
    table, key = PARSERS[parse]
    found = (SCHEMA["$defs"][table] if table else SCHEMA)["properties"][key]
    with contextlib.suppress(ValueError):
        parse(text)
        assert schema_mistakes(text, found.get("items", found)) == []
