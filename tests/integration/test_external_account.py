"""A CA that registers only its own customers (RFC 8555 section 7.3.4)."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import Host, running_host
from tests.integration.observed import asked, installed, orders, served

pytestmark = pytest.mark.integration

NAME = "www.example.org"
KEY_ID, HMAC_KEY = "kid-1", urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")


def configure(host: Host, folder: Path, key_id: str, hmac_key: str) -> None:
    path = folder / "hmac"
    path.write_text(f"{hmac_key}\n")
    path.chmod(0o600)
    table = (
        "[[cas]]",
        'name = "customers"',
        f"directory = '{host.ca.directory_url}'",
        f"eab_key_id = '{key_id}'",
        f"eab_hmac_key_file = '{path}'",
    )
    host.issuer.configure(replace(host.issuer_settings, more=table))


async def test_customers_get_certificates_and_others_get_the_settings_to_add(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, external_accounts={KEY_ID: HMAC_KEY}) as host:
        refused = await host.issuer.run("renew", "--json")
        assert refused.exit_code == 1
        (found,) = refused.json()["certificates"]
        assert found["error"]["what"].startswith("cannot register an account at the CA localhost")
        assert (found["error"]["retry"], asked(host.ca, "/sign-me-up")) == ("never", 0)
        for key_id, hmac_key in (("kid-2", HMAC_KEY), (KEY_ID, HMAC_KEY[::-1])):
            configure(host, folder, key_id, hmac_key)
            refused = await host.issuer.run("renew", "web")
            assert refused.exit_code == 1
            assert "web: failed (order): the CA customers refused the account registration" in refused.out
        assert orders(host.ca) == 0
        configure(host, folder, KEY_ID, HMAC_KEY)
        await host.issuer.run_well("renew", "web")
        assert await served(host, NAME) == installed(host.issuer, "web")
        (one,) = (await host.issuer.run_well("account", "show", "--json")).json()["cas"]
        assert (one["ca"], one["status"]) == ("customers", "valid")
        assert (one["requires_external_account"], one["has_external_account"]) == (True, True)
