"""Proxies from the environment for requests to a CA, per host."""

import asyncio

import pytest
import requests

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, Canned
from wellkeeper_issuer.outside.ca.network import Network


async def test_environment_proxy_is_used_except_for_excluded_hosts(
    server: AcmeServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "near.invalid")
    network = Network(None, clock, user_agent="wellkeeper", ca_bundle=None)
    url = "http://far.invalid/directory"
    server.answers[url] = Canned(200, {"newOrder": "https://far.invalid/order"})
    for _ in range(2):
        assert (await asyncio.to_thread(network.read_directory, url))["newOrder"] == "https://far.invalid/order"
    assert [one.path for one in server.asked] == [url, url]
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(network.read_directory, "http://near.invalid/directory")
