"""Ask at the address of the status endpoint, as a client on this host does, to see who answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import hdrs

from wellkeeper_client import wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.listener import shown
from wellkeeper_issuer.outside.web.site import SERVER
from wellkeeper_node.network_errors import words

_SECONDS: Final = 5.0
_SHOWN: Final = 80
# Where an endpoint that listens at all addresses can be asked on its host.
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the endpoint listens there


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of the answer to `/healthz`, and the program that calls itself its server."""

    status: int
    server: str

    @property
    def is_ours(self) -> bool:
        return (self.status, self.server) == (200, SERVER)


async def ask(address: Path | tuple[str, int], seconds: float = _SECONDS) -> Answer:
    """Return who answers there. Raises DaemonError."""
    connector = aiohttp.UnixConnector(str(address)) if isinstance(address, Path) else aiohttp.TCPConnector()
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
            # Every endpoint answers to this name.
            session.get(_url(address), headers={hdrs.HOST: "localhost"}, allow_redirects=False) as answer,
        ):
            return Answer(answer.status, one_line(answer.headers.get(hdrs.SERVER, ""), _SHOWN))
    except TimeoutError as error:
        raise DaemonError(f"no answer from {shown(address)}", f"it did not answer within {seconds:g} s") from error
    except aiohttp.ClientResponseError as error:
        raise DaemonError(f"another program answers at {shown(address)}", "its answer is not valid HTTP") from error
    except (aiohttp.ClientError, OSError) as error:
        raise DaemonError(f"no answer from {shown(address)}", words(error)) from error


def _url(address: Path | tuple[str, int]) -> str:
    host, port = ("localhost", 80) if isinstance(address, Path) else address
    host = _WILDCARDS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{wire.HEALTH_PATH}"
