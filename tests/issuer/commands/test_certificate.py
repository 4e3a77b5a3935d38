"""certificate add, remove and list, without a daemon; tests with one are in tests/integration."""

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.issuer.commands.conftest import Finished, Program


@pytest.fixture
def ready(program: Program, nginx_table: str) -> Program:
    """Return a program with one certificate in the main file and an unreachable CA."""
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    return program


def drop_in(program: Program, name: str) -> Path:
    return program.config.with_name("issuer.d") / f"{name}.toml"


def refused(finished: Finished) -> str:
    assert (finished.exit_code, finished.out) == (2, ""), finished
    return finished.err


def write_csr(path: Path, *names: str) -> None:
    extension = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(extension, critical=False)
    )
    path.write_bytes(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM))


@pytest.mark.parametrize("more", ['agent = "/run/wellkeeper-nginx"', 'pid_file = "auto"\ntest = "reload"'])
def test_snippets_of_an_nginx_in_another_container_have_their_path(ready: Program, more: str) -> None:
    ready.configure("a.example", more=f"[nginx]\n{more}")
    out = ready.run("certificate", "add", "b.example", "--no-renew").out
    assert "\n  include /var/lib/wellkeeper/program/snippets/challenge.conf;\n" in out
    assert "\n  include /var/lib/wellkeeper/program/snippets/tls.conf;\n" in out
    assert "setup" not in out
    assert "\n  include /var/lib/wellkeeper/program/snippets/upstream.conf;\n" in ready.run("trust").out


def test_added_certificate_is_obtained_at_once_and_kept_on_failure(ready: Program) -> None:
    finished = ready.run("certificate", "add", "B.example,www.b.example")
    live = ready.certificates_dir / "live/b.example"
    assert finished.exit_code == 1
    assert finished.out.splitlines()[:15] == [
        f"b.example: placeholder for 7 days in {live}",
        f"wrote  {drop_in(ready, 'b.example')}",
        "",
        "Add to each of its server blocks on port 80 (with 'return' and 'if' inside 'location /'):",
        "",
        "  include snippets/wellkeeper/challenge.conf;",
        "",
        "and to those on port 443 ('wellkeeper setup' prints both as a patch):",
        "",
        "  listen 443 ssl;",
        "  listen [::]:443 ssl;",
        "  include snippets/wellkeeper/tls.conf;",
        "  # b.example, www.b.example",
        f"  ssl_certificate     {live}/fullchain.pem;",
        f"  ssl_certificate_key {live}/privkey.pem;",
    ]
    result, _, findings = "\n".join(finished.out.splitlines()[15:]).partition(
        "\n\nAlso, 'wellkeeper doctor' reports:\n"
    )
    assert result.splitlines()[-3].startswith("b.example: failed (order): ")
    assert findings.startswith("fail     ")
    assert tomllib.loads(drop_in(ready, "b.example").read_text()) == {
        "certificates": [{"name": "b.example", "identifiers": ["B.example", "www.b.example"]}]
    }
    listed = ready.run("certificate", "list", "--json").json()["certificates"]
    assert [one["name"] for one in listed] == ["a.example", "b.example"]
    assert ready.run("list", "--json").json()["certificates"] == listed


def test_every_option_is_written_to_the_drop_in(ready: Program) -> None:
    options = ["--name", "web", "--key-type", "rsa-3072", "--profile", "short", "--ca", "google", "--ca", "zerossl"]
    finished = ready.run("certificate", "add", "münchen.example", *options, "--reuse-key", "--no-renew")
    assert finished.exit_code == 0, finished
    assert "failed" not in finished.out
    assert tomllib.loads(drop_in(ready, "web").read_text())["certificates"] == [
        {
            "name": "web",
            "identifiers": ["münchen.example"],
            "key_type": "rsa-3072",
            "profile": "short",
            "ca": ["google", "zerossl"],
            "reuse_key": True,
        }
    ]


def test_value_that_is_not_utf_8_is_refused(ready: Program) -> None:
    words = refused(ready.run("certificate", "add", "b.example", "--profile", "a\udcff", "--no-renew"))
    assert "cannot write profile = 'a\\udcff'\n  it is not UTF-8\n" in words
    assert not drop_in(ready, "b.example").exists()


