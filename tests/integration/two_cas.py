"""A host with a list of two CAs, `first` and `second`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from stand.host import Host, running_host
from stand.issuer import IssuerSettings
from stand.pebble import Pebble, PebbleSettings
from stand.responder import ResponderProcess
from tests.integration.observed import installed, issued, served
from tests.trust_files import trusting
from wellkeeper_client import trust_file

LINEAGE: Final = "web"


@dataclass(frozen=True, slots=True)
class TwoCas:
    """A host with two CAs; `host.ca` is the first one."""

    host: Host
    second: Pebble
    name: str

    @property
    def issued(self) -> tuple[int, int]:
        """Return the number of certificates that each has issued."""
        return issued(self.host.ca), issued(self.second)

    async def is_served(self, ca: Pebble) -> None:
        """Check that the installed certificate comes from this CA and is served."""
        assert await served(replace(self.host, ca=ca), self.name) == installed(self.host.issuer, LINEAGE)


@asynccontextmanager
async def two_cas(
    folder: Path,
    name: str,
    *,
    pinned_count: int = 2,
    **of_the_first: Any,  # noqa: ANN401 - whatever PebbleSettings has
) -> AsyncIterator[TwoCas]:
    """Run a host whose responder pins the first `pinned_count` CAs; the second CA blocks no name.

    With `has_proxy`, requests to the first CA pass through a fault proxy.
    """
    (folder / "second").mkdir()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(running_host(folder, {LINEAGE: [name]}, **of_the_first))
        settings = PebbleSettings(host.dns.address, host.http[1], blocked_domains=())
        second = await stack.enter_async_context(Pebble(folder / "second", settings))
        host = replace(host, issuer_settings=_with_both(host, second))
        host.issuer.configure(host.issuer_settings)
        await host.issuer.make_keys()
        await host.responder.process.stop()
        trust = trust_file.read(host.issuer.trust_path)
        pinned = trusting(
            folder / "pinned", replace(trust, account_thumbprints=trust.account_thumbprints[:pinned_count])
        )
        responder = ResponderProcess(host.responder.control_socket.parent, pinned)
        yield TwoCas(replace(host, responder=await stack.enter_async_context(responder)), second, name)


def _with_both(host: Host, second: Pebble) -> IssuerSettings:
    cas = {"first": host.proxy or host.ca, "second": second}
    tables = [
        f"[[cas]]\nname = '{name}'\ndirectory = '{ca.directory_url}'\nbundle = '{ca.ca_bundle}'"
        for name, ca in cas.items()
    ]
    return replace(host.issuer_settings, directory_url=tuple(cas), more=tuple(tables))
