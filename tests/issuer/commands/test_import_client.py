"""import of acme.sh, lego and dehydrated: the report, and what is written."""

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.outside.host.client_folders import (
    write_acme_sh,
    write_acme_sh_account,
    write_dehydrated,
    write_dehydrated_account,
    write_lego,
    write_lego_account,
)
from tests.json_docs import assert_documented
from wellkeeper_node.model import Pair

HOST = "127.0.0.1:1"
ACCOUNT_KEY = FakeCa().pair(dns("account")).certificate_key_pem


def acme_sh(home: Path, pair: Pair, wildcard: Pair) -> None:
    write_acme_sh(home, "a.example", pair, UNREACHABLE_CA)
    write_acme_sh(home, "wild.example", wildcard, UNREACHABLE_CA, Le_Webroot="dns_cf")
    write_acme_sh_account(home, "127.0.0.1/directory", f"{UNREACHABLE_CA}/1", ACCOUNT_KEY)


def lego(home: Path, pair: Pair, wildcard: Pair) -> None:
    write_lego(home, "a.example", pair, HOST)
    write_lego(home, "_.wild.example", wildcard, HOST)
    write_lego_account(home, HOST, ACCOUNT_KEY)


def dehydrated(home: Path, pair: Pair, wildcard: Pair) -> None:
    write_dehydrated(home, "a.example", pair)
    write_dehydrated(home, "wild.example", wildcard)
    write_dehydrated_account(home, UNREACHABLE_CA, ACCOUNT_KEY)


CLIENTS = {"acme.sh": acme_sh, "lego": lego, "dehydrated": dehydrated}


@pytest.mark.parametrize(("client", "fill"), CLIENTS.items(), ids=CLIENTS)
def test_certificate_and_account_are_taken_over_and_nothing_changes_there(
    program: Program, tmp_path: Path, client: str, fill: Callable[[Path, Pair, Pair], None]
) -> None:
    ca, home = FakeCa(datetime.now(UTC)), tmp_path / "home"
    pair = ca.pair(dns("a.example"))
    fill(home, pair, ca.pair(dns("*.wild.example")))
    program.configure()
    program.make_keys()
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    shown = program.run("import", client, str(home))
    assert shown.exit_code == 0, shown
    assert "http-01 cannot validate *.wild.example" in shown.out
    assert f"keep renewing it with {client} and dns-01, and let its deploy hook run 'wellkeeper deliver'" in shown.out
    assert shown.out.splitlines()[-1].startswith(
        f"Nothing was changed. Run 'wellkeeper import {client} {home} --apply'"
    )
    assert not (program.certificates_dir / "live").exists()

    done = program.run("import", client, str(home), "--apply")
    assert done.exit_code == 0, done
    live = program.certificates_dir / "live/a.example"
    assert (live / "fullchain.pem").read_bytes() == pair.chain_pem
    assert f"  -> {live}/fullchain.pem" in done.out
    assert f"replace the challenge location of {client}'s webroot" in done.out
    text = (program.config.with_name("issuer.d") / "a.example.toml").read_text()
    assert text.startswith(f"# Imported from {client}.\n")
    assert tomllib.loads(text)["certificates"] == [{"name": "a.example", "identifiers": ["a.example"]}]
    again = program.run("import", client, str(home), "--apply", "--json")
    assert_documented(f"import {client}", again.json())
    assert [one["done"] for one in again.json()["taken"]] == ["already imported"]
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_lego_certificate_is_imported_from_the_one_of_two_cas_at_a_host_that_the_settings_name(
    program: Program, tmp_path: Path
) -> None:
    write_lego(tmp_path, "a.example", FakeCa(datetime.now(UTC)).pair(dns("a.example")), "acme.ssl.com")
    program.configure()
    assert "its CA, at acme.ssl.com, is not in the settings" in program.run("import", "lego", str(tmp_path)).out
    program.config.write_text(program.config.read_text().replace(f"'{UNREACHABLE_CA}'", "'sslcom-ecc'"))
    (taken,) = program.run("import", "lego", str(tmp_path), "--json").json()["taken"]
    assert taken["name"] == "a.example"


def test_relative_directory_is_shown_whole(program: Program) -> None:
    program.configure()
    refused = program.run("import", "lego", "nothing-here")
    assert f"{Path('nothing-here').absolute()} is not lego's directory" in refused.err


@pytest.mark.parametrize("url", ["https://[::1/directory", "https://127.0.0.1:99999/directory"])
def test_acme_sh_certificate_of_a_ca_that_has_no_url_is_left_out(program: Program, tmp_path: Path, url: str) -> None:
    write_acme_sh(tmp_path, "a.example", FakeCa(datetime.now(UTC)).pair(dns("a.example")), url)
    write_acme_sh_account(tmp_path, "a/directory", "https://a/1", ACCOUNT_KEY)
    program.configure()
    (left_out,) = program.run("import", "acme.sh", str(tmp_path), "--json").json()["left_out"]
    assert "the settings refuse its CA" in left_out["reason"]


def test_lego_certificate_of_a_ca_that_has_no_url_is_left_out(program: Program, tmp_path: Path) -> None:
    write_lego(tmp_path, "a.example", FakeCa(datetime.now(UTC)).pair(dns("a.example")), "[::1")
    program.configure()
    (left_out,) = program.run("import", "lego", str(tmp_path), "--json").json()["left_out"]
    assert left_out["reason"] == "a.example.json does not name its CA"


@pytest.mark.parametrize("client", ["acme.sh", "dehydrated"])
def test_account_of_a_ca_that_has_no_url_is_not_imported(program: Program, tmp_path: Path, client: str) -> None:
    pair, url = FakeCa(datetime.now(UTC)).pair(dns("a.example")), "https://[::1/directory"
    write_acme_sh(tmp_path, "a.example", pair, url)
    write_acme_sh_account(tmp_path, "[::1/directory", "https://a/1", ACCOUNT_KEY)
    write_dehydrated(tmp_path, "a.example", pair)
    write_dehydrated_account(tmp_path, url, ACCOUNT_KEY)
    program.configure()
    program.make_keys()
    assert program.run("import", client, str(tmp_path), "--apply", "--json").json()["accounts"] == []
