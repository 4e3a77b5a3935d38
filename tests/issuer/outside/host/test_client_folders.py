"""Reading the directories of acme.sh, lego and dehydrated in any state; tests/integration reads real ones."""

import base64
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.outside.host.client_folders import (
    write_acme_sh,
    write_acme_sh_account,
    write_dehydrated,
    write_dehydrated_account,
    write_lego,
    write_lego_account,
)
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import LETS_ENCRYPT
from wellkeeper_issuer.outside.host.acme_sh import read_acme_sh
from wellkeeper_issuer.outside.host.dehydrated import read_dehydrated
from wellkeeper_issuer.outside.host.lego import read_lego
from wellkeeper_issuer.takeover import Found, FoundAccount
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Pair

PAIR = FakeCa().pair(dns("a.example"), dns("b.example"))
SERVER = "https://ca.example:14000/dir"
KEY = PAIR.certificate_key_pem


def find_directory(host: str) -> str:
    if host != "ca.example:14000":
        raise ValueError(host)
    return SERVER


def lego(folder: Path) -> Found:
    return read_lego(folder, find_directory)


def test_acme_sh(tmp_path: Path) -> None:
    hook = base64.b64encode(b"systemctl reload nginx\n").decode()
    encoded = f"__ACME_BASE64__START_{hook}__ACME_BASE64__END_"
    own = write_acme_sh(tmp_path, "a.example", PAIR, SERVER, Le_ReloadCmd=encoded)
    installed = {"Le_RealFullChainPath": "/etc/nginx/b.pem", "Le_RealKeyPath": "/etc/nginx/b.key"}
    write_acme_sh(tmp_path, "b.example", PAIR, SERVER, Le_Webroot="dns_cf", Le_PostHook="echo b", **installed)
    write_acme_sh_account(tmp_path, "ca.example/dir", "https://ca.example:14000/account/1", KEY)
    write_acme_sh_account(tmp_path, "other.example/v2/dir", "https://other.example/1", KEY)
    found = read_acme_sh(tmp_path)
    first, second = found.lineages
    assert (found.client, first.name, first.pair, first.access.mode) == ("acme.sh", "a.example", PAIR, 0o600)
    assert first.parameters == {"server": SERVER, "account": SERVER, "authenticator": "webroot"}
    assert first.paths == ((f"{own}/fullchain.cer", "fullchain.pem"), (f"{own}/a.example.key", "privkey.pem"))
    assert second.parameters["authenticator"] == "dns_cf"
    assert second.paths == (("/etc/nginx/b.pem", "fullchain.pem"), ("/etc/nginx/b.key", "privkey.pem"))
    assert [account.directory_url for account in found.accounts] == [SERVER, "https://other.example/v2/dir"]
    assert found.hooks == (("deploy", "systemctl reload nginx"), ("post", "echo b"))


def test_acme_sh_with_an_rsa_and_an_ec_certificate_for_one_name(tmp_path: Path) -> None:
    folder = write_acme_sh(tmp_path, "a.example", PAIR, "", Le_Webroot="no", Le_ReloadCmd="echo")
    folder.rename(tmp_path / "a.example")
    write_acme_sh(tmp_path, "a.example", PAIR, "", Le_ReloadCmd="__ACME_BASE64__START_x__ACME_BASE64__END_")
    (tmp_path / "ca").mkdir()
    found = read_acme_sh(tmp_path)
    assert [one.name for one in found.lineages] == ["a.example", "a.example_ecc"]
    assert found.lineages[0].parameters == {"server": LETS_ENCRYPT, "account": "", "authenticator": "standalone"}
    assert found.hooks == (("deploy", "echo"),)


def test_damaged_files_of_acme_sh(tmp_path: Path) -> None:
    (write_acme_sh(tmp_path, "a.example", PAIR, SERVER) / "a.example.key").write_text("no key")
    (write_acme_sh(tmp_path, "b.example", PAIR, SERVER) / "b.example.conf").write_bytes(b"\xff")
    write_acme_sh_account(tmp_path, "ca.example/dir", "", KEY)
    found = read_acme_sh(tmp_path)
    (damaged,) = found.lineages
    assert (damaged.pair, damaged.trouble) == (None, f"{tmp_path}/a.example_ecc has no certificate with its key")
    assert found.accounts == ()


