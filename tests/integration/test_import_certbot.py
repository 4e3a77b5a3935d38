"""Import from a real certbot's directory, without issuing any certificate again."""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from stand.certbot import Certbot
from stand.challtestsrv import Challtestsrv
from stand.host import Host
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.nginx import SNIPPETS, Address, NginxServer, NginxSettings
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.responder import ResponderProcess
from tests.integration.observed import asked, installed, issued, outcomes, reload, served
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import KeyType

pytestmark = pytest.mark.integration

SHOP: Final = ("shop.example.org", "example.org")
WWW: Final = "www.example.org"
NAMES: Final = (SHOP[0], WWW)
NEW_ACCOUNT: Final = "/sign-me-up"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with nginx in certbot's configuration, certbot and the issuer."""

    host: Host
    certbot: Certbot

    @property
    def issuer(self) -> Issuer:
        return self.host.issuer

    def certbot_fingerprints(self) -> list[str]:
        """Return the fingerprints of certbot's certificates."""
        chains = [(self.certbot.live(name) / "fullchain.pem").read_bytes() for name in NAMES]
        return [reading.read_certificate(chain).fingerprint_sha256 for chain in chains]

    def issuer_fingerprints(self) -> list[str]:
        return [installed(self.issuer, name) for name in NAMES]

    async def served(self) -> list[str]:
        return [await served(self.host, name) for name in NAMES]

    async def import_(self, *more: str) -> str:
        return (await self.issuer.run_well("import", "certbot", str(self.certbot.etc), *more)).out

    def change_nginx(self, reported: str) -> None:
        """Edit nginx as the report says: other directories, and the snippet instead of the webroot; do not reload."""
        text = self.host.nginx.config_path.read_text()
        for name in NAMES:
            before, after = f"{self.certbot.etc}/live/{name}/", f"{self.issuer.live(name)}/"
            assert f"{before}\n  -> {after}" in reported
            text = text.replace(before, after)
        webroot = f"location /.well-known/acme-challenge/ {{ root {self.certbot.webroot}; }}"
        assert webroot in text
        self.host.nginx.config_path.write_text(text.replace(webroot, f"include {SNIPPETS}/challenge.conf;"))

    @asynccontextmanager
    async def moved(self) -> AsyncIterator[None]:
        """Do everything that the report asks for."""
        self.change_nginx(await self.import_("--apply"))
        await self.issuer.run_well("trust", "--write")
        async with self.host.responder:
            await reload(self.host.nginx)
            yield


def servers(http: Address, https: Address, certbot: Certbot) -> str:
    """Return server blocks as certbot's users have them; two on 443 once there are certificates."""
    webroot = f"location /.well-known/acme-challenge/ {{ root {certbot.webroot}; }}"
    blocks = [f"server {{ listen {http[0]}:{http[1]} default_server; {webroot} }}"]
    for name in NAMES:
        live = certbot.live(name)
        lines = f"ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem;"
        if live.exists():
            blocks.append(f"server {{ listen {https[0]}:{https[1]} ssl; server_name {name}; {lines} }}")
    return "\n".join(blocks)


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Machine]:
    """Yield a machine where certbot has an RSA certificate with two names and an ECDSA one, and the issuer none."""
    http, https = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(Challtestsrv(folder))
        # certbot sometimes gives up on a rejected nonce.
        ca = await stack.enter_async_context(
            Pebble(folder, PebbleSettings(dns.address, http[1], nonces_rejected_percent=0))
        )
        certbot, issuer, sockets = Certbot(folder / "certbot", ca), Issuer(folder), folder / "responder"
        settings = NginxSettings(sockets / "public.sock", (), in_http=servers(http, https, certbot))
        nginx = NginxServer(folder / "nginx", settings)
        node = NodeUnderTest("local", f"unix:{sockets}/control.sock", http, https)
        issuer_fingerprints = IssuerSettings(ca.directory_url, ca.ca_bundle, {}, (node,), nginx.argv(), nginx.pid_path)
        issuer.configure(issuer_fingerprints)
        await issuer.make_keys()
        async with nginx:
            await certbot.obtain(*SHOP, key_type="rsa")
            await certbot.obtain(WWW, more=("--deploy-hook", "true", "--reuse-key"))
            nginx.write(replace(settings, in_http=servers(http, https, certbot)))
            await reload(nginx)
            nginx.settings = replace(settings, http=(http,), https=(https,))
            responder = ResponderProcess(sockets, issuer.trust_path)
            yield Machine(Host(dns, ca, issuer, issuer_fingerprints, responder, nginx), certbot)


