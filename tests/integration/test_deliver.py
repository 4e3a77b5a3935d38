"""deliver: certificates of other ACME clients through a real nginx, by hand and as their deploy hooks."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stand.certbot import Certbot
from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Finished
from stand.nginx import SNIPPETS, Site
from stand.processes import PROGRAMS, PROJECT, search_path
from tests.fakes_deliver import FakeCa, dns
from tests.integration.observed import installed, orders, reload, served, served_unverified, version
from tests.json_docs import assert_documented
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Pair

pytestmark = pytest.mark.integration

WEB: Final = "www.example.org"
WILD: Final = (dns("*.example.net"), dns("example.net"))
NAME: Final = "shop.example.net"
EXAMPLES: Final = PROJECT / "examples/deliver"


@dataclass(frozen=True, slots=True)
class Client:
    """Another ACME client on the host, which keeps its files in `folder`."""

    host: Host
    folder: Path

    def obtain(self, *, minutes_ago: int = 0, pair: Pair | None = None) -> str:
        """Write a new pair for the wildcard, and return its fingerprint."""
        pair = pair or FakeCa(datetime.now(UTC) - timedelta(minutes=minutes_ago)).pair(*WILD)
        for name in ("fullchain.pem", "fullchain.cer", "_.example.net.crt", "cert.pem"):
            (self.folder / name).write_bytes(pair.chain_pem)
        for name in ("privkey.pem", "key.pem"):
            (self.folder / name).write_bytes(pair.certificate_key_pem)
        return reading.read_certificate(pair.chain_pem).fingerprint_sha256

    async def deliver(self, *more: str) -> Finished:
        return await self.host.issuer.run("deliver", "example.net", *self.files(), *more)

    def files(self) -> Sequence[str]:
        return "--chain", str(self.folder / "fullchain.pem"), "--key", str(self.folder / "privkey.pem")

    async def serve(self) -> None:
        """Deliver once, and add the certificate to nginx for a name below the wildcard."""
        self.obtain(minutes_ago=60)
        first = await self.deliver()
        assert first.exit_code == 0, first
        assert first.out.startswith("example.net: installed, not served yet")
        live = self.host.issuer.live("example.net")
        assert f"ssl_certificate     {live}/fullchain.pem;" in first.out
        settings = self.host.nginx.settings
        self.host.nginx.write(replace(settings, sites=(*settings.sites, Site((NAME,), live))))
        await reload(self.host.nginx)
        assert (await self.deliver()).out.startswith("example.net: served, valid until ")

    async def run_hook(self, *command: str, **environment: str) -> str:
        """Run a hook as the client does, and return its output."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**self.environment(), **environment},
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    def environment(self) -> Mapping[str, str]:
        path = f"{self.folder}:{PROGRAMS}:{search_path()}"
        return {"PATH": path, "LC_ALL": "C.UTF-8", "WELLKEEPER_CONFIG": str(self.host.issuer.config_path)}


def table_of(drop_in: Path) -> dict[str, Any]:
    (table,) = tomllib.loads(drop_in.read_text())["certificates"]
    return dict(table)


def append(drop_in: Path, text: str) -> None:
    drop_in.write_text(drop_in.read_text() + text)


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[Client]:
    async with running_host(folder, {"web": [WEB]}, nonces_rejected_percent=0) as host:  # certbot gives up on one
        made = Client(host, folder / "client")
        made.folder.mkdir()
        yield made


async def test_wildcard_of_another_client_is_served_and_never_ordered(client: Client) -> None:
    await client.serve()
    fingerprint = client.obtain()
    delivered = await client.deliver()
    assert delivered.out.startswith("example.net: served, valid until "), delivered
    assert await served_unverified(client.host, NAME) == installed(client.host.issuer, "example.net") == fingerprint
    live = version(client.host.issuer, "example.net")
    assert (await client.deliver()).out == "example.net: already installed, and nginx serves it\n"
    assert version(client.host.issuer, "example.net") == live
    chain, key = (client.folder / name for name in ("fullchain.pem", "privkey.pem"))
    leaf, _ = reading.split_chain(chain.read_bytes())
    # nginx itself would refuse both forms.
    chain.write_bytes(leaf.replace(b"\n", b"\r"))
    key.write_bytes(key.read_bytes().replace(b"\n", b"\n  "))
    assert (await client.deliver()).out.startswith("example.net: served"), "another chain of the same leaf is new"
    assert (client.host.issuer.live("example.net") / "fullchain.pem").read_bytes() == leaf
    await client.host.issuer.run_well("renew")
    assert await served(client.host, WEB) == installed(client.host.issuer, "web")
    assert orders(client.host.ca) == 1
    await client.host.issuer.run_well("status", "--check")


async def test_older_certificate_needs_force_and_names_follow_the_newest(client: Client) -> None:
    issuer = client.host.issuer
    newest, older = client.obtain(minutes_ago=1), client.obtain(minutes_ago=2)
    assert newest != older
    first = await client.deliver("--json")
    assert_documented("deliver", first.json())
    assert first.json()["certificate"]["outcome"] == "not_served_yet"
    drop_in, rehearsed = Path(first.json()["drop_in"]), await issuer.run("rehearse", "example.net")
    table = {"name": "example.net", "identifiers": ["*.example.net", "example.net"], "source": "external"}
    assert table_of(drop_in) == table
    assert "Another ACME client renews it" in (await issuer.run_well("why", "example.net")).out
    client.obtain(minutes_ago=9)
    refused = await client.deliver()
    assert (refused.exit_code, "the installed one (ECDSA) is newer: it is valid from" in refused.err) == (2, True), (
        refused
    )
    assert installed(issuer, "example.net") == older
    assert (await client.deliver("--force")).exit_code == 0
    append(drop_in, "https_addresses = []\n")
    other = client.obtain(pair=FakeCa(datetime.now(UTC)).pair(dns("shop.example.net")))
    assert (await client.deliver()).exit_code == 0
    assert installed(issuer, "example.net") == other
    assert table_of(drop_in) == table | {"identifiers": ["shop.example.net"], "https_addresses": []}
    assert (await client.deliver()).out == "example.net: already installed\n"
    assert (rehearsed.exit_code, "is not ordered here" in rehearsed.err) == (2, True), rehearsed
    removed = (await issuer.run_well("certificate", "remove", "example.net", "--yes")).out
    assert "example.net is no longer expected; the deploy hook of its client would add it again." in removed
    assert "example.net" not in (await issuer.run_well("list")).out


