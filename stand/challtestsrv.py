"""The DNS server that Pebble asks: `pebble-challtestsrv` with everything but DNS switched off."""

from pathlib import Path
from typing import Any

import aiohttp

from stand.pebble import find_pebble_program
from stand.ports import free_port
from stand.processes import Process, Running, accepts


class Challtestsrv(Running):
    """`async with Challtestsrv(folder) as dns`: all names have the address 127.0.0.1 and no IPv6 address by default.

    (Pebble tries IPv6 first and does not fall back.)
    """

    def __init__(self, folder: Path) -> None:
        self._dns_port = free_port()
        self._management_port = free_port()
        self.process = Process("pebble-challtestsrv", self._argv(), folder / "challtestsrv.log")

    @property
    def address(self) -> str:
        """Return `host:port`, for UDP and TCP."""
        return f"127.0.0.1:{self._dns_port}"

    async def set_addresses(self, name: str, *addresses: str) -> None:
        """Replace the A records of one name; the server chooses their order in replies."""
        await self._post("clear-a", {"host": f"{name}."})
        await self._post("add-a", {"host": f"{name}.", "addresses": list(addresses)})

    async def set_ipv6_addresses(self, name: str, *addresses: str) -> None:
        await self._post("clear-aaaa", {"host": f"{name}."})
        await self._post("add-aaaa", {"host": f"{name}.", "addresses": list(addresses)})

    async def set_default_address(self, address: str) -> None:
        """Set the address of all names without their own records; an empty one means no address."""
        await self._post("set-default-ipv4", {"ip": address})

    async def set_alias(self, name: str, target: str) -> None:
        """Make the name an alias (CNAME) of another one."""
        await self._post("set-cname", {"host": f"{name}.", "target": f"{target}."})

    async def set_caa(self, name: str, **policies: str) -> None:
        """Replace the CAA records of one name: values by tag."""
        await self._post("clear-caa", {"host": f"{name}."})
        listed = [{"tag": tag, "value": value} for tag, value in policies.items()]
        await self._post("add-caa", {"host": f"{name}.", "policies": listed})

    async def fail(self, name: str) -> None:
        """Answer SERVFAIL for this name."""
        await self._post("set-servfail", {"host": f"{name}."})

    async def is_ready(self) -> bool:
        return await accepts("127.0.0.1", self._management_port) and await accepts("127.0.0.1", self._dns_port)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self._management_port}/{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as reply:
            reply.raise_for_status()

    def _argv(self) -> list[str]:
        off = [part for name in ("doh", "http01", "https01", "tlsalpn01") for part in (f"-{name}", "")]
        return [
            find_pebble_program("pebble-challtestsrv"),
            *off,
            "-dnsserver",
            f"127.0.0.1:{self._dns_port}",
            "-management",
            f"127.0.0.1:{self._management_port}",
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
        ]
