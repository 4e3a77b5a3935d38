"""The network between issuer and CA: DNS that never answers, proxies, roots, and the number of requests."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stand.certificates import make_server_certificate
from stand.connect_proxy import ConnectProxy
from stand.fault_proxy import Kind
from stand.host import Host, running_host
from stand.issuer import IssuerSettings
from tests.integration.misbehaving import NAME, misbehaving
from tests.integration.observed import installed, served, tokens
from tests.integration.silent_dns import until_asked, without_dns

pytestmark = pytest.mark.integration

# On an idle machine the commands end within 0.3 s; the resolver would wait for 150 s, a request for 30 s.
_AT_ONCE_SECONDS = 20.0


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[float, int, str]:
    """Send the signal; return the seconds until the end, the exit status and what was written to stderr."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    process.send_signal(number)
    _, err = await process.communicate()
    return loop.time() - began_at, await process.wait(), err.decode()


@asynccontextmanager
async def host_of(folder: Path, settings: Callable[[Host], IssuerSettings]) -> AsyncIterator[Host]:
    """A host with other settings for its CA, whose responder trusts the account key for it."""
    async with running_host(folder, {"web": [NAME]}) as host:
        changed = settings(host)
        host.issuer.configure(changed)
        await host.issuer.make_keys()
        yield replace(host, issuer_settings=changed)


@pytest.mark.parametrize(
    "command", [("account", "register"), ("renew",), ("rehearse",), ("run",)], ids=lambda command: command[0]
)
async def test_interrupted_while_dns_never_answers_ends_at_once(folder: Path, command: tuple[str, ...]) -> None:
    async with (
        host_of(folder, lambda host: replace(host.issuer_settings, directory_url="https://ca.example/dir")) as host,
        without_dns(folder, host.issuer.config_path, *command) as process,
    ):
        await until_asked(process)
        seconds, exit_code, err = await ended(process, signal.SIGINT)
        assert exit_code in {0, 130}, err
        assert "Traceback" not in err
        assert seconds < _AT_ONCE_SECONDS
        assert await tokens(host.responder) == 0


async def test_proxy_of_the_environment_carries_everything_over_one_connection(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host, ConnectProxy() as proxy:
        finished = await host.issuer.run("renew", environment={"HTTPS_PROXY": proxy.url})
        assert finished.exit_code == 0, finished
        assert proxy.tunnels == [urlsplit(host.ca.directory_url).netloc]
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_no_proxy_of_the_environment_excepts_the_ca(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host, ConnectProxy() as proxy:
        environment = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "localhost"}
        finished = await host.issuer.run("account", "register", environment=environment)
        assert finished.exit_code == 0, finished
        assert proxy.tunnels == []


async def test_roots_of_the_environment_verify_the_ca(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, ca_bundle=None))
        refused = await host.issuer.run("account", "register")
        assert refused.exit_code == 1
        assert "the TLS certificate of the CA localhost is not trusted" in refused.err
        environment = {"SSL_CERT_FILE": str(host.ca.ca_bundle)}
        finished = await host.issuer.run("account", "register", environment=environment)
        assert finished.exit_code == 0, finished


async def test_each_ca_may_have_roots_of_its_own(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        other = make_server_certificate(folder / "other", ("localhost",))
        table = (f'[[cas]]\nname = "own"\ndirectory = "{host.ca.directory_url}"\nbundle = "{host.ca.ca_bundle}"',)
        settings = replace(host.issuer_settings, directory_url="own", ca_bundle=other.ca_bundle, tables=table)
        host.issuer.configure(settings)
        await host.issuer.run_well("account", "register")


async def test_renewal_needs_ten_requests_one_nonce_and_one_connection(folder: Path) -> None:
    """The account is on record, and the CA decides before it is asked; what is asked is the same for each renewal."""
    async with misbehaving(folder) as ca:
        await ca.serves()
        ca.proxy.asked.clear()
        await ca.serves()
        kinds = [one.kind for one in ca.proxy.asked]
        assert kinds.count(Kind.NONCE) == 1
        assert kinds.count(Kind.DIRECTORY) == 1
        not_understood = sum(one.is_not_understood for one in ca.proxy.asked)
        assert len(kinds) - _extra(kinds) - not_understood <= 10, kinds
        assert len({one.peer for one in ca.proxy.asked}) == 1


def _extra(kinds: Sequence[Kind | None]) -> int:
    """Count questions after the first for a state that a slow machine's CA had not reached yet."""
    return sum(max(kinds.count(kind) - usual, 0) for kind, usual in ((Kind.AUTHORIZATION, 2), (Kind.ORDER, 1)))