async def test_certificate_that_nginx_refuses_is_rolled_back_by_the_daemon(client: Client) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - nginx refuses it
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    async with IssuerDaemon(client.host.issuer):
        await client.serve()
        before = await served_unverified(client.host, NAME)
        client.obtain(pair=Pair(key_pem, FakeCa(datetime.now(UTC)).chain(key_pem, *WILD)))
        refused = await client.deliver()
        assert refused.exit_code == 1, refused
        assert "which was rolled back to" in refused.out
        assert await served_unverified(client.host, NAME) == before
        (drop_in,) = client.host.issuer.config_path.with_suffix(".d").iterdir()
        drop_in.write_text(drop_in.read_text().partition("\n")[2].replace("*.example.net", NAME))  # by hand
        fingerprint = client.obtain(pair=FakeCa(datetime.now(UTC)).pair(dns(NAME), dns("example.net")))
        assert (await client.deliver()).out.startswith("example.net: served")
        assert await served_unverified(client.host, NAME) == fingerprint


async def test_two_deliveries_at_once_and_one_that_is_killed(client: Client) -> None:
    await client.serve()
    fingerprint = client.obtain()
    both = await asyncio.gather(client.deliver(), client.deliver())
    assert [one.exit_code for one in both] == [0, 0], both
    assert await served_unverified(client.host, NAME) == fingerprint
    for seconds in (0.4, 0.8, 1.2):
        fingerprint = client.obtain()
        async with client.host.issuer.running("deliver", "example.net", *client.files()):
            await asyncio.sleep(seconds)
        assert await served_unverified(client.host, NAME)
        delivered = await client.deliver()
        assert delivered.exit_code == 0, delivered
        assert await served_unverified(client.host, NAME) == fingerprint


async def test_deploy_hooks_deliver_with_what_each_client_gives_them(client: Client) -> None:
    await client.serve()
    folder = client.folder
    (folder / "uacme").write_text("#!/bin/sh\nexit 1\n")  # not due
    issue = ("-c", str(folder), "issue", "example.net", "*.example.net")
    (folder / "uacme").chmod(0o755)
    for path in (folder / "example.net/cert.pem", folder / "private/example.net/key.pem"):
        path.parent.mkdir(parents=True)
        path.symlink_to(folder / path.name)
    lego = {"LEGO_CERT_PATH": str(folder / "_.example.net.crt"), "LEGO_CERT_KEY_PATH": str(folder / "key.pem")}
    key, chain = str(folder / "privkey.pem"), str(folder / "fullchain.cer")
    acme_sh = ["sh", "-c", f'. {EXAMPLES}/acme.sh; wellkeeper_deploy "$@"', "sh"]
    for command, environment in (
        ([f"{EXAMPLES}/lego"], {"LEGO_CERT_DOMAIN": "example.net", **lego}),
        ([f"{EXAMPLES}/dehydrated", "deploy_cert", "example.net", key, "-", chain, "-", "0"], {}),
        ([*acme_sh, "example.net", key, "-", "-", chain], {}),
        ([f"{EXAMPLES}/uacme", *issue], {"UACME_CONF": str(folder)}),
    ):
        fingerprint = client.obtain()
        assert "example.net: served" in await client.run_hook(*command, **environment)
        assert await served_unverified(client.host, NAME) == fingerprint
    assert await client.run_hook(f"{EXAMPLES}/dehydrated", "exit_hook") == ""
    for command, environment in (
        ([*acme_sh, "*.example.net", key, "-", "-", chain], {}),
        ([f"{EXAMPLES}/lego"], {"LEGO_CERT_DOMAIN": "*.example.net", **lego}),
    ):
        client.obtain()
        assert "\nwildcard.example.net: installed" in await client.run_hook(*command, **environment)


async def test_certbot_delivers_by_its_deploy_hook(client: Client) -> None:
    certbot, nginx = Certbot(client.folder / "certbot", client.host.ca), client.host.nginx
    webroot = f"location ^~ /.well-known/acme-challenge/ {{ root {certbot.webroot}; }}"
    text = nginx.config_path.read_text()
    included = f"include {SNIPPETS}/challenge.conf;"
    assert included in text
    nginx.config_path.write_text(text.replace(included, webroot))
    await reload(nginx)
    hook = client.folder / "hook"
    lines = [f"export {name}='{value}'" for name, value in client.environment().items()]
    hook.write_text("\n".join(["#!/bin/sh", *lines, f"exec {EXAMPLES}/certbot\n"]))
    hook.chmod(0o755)
    for more in ((), ("--force-renewal",)):
        await certbot.obtain(NAME, more=(f"--deploy-hook={hook}", *more))
        leaf = reading.read_certificate((certbot.live(NAME) / "fullchain.pem").read_bytes())
        assert installed(client.host.issuer, NAME) == leaf.fingerprint_sha256
