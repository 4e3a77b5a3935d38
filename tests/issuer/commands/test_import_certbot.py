"""import certbot: its report, and the files it writes or keeps."""

import asyncio
import json
import os
import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.outside.host.test_certbot import write_account, write_lineage
from tests.issuer.settings_texts import schema_mistakes
from tests.json_docs import assert_documented
from tests.keys import rsa_key
from wellkeeper_issuer.known_cas import LETS_ENCRYPT_STAGING
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.records import Origin
from wellkeeper_node.model import Pair

OTHER = "https://ca.example/directory"
ACCOUNT_KEY = rsa_key()


def pair(*names: str) -> Pair:
    """Return a pair that is valid now, by the real clock."""
    return FakeCa(datetime.now(UTC)).pair(*map(dns, names))


@pytest.fixture
def etc(folder: Path) -> Path:
    """Return certbot's directory: two certificates of the configured CA, one of another, one wildcard, and hooks."""
    made = folder / "letsencrypt"
    parameters = f"server = {UNREACHABLE_CA}\naccount = 7\n"
    write_lineage(made, "a.example", pair("a.example", "www.a.example"), parameters=parameters)
    write_lineage(
        made, "B.example", pair("b.example"), parameters=f"{parameters}renew_hook = /usr/local/bin/copy --all\n"
    )
    write_lineage(made, "c.example", pair("c.example"), parameters="renew_hook = systemctl reload nginx\naccount = 9\n")
    write_lineage(made, "wild", pair("d.example", "*.d.example"), parameters=parameters)
    write_account(made, "7", ACCOUNT_KEY, UNREACHABLE_CA.removeprefix("https://"))
    return made


