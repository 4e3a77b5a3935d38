"""Host names whose addresses a test chooses."""

import socket

from wellkeeper_node.resolver import DaemonResolver, Found


class Names(DaemonResolver):
    """Resolves the names in `addresses`, in the order of a name's addresses, and no others.

    `port`, if there is one, replaces that of the address: no test can choose a port that is free.
    """

    def __init__(self, **addresses: list[str]) -> None:
        super().__init__(self._look_up)
        self.addresses = addresses
        self.port: int | None = None

    def _look_up(self, host: str, port: int, _: socket.AddressFamily) -> Found:
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*kind, (one, self.port or port)) for one in self.addresses[host]]
