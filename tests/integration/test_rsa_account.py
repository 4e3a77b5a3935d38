"""An account with an RSA key, as other clients make them: it works, and can be replaced by an ECDSA key."""

from pathlib import Path

import pytest

from stand.pebble import Pebble
from tests.keys import rsa_key
from tests.opened_cas import opened_ca
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Identifier, IdentifierType

pytestmark = pytest.mark.integration

NAME = Identifier(IdentifierType.DNS, "www.example.org")


async def test_rsa_account_places_orders_and_rolls_over_to_ecdsa(folder: Path, pebble: Pebble) -> None:
    url = pebble.directory_url
    accounts = AccountFolder(folder / "issuer", (url,), terms_of_service_agreed=True)
    accounts.take_over(AccountRecord(url, "unknown yet"), rsa_key())
    accounts.record_path(url).unlink()
    async with opened_ca(CaOptions("pebble", url, bundle=str(pebble.ca_bundle)), accounts, SystemClock()) as ca:
        made = await ca.account_url()
        assert (await ca.new_order([NAME], "default", None)).authorization_urls
        account, following = AccountAtCa(ca.connection), accounts.make_next_account_key(url)
        await account.change_key(following)
        assert await account.url_of(following) == made
        accounts.take_next_account_key(url)
        assert (await ca.new_order([NAME], "default", None)).authorization_urls
        assert await ca.account_url() == made
