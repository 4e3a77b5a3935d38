"""config show and config schema, as the program runs them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.settings_texts import SCHEMA, schema_mistakes
from wellkeeper_issuer.location import PATH_VARIABLE
from wellkeeper_issuer.settings import Settings, read_settings

MORE = """contact = ["a@example.org"]
nginx.reload = "command"

[hooks]
deploy = ["/etc/deploy", "--name", "x"]

[[cas]]
name = "zerossl"
eab_key_id = "a"
eab_hmac_key_file = "/etc/hmac"

[[cas.limits]]
spent = "order"
scope = "account"
count = 3
seconds = 60

[[cas]]
name = "own"
directory = "https://ca.example/directory"
limits = []
"""
DROP_IN = """[[certificates]]
name = "web"
identifiers = ["b.example", "::1"]
ca = "own"

[[certificates]]
identifiers = ["münchen.example"]
csr = "/etc/a.csr"
"""


@pytest.fixture
def configured(program: Program) -> Program:
    """Settings of all kinds of tables, one certificate in the file and two in a drop-in."""
    program.configure("a.example", more=MORE)
    drop_in = program.config.with_name("issuer.d") / "web.toml"
    drop_in.parent.mkdir()
    drop_in.write_text(DROP_IN)
    return program


def shown(program: Program, *arguments: str) -> str:
    finished = program.run("config", "show", *arguments)
    assert (finished.exit_code, finished.err) == (0, "")
    return finished.out


def entries(program: Program, *arguments: str) -> dict[str, dict[str, Any]]:
    found = program.run("config", "show", "--json", *arguments).json()["settings"]
    return {one["key"]: one for one in found}


def line_of(path: Path, text: str) -> int:
    return path.read_text().splitlines().index(text) + 1


def without_inherited(settings: Settings) -> dict[str, Any]:
    """Return the values without the CAs of certificates, which `lineages` resolves."""
    values = settings.model_dump()
    for one in values["certificates"]:
        del one["ca"]
    return values


def test_output_can_be_pasted(configured: Program) -> None:
    before, text = read_settings(configured.config), shown(configured)
    assert schema_mistakes(tomllib.loads(text)) == []
    pasted = configured.folder / "pasted.toml"
    pasted.write_text(text)
    after = read_settings(pasted)
    assert without_inherited(after) == without_inherited(before)
    assert after.lineages() == before.lineages()


def test_output_of_an_empty_file_is_valid_and_has_every_key(program: Program) -> None:
    program.config.parent.mkdir()
    program.config.write_text("")
    assert entries(program)["nodes.local.responder"]["origin"] == "default"
    pasted = program.folder / "pasted.toml"
    pasted.write_text(shown(program))
    assert read_settings(pasted) == Settings()
    first = ("", "nginx.", "fleet.", "fleet.engine.", "hooks.", "notifications.", "heartbeat.", "rehearsal.")
    tables = (*first, "web.", "nodes.local.")
    names = ("Nginx", "Fleet", "Engine", "Hooks", "Notifications", "Heartbeat", "Rehearsal", "Web", "Node")
    models = ("", *(f"{name}Settings" for name in names))
    properties = [(SCHEMA["$defs"][model] if model else SCHEMA)["properties"] for model in models]
    keys = {f"{table}{key}" for table, found in zip(tables, properties, strict=True) for key in found}
    nested = {"nginx", "fleet", "fleet.engine", "hooks", "notifications", "heartbeat", "rehearsal", "web", "nodes"}
    assert entries(program).keys() == keys - nested


def test_each_value_has_its_file_and_line(configured: Program) -> None:
    found, config = entries(configured), configured.config
    drop_in = config.with_name("issuer.d") / "web.toml"
    for key, value, origin, path, line in (
        ("contact", ["mailto:a@example.org"], "file", config, 'contact = ["a@example.org"]'),
        ("nginx.reload", "command", "file", config, 'nginx.reload = "command"'),
        ("cas.zerossl.limits.0.count", 3, "file", config, "count = 3"),
        (
            "certificates.web.identifiers",
            ["b.example", "::1"],
            "drop-in",
            drop_in,
            'identifiers = ["b.example", "::1"]',
        ),
        ("certificates.xn--mnchen-3ya.example.csr", "/etc/a.csr", "drop-in", drop_in, 'csr = "/etc/a.csr"'),
    ):
        expected = {"value": value, "origin": origin, "path": str(path), "line": line_of(path, line)}
        assert found[key] == {"key": key, **expected, "is_masked": False}
    default = {"origin": "default", "path": None, "line": None, "is_masked": False}
    assert found["renewals_at_once"] == {"key": "renewals_at_once", "value": 8, **default}
    assert found["nginx.error_log"] == {"key": "nginx.error_log", "value": None, **default}


def test_values_of_the_top_level_apply_to_tables_without_their_own(configured: Program) -> None:
    with configured.config.open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(f"ca_bundle = '/etc/ca.pem'\n{text}")
    found = entries(configured)
    assert found["cas.own.bundle"]["value"] == "/etc/ca.pem"
    assert found["cas.own.bundle"]["line"] == 1
    assert found["certificates.a.example.ca"]["value"] == ["https://127.0.0.1:1/directory"]
    assert found["certificates.a.example.ca"]["line"] == 2
    assert found["certificates.web.ca"]["value"] == ["own"]


def test_text_has_values_in_tables_with_their_origins(configured: Program) -> None:
    path = configured.config
    lines = shown(configured).splitlines()
    assert lines[0] == f"# Effective settings of {path} (WELLKEEPER_CONFIG)"
    assert lines[1] == f'ca = ["https://127.0.0.1:1/directory"]  # {path}:1'
    assert "# ca_bundle is not set" in lines
    assert "renewals_at_once = 8  # default" in lines
    start = lines.index("[nginx]")
    assert lines[start - 1 : start + 3] == [
        "",
        "[nginx]",
        'command = ["nginx"]  # default',
        f'reload = "command"  # {path}:{line_of(path, "nginx.reload = " + chr(34) + "command" + chr(34))}',
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("renewals_at_once", "renewals_at_once = 8  # default\n"),
        ("nginx.reload_command", "[nginx]\n# reload_command is not set\n"),
        ("rehearsal", "[rehearsal]\n# ca is not set\n# every_days is not set\n"),
        ("certificates.web.key_type", '[[certificates]]\nkey_type = "ecdsa-p256"  # default\n'),
    ],
)
def test_key_limits_the_output(configured: Program, key: str, text: str) -> None:
    assert shown(configured, key) == text


def test_name_of_a_certificate_shows_only_its_table(configured: Program) -> None:
    assert {key.rpartition(".")[0] for key in entries(configured, "certificates.web")} == {"certificates.web"}
    assert {key.partition(".")[0] for key in entries(configured, "certificates")} == {"certificates"}
    assert configured.run("config", "show", "certificates.a").exit_code == 2


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("nginx.relod", "Did you mean 'nginx.reload'?"),
        ("certificates.wob", "Did you mean 'certificates.web'?"),
        ("5", "Run 'wellkeeper config show' to see all keys."),
    ],
)
def test_unknown_key_is_refused(configured: Program, key: str, remedy: str) -> None:
    finished = configured.run("config", "show", key)
    assert (finished.exit_code, finished.out) == (2, "")
    assert finished.err == f"wellkeeper: no setting is named '{key}'\n  {remedy}\n"


@pytest.mark.parametrize("arguments", [(), ("--json",), ("notifications",), ("hooks.deploy", "--json")], ids=str)
def test_secrets_are_never_printed(program: Program, arguments: tuple[str, ...]) -> None:
    secrets = "SECRET"
    program.configure(
        more=f"[notifications]\nwebhook = 'https://{secrets}:{secrets}@hooks.example/{secrets}?{secrets}'\n"
        f"[hooks]\ndeploy = ['curl', '-H', 'Authorization: {secrets}', 'https://hooks.example/{secrets}']"
    )
    finished = program.run("config", "show", *arguments)
    assert finished.exit_code == 0
    assert secrets not in finished.out
    assert "***" in finished.out


def test_masked_value_is_marked(program: Program) -> None:
    program.configure(more="[notifications]\nwebhook = 'https://hooks.example/services/T/B'")
    text = f'[notifications]\nwebhook = "https://hooks.example/***"  # {program.config}:5, masked\n'
    assert shown(program, "notifications").startswith(text)
    assert entries(program)["notifications.webhook"]["is_masked"]


@pytest.mark.parametrize("origin", ["--config", PATH_VARIABLE])
def test_origin_of_the_file_is_shown(program: Program, origin: str) -> None:
    program.configure()
    arguments = ("--config", str(program.config)) if origin == "--config" else ()
    assert program.run("config", "show", "--json", *arguments).json()["file"] == {
        "path": str(program.config),
        "origin": origin,
    }


def test_invalid_settings_are_reported_instead_of_shown(program: Program) -> None:
    program.configure(more="renewals_at_once = 0")
    finished = program.run("config", "show")
    assert (finished.exit_code, finished.out) == (2, "")
    assert f"{program.config}:4: renewals_at_once must be between 1 and 64, not 0" in finished.err


def test_line_break_in_a_path_does_not_break_the_output(program: Program, folder: Path) -> None:
    program.configure()
    path = folder / "a\nb.toml"
    program.config.rename(path)
    assert tomllib.loads(shown(program, "--config", str(path)))["state_dir"] == str(program.state_dir)


def test_schema_is_printed_alone_or_in_an_object(program: Program) -> None:
    assert json.loads(program.run("config", "schema").out) == SCHEMA
    assert program.run("config", "schema", "--json").json() == {"schema_version": 1, "schema": SCHEMA}
