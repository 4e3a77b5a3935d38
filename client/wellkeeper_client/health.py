"""Ask a running program whether it works, for containers: this runs every few seconds forever.

So it imports little: loading `typing`, `re` or `pathlib` would take longer than the check itself.
"""

import socket
import sys

FLAG = "--check-health"
_SECONDS = 3.0
# GET of wire.HEALTH_PATH.
_QUESTION = b"GET /healthz HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 "


def asked_address(arguments: list[str], option: str, from_environment: str, default: str) -> str | None:
    """Return the address to check, None if the command line asks for anything else.

    It is that of the `option`, else the first one from the environment, else the default.
    """
    match arguments:
        case [one] if one == FLAG:
            return (from_environment.split() or [default])[0]
        case [first, second] if FLAG in {first, second}:
            given = first if second == FLAG else second
            return given.removeprefix(f"{option}=") if given.startswith(f"{option}=") else None
        case _:
            return None


def check(program: str, address: str) -> int:
    """Return the exit status, and explain a failure on standard error."""
    if is_healthy(address):
        return 0
    sys.stderr.write(f"no healthy {program} at {address}\n")
    return 1


def is_healthy(address: str) -> bool:
    """Return true if a responder or a relay answers at this address, `unix:PATH` or `HOST:PORT`."""
    return answers(address, _QUESTION, _ANSWER)


def answers(address: str, question: bytes, answer: bytes) -> bool:
    """Return true if the reply to the question begins with the answer."""
    received = b""
    try:
        with _connected(address) as connection:
            connection.sendall(question)
            while len(received) < len(answer) and (more := connection.recv(len(answer) - len(received))):
                received += more
    except (OSError, ValueError):
        return False
    return received == answer


def _connected(address: str) -> socket.socket:
    """Raises OSError, and ValueError for what is not an address."""
    if not address.startswith("unix:"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(address.removeprefix("unix:"))
    except OSError:
        connection.close()
        raise
    return connection
