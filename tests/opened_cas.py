"""The issuer's client of one CA, opened for a test and closed after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.connection import Connection
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.server import CaServer
from wellkeeper_issuer.outside.ca.session import CaSession, Limits
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.ports import Clock


def make_server(options: CaOptions, clock: Clock, limits: Limits | None = None) -> CaServer:
    """Make the server, which the caller closes."""
    session = CaSession("wellkeeper/1", bundle=options.bundle, allow_http=options.allow_http, limits=limits)
    return CaServer(options.directory_url, session, clock)


@asynccontextmanager
async def opened_server(options: CaOptions, clock: Clock, limits: Limits | None = None) -> AsyncIterator[CaServer]:
    server = make_server(options, clock, limits)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def opened_connection(
    options: CaOptions, accounts: AccountFolder, clock: Clock, limits: Limits | None = None
) -> AsyncIterator[Connection]:
    async with opened_server(options, clock, limits) as server:
        yield Connection(options, server, accounts, clock)


@asynccontextmanager
async def opened_ca(
    options: CaOptions, accounts: AccountFolder, clock: Clock, limits: Limits | None = None
) -> AsyncIterator[AcmeAuthority]:
    async with opened_connection(options, accounts, clock, limits) as connection:
        yield AcmeAuthority(connection)
