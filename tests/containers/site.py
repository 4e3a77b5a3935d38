"""A site in containers, as its clients see it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from stand.nginx import Address
from stand.pebble import Pebble
from stand.processes import StandError
from tests.served_serial import served_serial

NAME: Final = "www.example.org"

_SECONDS: Final = 240.0


class Site:
    """The site at an address, whose certificates come from the CA; `log` returns what to show when it is late."""

    def __init__(self, ca: Pebble, address: Address, log: Callable[[], Awaitable[str]]) -> None:
        self._ca = ca
        self._address = address
        self._log = log

    async def until_served(self, *, other_than: str | None = None) -> str:
        """Return the served serial number once it is of the CA and another one."""
        serial: str | None = None

        async def is_new() -> bool:
            nonlocal serial
            serial = await self.served()
            return serial not in {None, other_than}

        await self.until(is_new)
        return str(serial)

    async def until(self, is_true: Callable[[], Awaitable[bool]]) -> None:
        """Return when this is true. Raises StandError with the log when it is late."""
        try:
            async with asyncio.timeout(_SECONDS):
                while not await is_true():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise StandError(f"late at {self._address}\n{await self._log()}") from error

    async def served(self) -> str | None:
        """Return the serial number of the certificate that nginx serves; None if it is late, or not of the CA."""
        return await served_serial(self._address, await self._ca.issuing_root(), NAME)
