"""init: files it writes and keeps, and its output."""

import errno
import os
from pathlib import Path

import pytest

from tests.fakes_deliver import dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.json_docs import assert_documented
from tests.unprivileged import as_unprivileged_user
from wellkeeper_client import trust_file
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.new_settings import translated
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import read_settings

AGREE = "--agree-to-terms-of-service"


def init(program: Program, *arguments: str) -> str:
    """Run init with the test's directories and return its output."""
    folders = ("--state-dir", str(program.state_dir), "--certificates-dir", str(program.certificates_dir))
    finished = program.run("init", *folders, AGREE, *arguments)
    assert (finished.exit_code, finished.err) == (0, "")
    return finished.out


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def path_of_trust(program: Program) -> Path:
    return program.config.with_name("trust.toml")


def test_settings_keys_and_trust_file_are_written(program: Program) -> None:
    out = init(
        program,
        *("--ca", "letsencrypt-staging", "--contact", "a@example.org"),
        *("--certificate", "a.example, b.example", "--certificate", "c.example"),
    )
    settings = read_settings(program.config)
    assert settings.ca == ("letsencrypt-staging",)
    assert settings.contact == ("mailto:a@example.org",)
    assert settings.terms_of_service_agreed
    assert [one.to_lineage() for one in settings.certificates] == [
        Lineage("a.example", (dns("a.example"), dns("b.example"))),
        Lineage("c.example", (dns("c.example"),)),
    ]
    assert [mode(path) for path in (program.config, path_of_trust(program))] == [0o644, 0o644]
    folder = build.accounts(settings)
    keys = [folder.key_path(settings.all_cas()[0].directory), program.state_dir / "publishing_key.pem"]
    assert [mode(path) for path in [program.state_dir, *keys]] == [0o700, 0o600, 0o600]
    trust = trust_file.read(path_of_trust(program))
    assert (len(trust.account_thumbprints), len(trust.publishing_keys)) == (1, 1)
    written = [f"wrote  {program.config}", *(f"made   {path}" for path in keys), f"wrote  {path_of_trust(program)}"]
    assert out.splitlines()[:4] == written
    assert "PRIVATE KEY" not in out


def test_only_the_agreement_is_needed(program: Program) -> None:
    out = init(program)
    settings = read_settings(program.config)
    assert settings.ca == ("letsencrypt",)
    assert (settings.contact, settings.terms_of_service_agreed, settings.certificates) == ((), True, ())
    assert "No certificates are configured yet. Run 'wellkeeper certificate add NAME'" in out


def test_second_run_changes_nothing(program: Program) -> None:
    init(program, "--certificate", "a.example")
    before = {path: path.read_bytes() for path in program.folder.rglob("*") if path.is_file()}
    finished = program.run("init")
    assert finished.exit_code == 0
    assert {path: path.read_bytes() for path in program.folder.rglob("*") if path.is_file()} == before
    assert finished.out.splitlines()[:3] == [
        f"kept   {program.config}",
        f"kept   {path_of_trust(program)}",
        "",
    ]


def test_options_that_change_nothing_are_reported(program: Program) -> None:
    init(program)
    finished = program.run("init", "--ca", "letsencrypt-staging", "--certificate", "a.example")
    assert finished.out.splitlines()[0] == (
        f"kept   {program.config}; --ca, --certificate ignored: edit the file, or run 'wellkeeper certificate add'"
    )


def test_lost_key_is_replaced_and_the_stale_trust_file_kept_and_reported(program: Program) -> None:
    init(program)
    old = path_of_trust(program).read_text()
    (program.state_dir / "publishing_key.pem").unlink()
    out = program.run("init").out.splitlines()
    assert out[:4] == [
        f"kept   {program.config}",
        f"made   {program.state_dir / 'publishing_key.pem'}",
        f"kept   {path_of_trust(program)}",
        f"note   {path_of_trust(program)} differs: run 'wellkeeper trust --write'",
    ]
    assert path_of_trust(program).read_text() == old


def test_trust_file_is_written_for_existing_settings(program: Program) -> None:
    init(program)
    path_of_trust(program).unlink()
    found = program.run("init", "--json").json()
    assert_documented("init", found)
    assert found["trust_file"]["is_written"]
    assert path_of_trust(program).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ca", "letsencrypt-prod"), "--ca: unknown CA 'letsencrypt-prod'. Did you mean"),
        (("--certificate", "*.a.example"), "--certificate: '*.a.example' is a wildcard"),
        (
            ("--certificate", "a\udcff.example"),
            "--certificate: 'a\\udcff.example' is not a valid internationalized name",
        ),
        (("--contact", "nobody"), "--contact: 'nobody' is not an email address"),
        (("--certificates-dir", "/var/lib/wellkeeper/issuer/x"), "must not contain each other"),
    ],
)
def test_bad_values_write_no_file(program: Program, arguments: tuple[str, ...], words: str) -> None:
    finished = program.run("init", AGREE, *arguments)
    assert finished.exit_code == 2
    assert words in finished.err
    assert finished.out == ""
    assert not list(program.config.parent.glob("*"))