def test_dry_run_reports_everything_and_changes_nothing(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys()
    before = sorted(program.folder.rglob("*"))
    finished = program.run("import", "certbot", str(etc))
    assert finished.exit_code == 0
    lines = finished.out.splitlines()
    assert lines[0] == "These certificates would be imported:"
    assert [line.split(":")[0] for line in lines if line.startswith("  ") and "; " in line][:3] == [
        "  b.example",
        "  a.example",
        "  c.example",
    ]
    assert "    its new name is b.example: names may contain only a-z, 0-9, '.', '_' and '-'" in lines
    assert "Not imported:" in lines
    assert any(line.startswith("  wild: http-01 cannot validate *.d.example") for line in lines)
    assert f"  {UNREACHABLE_CA}: https://ca.example/account/7" in lines
    assert "Hooks that reload nginx are no longer needed: Wellkeeper reloads nginx and verifies the result." in lines
    assert 'deploy = ["/bin/sh", "-c", "/usr/local/bin/copy --all"]' in lines
    assert "'wellkeeper import certbot" in lines[-1]
    assert sorted(program.folder.rglob("*")) == before


def test_apply_writes_valid_settings_and_records_the_issuing_cas(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys()
    finished = program.run("import", "certbot", str(etc), "--apply")
    assert finished.exit_code == 0, finished
    assert (program.config.with_suffix(".d") / "a.example.toml").read_text() == (
        "# Imported from certbot.\n\n[[certificates]]\n"
        'name = "a.example"\nidentifiers = ["a.example", "www.a.example"]\n'
    )
    assert f'ca = "{OTHER}"' in (program.config.with_suffix(".d") / "c.example.toml").read_text()
    written = [tomllib.loads(path.read_text()) for path in program.config.with_suffix(".d").iterdir()]
    assert [schema_mistakes(one) for one in written] == [[]] * len(written)
    for name, certbot_name in (("a.example", "a.example"), ("b.example", "B.example")):
        for file in ("fullchain", "privkey"):
            live = (program.certificates_dir / "live" / name / f"{file}.pem").read_bytes()
            assert live == (etc / "live" / certbot_name / f"{file}.pem").read_bytes()

    async def origins() -> list[Origin | None]:
        async with open_state(program.state_dir / "state.db", may_write=False) as state:
            assert await state.notes.read_owed_hooks() == {}
            return [await state.deliveries.read_origin(name) for name in ("a.example", "c.example")]

    assert asyncio.run(origins()) == [Origin(UNREACHABLE_CA, "https://ca.example/account/7"), Origin(OTHER, "")]
    accounts = program.make_keys()
    assert accounts.read(UNREACHABLE_CA) == AccountRecord(UNREACHABLE_CA, "https://ca.example/account/7")
    key = accounts.account_key(UNREACHABLE_CA)
    assert key.private_numbers() == ACCOUNT_KEY.private_numbers()
    assert json.loads(program.run("list", "--json").out)["certificates"][0]["name"] == "a.example"


def test_existing_account_is_kept(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys().record(AccountRecord(UNREACHABLE_CA, "https://ca.example/account/1"))
    reported = program.run("import", "certbot", str(etc), "--apply", "--json").json()
    assert [one["done"] for one in reported["accounts"]] == ["not imported: Wellkeeper has another account there"]


def test_json_has_the_same_content(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys()
    dry = program.run("import", "certbot", str(etc), "--json").json()
    assert (dry["applied"], dry["taken"][1]["done"]) == (False, None)
    assert_documented("import certbot", dry)
    assert [one["certbot_name"] for one in dry["left_out"]] == ["wild"]
    applied = program.run("import", "certbot", str(etc), "--apply", "--json").json()
    assert [one["done"] for one in applied["taken"]] == ["imported"] * 3
    again = program.run("import", "certbot", str(etc), "--apply", "--json").json()
    assert [one["done"] for one in again["taken"]] == ["already imported"] * 3
    assert again["hooks"] == [
        {"event": "deploy", "command": "/usr/local/bin/copy --all"},
        {"event": "deploy", "command": "systemctl reload nginx"},
    ]


def test_empty_directory_is_reported(program: Program, folder: Path) -> None:
    program.configure()
    program.make_keys()
    (folder / "empty/renewal").mkdir(parents=True)
    finished = program.run("import", "certbot", str(folder / "empty"), "--apply")
    assert (finished.exit_code, finished.out) == (0, "There are no certificates to import.\n")


def test_other_directory_is_a_usage_error(program: Program, folder: Path) -> None:
    program.configure()
    finished = program.run("import", "certbot", str(folder))
    assert (finished.exit_code, finished.out) == (2, "")
    assert "is not certbot's directory" in finished.err


def test_lineage_that_cannot_be_read_is_left_out_and_the_others_are_taken_over(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys()
    (etc / "renewal/a.example.conf").write_bytes("# Schlüssel\n".encode("latin-1"))
    reported = program.run("import", "certbot", str(etc), "--apply", "--json").json()
    assert [one["done"] for one in reported["taken"]] == ["imported"] * 2
    (left_out, _) = reported["left_out"]
    assert left_out["certbot_name"] == "a.example"
    assert left_out["reason"].startswith("its renewal/a.example.conf is not UTF-8 text")


def test_lineage_that_the_settings_refuse_is_left_out_and_the_others_are_taken_over(
    program: Program, etc: Path
) -> None:
    program.configure()
    program.make_keys()
    many = pair(*(f"n{number}.example" for number in range(101)))
    write_lineage(etc, "many", many, parameters=f"server = {UNREACHABLE_CA}\n")
    reported = program.run("import", "certbot", str(etc), "--apply", "--json").json()
    assert [one["done"] for one in reported["taken"]] == ["imported"] * 3
    (reason,) = (one["reason"] for one in reported["left_out"] if one["certbot_name"] == "many")
    assert "the settings refuse it" in reason
    assert "100" in reason


def test_staging_certificate_is_labelled(program: Program, etc: Path) -> None:
    program.configure()
    program.make_keys()
    write_lineage(etc, "t.example", pair("t.example"), parameters=f"server = {LETS_ENCRYPT_STAGING}\n")
    out = program.run("import", "certbot", str(etc)).out
    (line,) = (line for line in out.splitlines() if line.startswith("  t.example: "))
    assert "letsencrypt-staging, ecdsa-p256, test certificate, until " in line
    assert (
        "    it is a test certificate of a staging CA, which browsers do not trust; set another ca to replace it" in out
    )


@pytest.mark.parametrize(
    ("mode", "kept"), [(0o600, 0o600), (0o640, 0o640), (0o644, 0o640)], ids=["root", "a group", "all users"]
)
def test_owner_group_and_mode_of_the_key_are_kept(program: Program, etc: Path, mode: int, kept: int) -> None:
    program.configure()
    program.make_keys()
    key = etc / "archive/a.example/privkey1.pem"
    key.chmod(mode)
    if os.geteuid() == 0:
        os.chown(key, 65534, 12)
        program.folder.chmod(0o711)  # for that user
    assert program.run("import", "certbot", str(etc), "--apply").exit_code == 0
    ours, theirs = (program.certificates_dir / "live/a.example/privkey.pem").stat(), key.stat()
    assert stat.S_IMODE(ours.st_mode) == kept
    assert ours.st_uid == theirs.st_uid
    assert mode == 0o600 or ours.st_gid == theirs.st_gid


def test_lines_that_certbot_wrote_into_nginx_are_listed(program: Program, etc: Path) -> None:
    site = program.folder / "site.conf"
    text = f"include {etc}/options-ssl-nginx.conf; # managed by Certbot"
    (program.folder / "nginx").write_text(f"#!/bin/sh\necho '# configuration file {site}:'\necho '{text}'\n")
    (program.folder / "nginx").chmod(0o755)
    program.configure(more=f"[nginx]\ncommand = ['{program.folder}/nginx']")
    program.make_keys()
    assert f"\n  {site}:1: include {etc}/options-ssl-nginx.conf;\n" in program.run("import", "certbot", str(etc)).out
    reported = program.run("import", "certbot", str(etc), "--json").json()
    assert_documented("import certbot", reported)
    assert [(one["file"], one["line"], one["kind"]) for one in reported["nginx"]] == [(str(site), 1, "file")]


def test_nginx_that_cannot_be_asked_is_reported(program: Program, etc: Path) -> None:
    program.configure(more="[nginx]\ncommand = ['/no/such/nginx']")
    program.make_keys()
    finished = program.run("import", "certbot", str(etc))
    assert finished.exit_code == 0
    assert f"look for lines that name {etc} yourself" in finished.out