def test_csr_is_checked_before_anything_is_written(ready: Program, folder: Path) -> None:
    path = folder / "b.csr"
    arguments = ("certificate", "add", "b.example", "--csr", str(path), "--no-renew")
    assert f"cannot read {path}\n  No such file or directory\n  Correct the path, or create the file.\n" in refused(
        ready.run(*arguments)
    )
    write_csr(path, "c.example")
    assert "it lacks b.example and has c.example" in refused(ready.run(*arguments))
    assert not drop_in(ready, "b.example").exists()
    write_csr(path, "b.example")
    finished = ready.run(*arguments)
    assert finished.exit_code == 0, finished
    assert "  ssl_certificate_key THE KEY OF YOUR CSR;" in finished.out
    assert tomllib.loads(drop_in(ready, "b.example").read_text())["certificates"][0]["csr"] == str(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("*.b.example",), "the new certificate: '*.b.example' is a wildcard"),
        ((",",), "the new certificate: identifiers = []: must have at least one entry"),
        (("b.example", "--name", "../b"), "the new certificate: name: '../b' may contain only"),
        (("b.example", "--ca", "no-such-ca"), "the new certificate: ca: unknown CA 'no-such-ca'"),
        (("a.example",), "certificate a.example already exists\n  "),
        (("b.example", "--key-type", "rsa-1024"), "'rsa-1024' is not one of 'ecdsa-p256'"),
    ],
)
def test_invalid_certificate_is_refused(ready: Program, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(ready.run("certificate", "add", *arguments))
    assert not drop_in(ready, "a.example").parent.exists()


def test_bad_settings_are_reported_before_anything_is_added(ready: Program) -> None:
    with ready.config.open("a") as file:
        file.write("\nbogus = 1\n")
    assert "unknown key 'certificates[0].bogus'" in refused(ready.run("certificate", "add", "b.example"))
    assert not drop_in(ready, "b.example").exists()


def test_failed_setup_leaves_no_drop_in(ready: Program) -> None:
    ready.configure("a.example", more="certificates_group = 'nobody-has-it'")
    assert "this host has no such group" in refused(ready.run("certificate", "add", "b.example"))
    assert not drop_in(ready, "b.example").exists()


def test_missing_settings_are_reported(program: Program) -> None:
    assert "does not exist\n  Run 'wellkeeper init'" in refused(program.run("certificate", "add", "b.example"))
    assert "does not exist\n  Run 'wellkeeper init'" in refused(program.run("certificate", "remove", "b.example"))


def test_removed_certificate_is_forgotten_and_its_files_are_kept(ready: Program) -> None:
    ready.run("certificate", "add", "b.example")
    with closing(sqlite3.connect(ready.state_dir / "state.db")) as state:
        assert state.execute("SELECT lineage FROM failures").fetchall() == [("b.example",)]
    finished = ready.run("certificate", "remove", "b.example", "--yes")
    assert (finished.exit_code, finished.err) == (0, "")
    assert finished.out.startswith(f"removed {drop_in(ready, 'b.example')}; b.example is no longer renewed. ")
    assert not drop_in(ready, "b.example").exists()
    assert (ready.certificates_dir / "live/b.example/fullchain.pem").exists()
    with closing(sqlite3.connect(ready.state_dir / "state.db")) as state:
        assert state.execute("SELECT lineage FROM failures").fetchall() == []
    assert [one["name"] for one in ready.run("list", "--json").json()["certificates"]] == ["a.example"]


def test_no_renew_mentions_the_reload_of_a_daemon(ready: Program) -> None:
    reported = "The daemon obtains it after the next 'wellkeeper reload'"
    assert reported in ready.run("certificate", "add", "b.example", "--no-renew").out
    assert reported not in ready.run("certificate", "add", "c.example").out


def nginx_that_says(folder: Path, *lines: str) -> Path:
    """Return a program that prints this and passes every test."""
    nginx = folder / "nginx"
    nginx.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    nginx.chmod(0o755)
    return nginx


def test_files_are_deleted_on_request_only(ready: Program, folder: Path) -> None:
    nginx = nginx_that_says(folder, "# configuration file /etc/nginx/nginx.conf:")
    ready.configure("a.example", more=f"nginx = {{ command = ['{nginx}'] }}")
    ready.run("certificate", "add", "b.example", "--no-renew")
    finished = ready.run("certificate", "remove", "b.example", "--yes", "--delete-files")
    assert finished.exit_code == 0, finished
    assert list((ready.certificates_dir / "live").iterdir()) == []
    assert list((ready.certificates_dir / "archive").iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--delete-files",)], ids=["files stay", "files go"])
def test_removal_that_the_state_refuses_changes_nothing_and_can_be_repeated(
    ready: Program, folder: Path, more: tuple[str, ...]
) -> None:
    nginx = nginx_that_says(folder, "# configuration file /etc/nginx/nginx.conf:")
    ready.configure("a.example", more=f"nginx = {{ command = ['{nginx}'] }}")
    ready.run("certificate", "add", "b.example")
    text = drop_in(ready, "b.example").read_text()
    with closing(sqlite3.connect(ready.state_dir / "state.db")) as state:
        state.execute("CREATE TRIGGER full BEFORE DELETE ON failures BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert ready.run("certificate", "remove", "b.example", "--yes", *more).exit_code == 1
    assert drop_in(ready, "b.example").read_text() == text
    assert (ready.certificates_dir / "live/b.example/privkey.pem").exists()
    with closing(sqlite3.connect(ready.state_dir / "state.db")) as state:
        state.execute("DROP TRIGGER full")
    assert ready.run("certificate", "remove", "b.example", "--yes", *more).exit_code == 0
    assert not drop_in(ready, "b.example").exists()
    assert (ready.certificates_dir / "live/b.example").exists() == (not more)


def test_files_that_nginx_reads_are_not_deleted(ready: Program, folder: Path) -> None:
    live = ready.certificates_dir / "live/b.example"
    words = f"ssl_certificate {live}/fullchain.pem;"
    nginx = nginx_that_says(folder, "# configuration file /etc/nginx/nginx.conf:", words)
    ready.configure("a.example", more=f"nginx = {{ command = ['{nginx}'] }}")
    ready.run("certificate", "add", "b.example", "--no-renew")
    finished = ready.run("certificate", "remove", "b.example", "--yes", "--delete-files")
    assert finished.exit_code == 1
    assert finished.err.splitlines() == [
        "wellkeeper: cannot delete the files of b.example; nothing was changed",
        "  nginx's configuration names them in /etc/nginx/nginx.conf:1",
        "  Remove its lines from nginx's configuration, reload nginx, then run this command again.",
    ]
    assert drop_in(ready, "b.example").exists()
    assert (live / "privkey.pem").exists()


def test_hand_written_settings_are_not_rewritten(ready: Program) -> None:
    text = ready.config.read_text()
    number = text.splitlines().index("[[certificates]]") + 1
    reported = refused(ready.run("certificate", "remove", "a.example", "--yes"))
    assert reported.splitlines() == [
        "wellkeeper: cannot remove a.example; nothing was changed",
        f"  {ready.config} was written by hand",
        f"  Remove lines {number} to {number + 1} of {ready.config}, then run 'wellkeeper reload' if the daemon runs.",
    ]
    assert ready.config.read_text() == text
    drop_in(ready, "x").parent.mkdir()
    drop_in(ready, "x").write_text(
        "[[certificates]]\nidentifiers = ['b.example']\n\n[[certificates]]\nname = 'c'\nidentifiers = ['c.example']\n"
    )
    assert f"Remove lines 4 to 6 of {drop_in(ready, 'x')}" in refused(ready.run("certificate", "remove", "c", "--yes"))


def test_unknown_name_is_refused(ready: Program) -> None:
    assert "no certificate is named 'c.example'\n  Did you mean a.example?" in refused(
        ready.run("certificate", "remove", "c.example", "--yes")
    )


def test_certificate_can_be_removed_by_a_host_name_that_only_it_covers(ready: Program) -> None:
    ready.run("certificate", "add", "x.example,y.example", "--no-renew")
    assert ready.run("certificate", "remove", "y.example", "--yes").exit_code == 0
    assert not drop_in(ready, "x.example").exists()


def test_removal_without_yes_needs_a_terminal(ready: Program) -> None:
    ready.run("certificate", "add", "b.example", "--no-renew")
    assert "Not a terminal: pass --yes to confirm." in refused(ready.run("certificate", "remove", "b.example"))
    assert drop_in(ready, "b.example").exists()


def test_names_separated_by_spaces_are_refused(ready: Program) -> None:
    assert "Add one certificate at a time; separate its names with commas: b.example,c.example" in refused(
        ready.run("certificate", "add", "b.example", "c.example")
    )
    assert not drop_in(ready, "b.example").exists()