def test_lego(tmp_path: Path) -> None:
    write_lego(tmp_path, "a.example", PAIR, "ca.example:14000")
    write_lego_account(tmp_path, "ca.example:14000", KEY)
    found = lego(tmp_path)
    (one,), (account,) = found.lineages, found.accounts
    assert (found.client, one.name, one.pair) == ("lego", "a.example", PAIR)
    assert one.parameters == {"server": SERVER, "account": account.name}
    place = tmp_path / "certificates/a.example"
    assert one.paths == ((f"{place}.crt", "fullchain.pem"), (f"{place}.key", "privkey.pem"))
    assert account == FoundAccount(account.name, SERVER, "https://ca.example:14000/account/1", KEY)


def test_chain_of_lego_in_two_files(tmp_path: Path) -> None:
    leaf, rest = reading.split_chain(PAIR.chain_pem)
    write_lego(tmp_path, "a.example", Pair(KEY, leaf), "ca.example:14000")
    (tmp_path / "certificates/a.example.issuer.crt").write_bytes(rest)
    assert lego(tmp_path).lineages[0].pair == PAIR
    (tmp_path / "certificates/a.example.issuer.crt").unlink()
    assert lego(tmp_path).lineages[0].pair == Pair(KEY, leaf)


def test_damaged_files_of_lego_and_an_unknown_ca(tmp_path: Path) -> None:
    for name in ("key", "json", "none"):
        write_lego(tmp_path, name, PAIR, "ca.example:14000")
    (tmp_path / "certificates/key.key").write_text("no key")
    (tmp_path / "certificates/json.json").write_text("[1]")
    (tmp_path / "certificates/none.json").unlink()
    write_lego(tmp_path, "other", PAIR, "other.example")
    for host in ("other.example", "ca.example:14000"):
        write_lego_account(tmp_path, host, KEY)
    (tmp_path / "accounts/ca.example_14000/a@example.org/keys/a@example.org.key").unlink()
    found, place = lego(tmp_path), tmp_path / "certificates"
    assert {one.name: one.trouble for one in found.lineages} == {
        "json": "json.json does not name its CA",
        "key": f"{place}/key.crt is not a certificate, or {place}/key.key is not its key",
        "none": "none.json does not name its CA",
        "other": "its CA, at other.example, is not in the settings; add it under [[cas]]",
    }
    assert found.accounts == ()
    assert found.notes == (
        "the account https://other.example/account/1 was not imported: its CA is not in the settings",
    )


def test_dehydrated(tmp_path: Path) -> None:
    write_dehydrated(tmp_path, "a.example", PAIR)
    write_dehydrated_account(tmp_path, SERVER, KEY)
    found = read_dehydrated(tmp_path)
    (one,), (account,) = found.lineages, found.accounts
    assert (found.client, one.name, one.pair) == ("dehydrated", "a.example", PAIR)
    assert one.parameters == {"server": SERVER, "account": account.name}
    place = tmp_path / "certs/a.example"
    assert one.paths == ((f"{place}/fullchain.pem", "fullchain.pem"), (f"{place}/privkey.pem", "privkey.pem"))
    assert account.account_url == f"{SERVER}/account/1"
    assert found.notes == ("dehydrated's HOOK was not imported: Wellkeeper reloads nginx itself",)


def test_damaged_files_of_dehydrated_and_several_cas(tmp_path: Path) -> None:
    (tmp_path / "certs/empty").mkdir(parents=True)
    for server in (SERVER, LETS_ENCRYPT, "http://plain.example"):
        write_dehydrated_account(tmp_path, server, KEY)
    (write_dehydrated_account(tmp_path, "https://broken.example", KEY) / "account_id.json").write_text("{}")
    found = read_dehydrated(tmp_path)
    (one,) = found.lineages
    assert one.trouble == f"{tmp_path}/certs/empty has no certificate with its key"
    assert {account.directory_url for account in found.accounts} == {SERVER, LETS_ENCRYPT}
    assert found.notes[0].endswith(f"does not record which certificate is from which: {LETS_ENCRYPT} is assumed")


@pytest.mark.parametrize(("read", "inside"), [(read_acme_sh, "ca"), (lego, "certificates"), (read_dehydrated, "certs")])
def test_another_directory_is_refused(tmp_path: Path, read: object, inside: str) -> None:
    assert callable(read)
    with pytest.raises(SettingsError, match=f"it has no {inside}/"):
        read(tmp_path)
