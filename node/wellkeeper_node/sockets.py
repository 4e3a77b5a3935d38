"""Connect over HTTP to unix sockets that no other user could have replaced."""

from pathlib import Path

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from wellkeeper_client import permissions
from wellkeeper_client.permissions import Fault


class SocketFaultError(Exception):
    """Another user could put another socket in this place."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.why)
        self.fault = fault


class OwnSocketConnector(aiohttp.UnixConnector):
    """A connector that looks at the directories of its socket before each new connection, and raises SocketFaultError.

    An open connection leads to the process that was there then.
    """

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if fault := permissions.find_socket_fault(Path(self.path)):
            raise SocketFaultError(fault)
        return await super()._create_connection(req, traces, timeout)
