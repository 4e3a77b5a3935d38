"""External account binding (RFC 8555 section 7.3.4), for CAs that accept only their own customers."""

import hmac
import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer.errors import OrderError, SettingsError
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import ExternalAccount
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.errors import Retry

A = dns("a.example")
KEY = bytes(range(200, 232))
TEXT = urlsafe_b64encode(KEY).decode()


def key_file(folder: Path, text: str = TEXT, mode: int = 0o600) -> Path:
    path = folder / "hmac"
    path.write_text(text)
    path.chmod(mode)
    return path


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(("algorithm", "digest"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
async def test_account_key_is_signed_with_the_customers_hmac_key(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock, folder: Path, algorithm: str, digest: str
) -> None:
    external = ExternalAccount("kid-7", key_file(folder), algorithm)  # type: ignore[arg-type]
    async with authority(server.directory_url, accounts, clock, external_account=external) as ca:
        server.offer({"externalAccountRequired": True})
        await ca.new_order([A], None, None)
        (asked,) = [one for one in server.asked if one.path == "/account"]
        bound = asked.payload["externalAccountBinding"]
        header, jwk = json.loads(decoded(bound["protected"])), json.loads(decoded(bound["payload"]))
        assert header == {"alg": algorithm, "kid": "kid-7", "url": server.url("/account")}
        assert jwk == ca.connection.key.public_key().to_json()
        signed = f"{bound['protected']}.{bound['payload']}".encode()
        assert decoded(bound["signature"]) == hmac.digest(KEY, signed, digest)


async def test_required_external_account_names_the_settings(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.offer({"externalAccountRequired": True})
    with pytest.raises(OrderError, match=r"set eab_key_id and eab_hmac_key_file under \[\[cas\]\]") as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.NEVER
    assert [one for one in server.asked if one.method == "POST"] == []


@pytest.mark.parametrize("text", [TEXT, f" {TEXT}\n", TEXT.rstrip("="), TEXT.replace("-", "+").replace("_", "/")])
def test_hmac_key_is_accepted_in_each_form_of_base64(folder: Path, text: str) -> None:
    assert ExternalAccount("kid", key_file(folder, text)).read_hmac_key() == KEY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "hmac' is empty. Write the HMAC key from the CA"),
        ("no base64!", r"hmac' is not valid base64url: .*Copy the complete HMAC key"),
        ("AAAAA", "hmac' is not valid base64url"),
        ("schlüssel", "hmac' is not valid base64url"),
    ],
)
def test_invalid_hmac_key_is_named(folder: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"eab_hmac_key_file = '.*{words}"):
        ExternalAccount("kid", key_file(folder, text)).read_hmac_key()


def test_missing_or_unreadable_hmac_key_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"none': the file does not exist. Write the HMAC key .*mode 0600"):
        ExternalAccount("kid", folder / "none").read_hmac_key()
    with pytest.raises(SettingsError, match=r"cannot read eab_hmac_key_file = .*: Is a directory\.") as caught:
        ExternalAccount("kid", folder).read_hmac_key()
    assert caught.value.retry is Retry.SOON


def test_world_readable_hmac_key_is_warned_about(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = key_file(folder, mode=0o644)
    assert ExternalAccount("kid", path).read_hmac_key() == KEY
    assert caplog.messages == [f"other users may read {path}: run 'chmod go= {path}'"]
    assert caplog.records[0].levelno == logging.WARNING
