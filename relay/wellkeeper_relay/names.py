"""Resolve the names of listening addresses: a container's own name leads to the address that its network gave it."""

import asyncio
import socket

from wellkeeper_client.relay_wire import is_private
from wellkeeper_responder.listeners import ListenError, reason
from wellkeeper_responder.settings import Address, TcpAddress


async def private_hosts(address: Address) -> tuple[str, ...]:
    """Return the IP addresses to listen at, empty for a unix socket. Raises ListenError if one is not private."""
    if not isinstance(address, TcpAddress):
        return ()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {reason(error, address)}") from error
    hosts = dict.fromkeys(str(one[4][0]) for one in found)
    for host in hosts:
        if not is_private(host):
            raise ListenError(
                f"cannot listen on {address}: {host} is a public address. Use one of a VPN, or unix:PATH behind TLS."
            )
    return tuple(hosts)
