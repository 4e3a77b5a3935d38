"""Servers to compare with, each a separate program: `python -m bench.yardsticks aiohttp|standalone …`.

aiohttp: the least that a server on aiohttp can do, one handler that returns constant bytes. standalone: what
`certbot --standalone` serves with, the acme library's server on Python's http.server, holding one token. One thing is
added: Content-Length, without which wrk takes each of its answers for a failed read and connects twice.
"""

import asyncio
import logging
import signal
from typing import Final

import click
from acme.challenges import HTTP01
from acme.standalone import BaseDualNetworkedServers, HTTP01RequestHandler, HTTPServer
from aiohttp import web
from josepy.b64 import b64decode

# As long as a key authorization: 43 characters, a dot, 43 characters.
_BODY: Final = b"x" * 87


class _Handler(HTTP01RequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Length", str(len(_BODY)))
        super().end_headers()


@click.group()
def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO)


@main.command("aiohttp")
@click.option("--port", type=int, required=True)
@click.option("--unix", required=True)
def bare(port: int, unix: str) -> None:
    """Answer every request with the same bytes."""
    asyncio.run(_serve(port, unix))


async def _serve(port: int, unix: str) -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(body=_BODY)

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = web.Server(handle, access_log=None)
    # Listen on the port last, so that the socket exists once the port accepts connections.
    async with await loop.create_unix_server(server, unix), await loop.create_server(server, "127.0.0.1", port):
        await stop.wait()


@main.command()
@click.option("--port", type=int, required=True)
@click.option("--token", required=True)
@click.option("--thumbprint", required=True)
def standalone(port: int, token: str, thumbprint: str) -> None:
    """Serve one token, as certbot would."""
    challenge = HTTP01(token=b64decode(token))
    resource = HTTP01RequestHandler.HTTP01Resource(challenge, None, f"{token}.{thumbprint}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    servers = BaseDualNetworkedServers(HTTPServer, ("", port), _Handler.partial_init({resource}, timeout=30))
    servers.serve_forever()
    signal.sigwait({signal.SIGTERM})
    servers.shutdown_and_server_close()


if __name__ == "__main__":
    main()
