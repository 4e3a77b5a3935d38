"""prepare: what it makes in empty directories, what it keeps, and its output."""

from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Finished, Program
from tests.json_docs import assert_documented
from wellkeeper_client import trust_file
from wellkeeper_issuer.settings import read_settings

AGREE = "--agree-to-terms-of-service"
CERTIFICATE = ("--certificate", "a.example,b.example")


@pytest.fixture(autouse=True)
def places(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the test's directories, as the variables of an image may."""
    for name, path in {
        "STATE_DIR": program.state_dir,
        "CERTIFICATES_DIR": program.certificates_dir,
        "PROGRAM": program.folder / "program",
        "TRUST": program.folder / "trust/trust.toml",
    }.items():
        monkeypatch.setenv(f"WELLKEEPER_{name}", str(path))


def prepare(program: Program, *arguments: str) -> Finished:
    finished = program.run("prepare", *arguments)
    assert finished.err == ""
    assert finished.exit_code == 0
    return finished


def modes(program: Program, *names: str) -> list[int]:
    return [(program.folder / name).stat().st_mode & 0o7777 for name in names]


def snapshot(program: Program) -> dict[Path, bytes]:
    files = (path for path in program.folder.rglob("*") if path.is_file() and not path.name.startswith("history."))
    return {path: path.read_bytes() for path in files}


def test_empty_directories_get_everything(program: Program) -> None:
    out = prepare(program, AGREE, *CERTIFICATE, "--contact", "a@example.org").out
    settings = read_settings(program.config)
    assert [one.name for one in settings.certificates] == ["a.example"]
    assert settings.trust_file == program.folder / "trust/trust.toml"
    assert trust_file.read(settings.trust_file).publishing_keys
    assert (program.certificates_dir / "live/a.example/fullchain.pem").exists()
    assert modes(program, "issuer", "certificates", "program", "trust") == [0o700, 0o755, 0o755, 0o755]
    assert modes(program, "issuer/publishing_key.pem", "program/snippets/tls.conf") == [0o600, 0o644]
    assert modes(program, "program/nginx-agent", "program/entrypoint") == [0o755, 0o755]
    assert out.splitlines()[:3] == [
        f"wrote  {program.config}",
        f"wrote  {program.config.parent}/issuer.d/a.example.toml",
        f"wrote  {settings.trust_file}",
    ]
    assert f"\n  include {program.folder}/program/snippets/challenge.conf;\n" in out


def test_second_run_has_nothing_to_do(program: Program) -> None:
    prepare(program, AGREE, *CERTIFICATE)
    before = snapshot(program)
    assert prepare(program, AGREE, *CERTIFICATE).out == "Nothing to do: everything is in place.\n"
    done = prepare(program, "--json").json()
    assert_documented("prepare", done)
    assert not done["is_changed"]
    assert snapshot(program) == before


def test_variables_give_the_same_as_options(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CERTIFICATE": "a.example, b.example\nc.example",
        "CONTACT": "a@example.org b@example.org",
        "AGREE_TO_TERMS_OF_SERVICE": "true",
        "CA": "letsencrypt-staging",
        "HTTP": "nginx:8080 [::1]:8080",
        "HTTPS": "nginx:8443",
        "RESPONDER": "responder:8403",
        "CA_BUNDLE": "",
    }.items():
        monkeypatch.setenv(f"WELLKEEPER_{name}", value)
    done = prepare(program, "--json").json()
    assert_documented("prepare", done)
    assert done["is_changed"]
    assert len(done["program"]["written"]) >= 5
    settings = read_settings(program.config)
    assert (settings.ca, settings.ca_bundle) == (("letsencrypt-staging",), None)
    assert settings.contact == ("mailto:a@example.org", "mailto:b@example.org")
    assert {tuple(one.value for one in lineage.identifiers) for lineage in settings.lineages()} == {
        ("a.example", "b.example"),
        ("c.example",),
    }
    (node,) = settings.nodes
    assert node.responder == "responder:8403"
    assert node.http_addresses == (("nginx", 8080), ("::1", 8080))
    assert node.https_addresses == settings.nginx.https_addresses == (("nginx", 8443),)


def test_option_wins_over_its_variable(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLKEEPER_CERTIFICATE", "b.example")
    prepare(program, AGREE, "--certificate", "a.example")
    assert [one.name for one in read_settings(program.config).certificates] == ["a.example"]


def test_new_certificates_are_added_and_options_that_differ_are_noted(program: Program) -> None:
    prepare(program, AGREE, "--certificate", "a.example")
    before = program.config.read_text()
    again = ("--certificate", "a.example", "--certificate", "c.example", "--contact", "a@example.org", AGREE)
    out = prepare(program, *again).out
    assert program.config.read_text() == before
    assert [one.name for one in read_settings(program.config).certificates] == ["a.example", "c.example"]
    assert out.splitlines()[:3] == [
        f"wrote  {program.config.parent}/issuer.d/c.example.toml",
        "made   c.example: a placeholder, so that nginx can start",
        f"note   --contact (WELLKEEPER_CONTACT) differs from {program.config}, which was kept: edit that file",
    ]


def test_certificate_whose_names_were_changed_is_noted_and_kept(program: Program) -> None:
    prepare(program, AGREE, *CERTIFICATE)
    before = snapshot(program)
    out = prepare(program, "--certificate", "a.example,b.example,c.example").out
    drop_in = program.config.parent / "issuer.d/a.example.toml"
    assert out.splitlines() == [
        f"note   --certificate (WELLKEEPER_CERTIFICATE) differs from {drop_in}:3, which was kept: edit that file",
        "Nothing to do: everything is in place.",
    ]
    assert snapshot(program) == before


def test_settings_without_certificates_get_everything_else(program: Program) -> None:
    program.configure()
    assert f"wrote  {program.folder}/trust/trust.toml" in prepare(program).out
    assert prepare(program).out.endswith("Nothing to do: everything is in place.\n")


def test_files_of_another_version_are_updated_and_so_is_a_stale_trust_file(program: Program) -> None:
    prepare(program, AGREE, *CERTIFICATE)
    snippet, trust = program.folder / "program/snippets/tls.conf", program.folder / "trust/trust.toml"
    current = snapshot(program)
    snippet.write_text("old")
    (program.folder / "program/snippets/challenge.conf").chmod(0o600)
    trust.write_text("old")
    out = prepare(program).out
    assert snapshot(program) == current
    assert modes(program, "program/snippets/challenge.conf") == [0o644]
    assert out.splitlines()[:2] == [f"wrote  {trust}", f"wrote  {program.folder}/program: 2 files"]


def test_trust_file_of_the_settings_counts_for_other_commands(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(program, AGREE, *CERTIFICATE)
    monkeypatch.delenv("WELLKEEPER_TRUST")
    assert not prepare(program, "--json").json()["is_changed"]
    assert program.run("trust").out.startswith(f"{program.folder}/trust/trust.toml is up to date:\n")


def test_ca_of_ones_own_may_have_no_terms(program: Program) -> None:
    out = prepare(program, "--ca", "https://ca.internal/directory", *CERTIFICATE).out
    assert "note   terms_of_service_agreed = false: CAs with terms refuse an account\n" in out
    assert not read_settings(program.config).terms_of_service_agreed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((AGREE,), "Missing option --certificate (or WELLKEEPER_CERTIFICATE): the names of a certificate."),
        (
            CERTIFICATE,
            "Missing option --agree-to-terms-of-service (or WELLKEEPER_AGREE_TO_TERMS_OF_SERVICE): read the terms",
        ),
        (("--certificate", "*.a.example"), "--certificate (or WELLKEEPER_CERTIFICATE): '*.a.example' is a wildcard"),
        ((*CERTIFICATE, "--ca", "letsencrpt"), "--ca (or WELLKEEPER_CA): unknown CA 'letsencrpt'. Did you mean"),
        ((*CERTIFICATE, "--contact", "nobody"), "--contact (or WELLKEEPER_CONTACT): 'nobody' is not an email address"),
        ((*CERTIFICATE, AGREE, "--http", "nginx"), "--http (or WELLKEEPER_HTTP): 'nginx' is not an address"),
        ((*CERTIFICATE, "--ca-bundle", "/missing.pem"), "'--ca-bundle' (env var: 'WELLKEEPER_CA_BUNDLE'): File"),
        (
            (*CERTIFICATE, AGREE, "--responder", "unix:control.sock"),
            "--responder (or WELLKEEPER_RESPONDER): 'unix:control.sock': a socket's path must be absolute",
        ),
        (("--certificates", "a.example"), "No such option"),
        (
            (*CERTIFICATE, AGREE, "--nginx-agent", "/run/agent", "--shared-pid-namespace"),
            "(or WELLKEEPER_NGINX_AGENT) and --shared-pid-namespace (or WELLKEEPER_SHARED_PID_NAMESPACE) cannot be",
        ),
        (
            (*CERTIFICATE, AGREE, "--nginx-agent", "/run/agent", "--nginx-error-log", "/log"),
            "--nginx-error-log (or WELLKEEPER_NGINX_ERROR_LOG) cannot be combined.",
        ),
    ],
)
def test_bad_or_missing_value_is_named_with_its_variable(
    program: Program, arguments: tuple[str, ...], words: str
) -> None:
    finished = program.run("prepare", *arguments)
    assert (finished.exit_code, finished.out) == (2, "")
    assert words in finished.err
    assert list(program.folder.iterdir()) == []


def test_mistyped_variable_is_refused(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLKEEPER_CERTIFICATES", "a.example")
    monkeypatch.setenv("WELLKEEPER_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets it for a service `wellkeeper`
    finished = program.run("prepare", AGREE)
    assert finished.exit_code == 2
    assert finished.err.endswith(
        "Error: Unknown variable WELLKEEPER_CERTIFICATES. Did you mean WELLKEEPER_CERTIFICATE?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "log"),
    [((), "/run/wellkeeper-nginx/error.log"), (("--nginx-error-log", "/logs/e.log"), "/logs/e.log")],
)
def test_master_in_the_same_pod_is_found_and_reloaded_by_signal(
    program: Program, arguments: tuple[str, ...], log: str
) -> None:
    prepare(program, AGREE, *CERTIFICATE, "--shared-pid-namespace", *arguments)
    nginx = read_settings(program.config).nginx
    assert (nginx.pid_file, nginx.test, nginx.error_log) == ("auto", "reload", Path(log))
