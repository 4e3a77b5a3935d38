"""From empty directories to a served certificate: prepare, then a daemon that starts before all others."""

from pathlib import Path

import pytest

from stand.challtestsrv import Challtestsrv
from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from stand.nginx import NginxSettings, Site
from stand.nginx_agent import NginxWithAgent
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.responder import ResponderProcess
from tests.integration.observed import orders
from tests.json_docs import assert_documented

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def test_certificate_is_served_whatever_starts_first(folder: Path, http_port: int) -> None:
    issuer, https_port = Issuer(folder), free_port()
    sockets, trust = folder / "responder", folder / "trust/trust.toml"
    http, https = ("127.0.0.1", http_port), ("127.0.0.1", https_port)
    site = Site((NAME,), issuer.live(NAME))
    async with Challtestsrv(folder) as dns, Pebble(folder, PebbleSettings(dns.address, http_port)) as ca:
        environment = {
            "WELLKEEPER_CERTIFICATE": NAME,
            "WELLKEEPER_CA": ca.directory_url,
            "WELLKEEPER_CA_BUNDLE": str(ca.ca_bundle),
            "WELLKEEPER_AGREE_TO_TERMS_OF_SERVICE": "yes",
            "WELLKEEPER_STATE_DIR": str(issuer.state_dir),
            "WELLKEEPER_CERTIFICATES_DIR": str(issuer.certificates_dir),
            "WELLKEEPER_PROGRAM": str(folder / "program"),
            "WELLKEEPER_TRUST": str(trust),
            "WELLKEEPER_RESPONDER": f"unix:{sockets}/control.sock",
            "WELLKEEPER_NGINX_AGENT": str(folder / "nginx/agent"),
            "WELLKEEPER_HTTP": f"127.0.0.1:{http_port}",
            "WELLKEEPER_HTTPS": f"127.0.0.1:{https_port}",
        }
        prepared = await issuer.run("prepare", "--json", environment=environment)
        assert prepared.exit_code == 0, prepared
        assert_documented("prepare", prepared.json())
        async with IssuerDaemon(issuer) as daemon:
            await daemon.until(event="log", level="info", logger="starting")
            nginx = NginxWithAgent(folder / "nginx", NginxSettings(sockets / "public.sock", (http,), (https,), (site,)))
            async with nginx:
                await daemon.until(event="log", level="info", logger="starting")
                assert orders(ca) == 0
                async with ResponderProcess(sockets, trust):
                    await daemon.until(certificate=NAME, stage="verify", event="finished")
                    status = (await issuer.run_well("status", "--json")).json()
        assert [one["state"] for one in status["certificates"]] == ["served"]
        assert [one["failure"] for one in status["certificates"]] == [None]
        assert orders(ca) == 1