@pytest.mark.parametrize("name", ["😀", "q\"'\\", "a\nb\t\x01\x7f", "\u2028", "x" * 255], ids=ascii)
def test_directory_may_have_any_name(program: Program, name: str) -> None:
    finished = program.run(
        *("init", AGREE, "--state-dir", str(program.state_dir / name)),
        *("--certificates-dir", str(program.certificates_dir / name)),
    )
    assert (finished.exit_code, finished.err) == (0, "")
    settings = read_settings(program.config)
    assert (settings.state_dir, settings.certificates_dir) == (
        program.state_dir / name,
        program.certificates_dir / name,
    )
    assert (program.state_dir / name / "publishing_key.pem").exists()


def test_file_explains_each_of_its_keys(program: Program) -> None:
    init(program, "--certificate", "a.example", "--certificate", "b.example")
    text = program.config.read_text()
    assert text.startswith("# Settings of wellkeeper; 'wellkeeper config show' prints every key")
    lines = text.splitlines()
    assert lines[1:6] == [
        "",
        "# The CA, or several in order of preference: when one cannot issue, the next one is asked. Each is a",
        "# known name, the name of one of [[cas]], or the https:// URL of an ACME directory.",
        'ca = "letsencrypt"',
        "",
    ]
    keys = {
        line.partition(" = ")[0]: lines[number - 1] for number, line in reversed([*enumerate(lines)]) if " = " in line
    }
    assert keys.keys() == {"ca", "contact", "terms_of_service_agreed", "state_dir", "certificates_dir", "identifiers"}
    assert [comment[:2] for comment in keys.values()] == ["# "] * 6


@pytest.mark.parametrize(
    "arguments",
    [("--state-dir", "/a\udcff"), ("--contact", "a\udcff@a.example")],
    ids=["state_dir", "contact"],
)
def test_value_that_is_not_utf_8_is_refused(
    program: Program, arguments: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    finished = program.run("init", AGREE, *arguments)
    assert finished.exit_code == 2
    assert finished.err.startswith(f"wellkeeper: cannot write {request.node.callspec.id} = ")
    assert finished.err.endswith("Use a value in UTF-8.\n")
    assert not program.config.parent.exists()


def test_overlong_config_name_is_reported(program: Program) -> None:
    finished = program.run("init", AGREE, "--config", str(program.folder / ("x" * 300)))
    assert finished.exit_code == 2
    assert "  File name too long\n  Run the command with sudo, or choose another file with --config.\n" in finished.err


def test_unknown_option_is_a_usage_error(program: Program) -> None:
    finished = program.run("init", "--certificates", "a.example")
    assert finished.exit_code == 2
    assert "No such option" in finished.err


def test_invalid_existing_settings_are_reported_and_kept(program: Program) -> None:
    program.configure(more="bogus = 1")
    finished = program.run("init")
    assert finished.exit_code == 2
    assert "unknown key 'bogus'" in finished.err
    assert program.config.exists()


def test_unwritable_path_is_named(program: Program) -> None:
    finished = program.run("init", AGREE, "--config", "/proc/wellkeeper/issuer.toml")
    assert finished.exit_code == 2
    assert "cannot write /proc/wellkeeper" in finished.err
    assert "Run the command with sudo, or choose another file with --config." in finished.err


@pytest.mark.parametrize("command", ["init", "setup"])
def test_user_who_may_not_write_the_settings_is_asked_nothing(program: Program, command: str) -> None:
    config = "/etc/wellkeeper-of-root/issuer.toml"
    with as_unprivileged_user():
        finished = program.run(command, "--config", config)
        uid = os.geteuid()
    assert (finished.exit_code, finished.out) == (2, "")
    assert finished.err == (
        f"wellkeeper: cannot write {config}\n  this user (uid {uid}) may not write to /etc\n"
        f"  Run it with sudo: 'sudo wellkeeper {command}'.\n"
    )


def test_missing_agreement_is_named_when_the_terms_cannot_be_read(program: Program) -> None:
    finished = program.run("init", "--ca", UNREACHABLE_CA)
    assert finished.exit_code == 2
    assert (
        "Error: Missing option '--agree-to-terms-of-service'. The terms of service of the CA 127.0.0.1 cannot be"
        in (finished.err)
    )
    assert "no answer from the CA 127.0.0.1 to the request for its directory" in finished.err
    assert not program.config.parent.exists()


def test_unknown_ca_is_reported_before_the_agreement(program: Program) -> None:
    finished = program.run("init", "--ca", "letsencrypt-prod")
    assert finished.exit_code == 2
    assert "Invalid value for --ca: unknown CA 'letsencrypt-prod'. Did you mean" in finished.err


def test_read_only_directory_needs_a_volume(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught, translated(tmp_path / "issuer.toml"):
        raise OSError(errno.EROFS, "Read-only file system")
    what = f"cannot write {tmp_path}/issuer.toml"
    assert caught.value.lines == (
        what,
        "Read-only file system",
        "Mount a volume there, or put a finished file in its place.",
    )