def tree(folder: Path) -> dict[str, Any]:
    """Return every file and link below, with content and modification time."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.readlink() if path.is_symlink() else path.read_bytes())
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


async def test_certificates_are_imported_and_nothing_is_issued_again(folder: Path) -> None:
    async with machine(folder) as host:
        before, requests, certificates = tree(host.certbot.etc), asked(host.host.ca), issued(host.host.ca)
        async with host.moved():
            assert asked(host.host.ca) == requests
            assert await host.served() == host.issuer_fingerprints() == host.certbot_fingerprints()
            for outcome in ("served", "unchanged"):
                finished = await host.issuer.run("renew", "--json")
                assert outcomes(finished) == dict.fromkeys(NAMES, outcome), finished
        assert issued(host.host.ca) == certificates
        assert tree(host.certbot.etc) == before


async def test_next_renewal_uses_the_same_account_and_key_types(folder: Path) -> None:
    async with machine(folder) as host:
        accounts, certificates = asked(host.host.ca, NEW_ACCOUNT), issued(host.host.ca)
        async with host.moved():
            keys = [(host.issuer.live(name) / "privkey.pem").read_bytes() for name in NAMES]
            finished = await host.issuer.run("renew", "--force", "--json")
            assert outcomes(finished) == dict.fromkeys(NAMES, "served"), finished
            assert await host.served() == host.issuer_fingerprints() != host.certbot_fingerprints()
        assert issued(host.host.ca) == certificates + len(NAMES)
        assert asked(host.host.ca, NEW_ACCOUNT) == accounts
        shop, www = [(host.issuer.live(name) / "privkey.pem").read_bytes() for name in NAMES]
        assert shop != keys[0]
        assert public_keys.certificate_key_kind(shop) is KeyType.RSA_2048
        assert www == keys[1]  # --reuse-key


async def test_dry_run_and_second_run_change_nothing_unless_certbot_renewed(folder: Path) -> None:
    async with machine(folder) as host:
        state = tree(host.certbot.etc) | tree(host.issuer.state_dir)
        reported = await host.import_()
        assert "  shop.example.org: example.org, shop.example.org; " in reported
        assert tree(host.certbot.etc) | tree(host.issuer.state_dir) == state
        assert not host.issuer.certificates_dir.exists()
        await host.import_("--apply")
        before = tree(host.issuer.certificates_dir) | tree(host.issuer.config_path.parent)
        assert (await host.import_("--apply")).count("; already imported") == len(NAMES)
        assert tree(host.issuer.certificates_dir) | tree(host.issuer.config_path.parent) == before
        await host.certbot.obtain(WWW, more=("--force-renewal",))
        reported = await host.import_("--apply")
        assert "; imported again: its certificate is newer" in reported
        assert host.issuer_fingerprints() == host.certbot_fingerprints()


async def test_modes_of_keys_go_on_and_what_certbot_wrote_into_nginx_is_listed(folder: Path) -> None:
    async with machine(folder) as host:
        etc, path = host.certbot.etc, host.host.nginx.config_path
        (etc / "options-ssl-nginx.conf").write_text("ssl_session_timeout 1440m;\n")
        include = f"include {etc}/options-ssl-nginx.conf;"
        text = path.read_text()
        assert f"server_name {WWW};" in text
        path.write_text(text.replace(f"server_name {WWW};", f"server_name {WWW};\n{include} # managed by Certbot\n"))
        await reload(host.host.nginx)
        line = path.read_text().splitlines().index(f"{include} # managed by Certbot") + 1
        assert f"\n  {path}:{line}: {include}\n" in await host.import_()

        key = (host.certbot.live(WWW) / "privkey.pem").resolve()
        key.chmod(0o640)
        os.chown(key, -1, 12 if os.geteuid() == 0 else os.getgid())
        async with host.moved():
            status = (host.issuer.live(WWW) / "privkey.pem").stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, key.stat().st_gid)
            assert stat.S_IMODE((host.issuer.live(SHOP[0]) / "privkey.pem").stat().st_mode) == 0o600
            assert await host.served() == host.certbot_fingerprints()
