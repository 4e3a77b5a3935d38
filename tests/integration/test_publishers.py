"""A publisher behind a real nginx: added by a command, limited to its name, and revoked."""

import asyncio
from pathlib import Path

import pytest

from stand.host import Host, running_host
from tests.issuer.commands.test_trust_accounts import write_key
from tests.json_docs import assert_documented
from tests.responder.http import ask
from tests.responder.messages import TOKEN
from wellkeeper_client import wire
from wellkeeper_client.publish import ResponderControl, ResponderError
from wellkeeper_issuer.outside.keys.key_files import read_ed25519_key
from wellkeeper_responder.settings import TcpAddress

pytestmark = [pytest.mark.integration, pytest.mark.any_python]

NAME, OTHER = "shop.example.org", "www.example.org"


async def status_at(host: Host, name: str) -> int:
    """Return the status of the token through nginx, as the CA asks for it at this name."""
    reply = await ask(TcpAddress(*host.http), "GET", wire.CHALLENGE_PREFIX + TOKEN, {"Host": name})
    return reply.status


async def test_publisher_gets_answers_at_its_own_name_until_it_is_revoked(folder: Path) -> None:
    thumbprint = write_key(folder / "account.key")
    async with running_host(folder, {"web": [OTHER]}) as host:
        etc = host.issuer.config_path.parent
        options = ("--account-key", str(folder / "account.key"), "--identifier", NAME)
        await host.issuer.run_well("publisher", "add", "certbot", *options)
        assert "note" not in (await host.issuer.run_well("trust", "--write")).out
        key = read_ed25519_key(etc / "publishers/certbot.pem", "publishing key")
        publisher = ResponderControl(f"unix:{host.responder.control_socket}", key, timeout_seconds=30)

        with pytest.raises(ResponderError, match="publisher certbot may not publish for www"):
            await asyncio.to_thread(publisher.publish, TOKEN, thumbprint, OTHER)
        await asyncio.to_thread(publisher.publish, TOKEN, thumbprint, NAME)
        assert [await status_at(host, name) for name in (NAME, NAME.upper(), f"{NAME}.", OTHER)] == [200, 200, 200, 404]
        revoked = await host.issuer.run_well("publisher", "remove", "certbot", "--json")
        assert_documented("publisher remove", revoked.json())
        assert revoked.json()["responders"] == {"local": None}
        assert await status_at(host, NAME) == 404
