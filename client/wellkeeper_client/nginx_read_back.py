"""Request a token from this host's nginx as the CA will, and explain what is wrong with the answer.

`through` is HOST:PORT, or proxy:HOST:PORT for a port that expects the PROXY protocol of a load balancer.
"""

import http.client
from typing import Final

from wellkeeper_client import wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.signing import Publication

_SECONDS: Final = 5.0
# More than any key authorization has.
_LONGEST: Final = 512
_PROXY: Final = "proxy:"
# Version 1 of the PROXY protocol, section 2.1: without the address of the client.
_GREETING: Final = b"PROXY UNKNOWN\r\n"
_REMEDY: Final = "Start nginx, or name its address with --through HOST:PORT."
_PROXY_REMEDY: Final = "If this port expects the PROXY protocol, name it with --through proxy:HOST:PORT."
_INCLUDE: Final = "Include challenge.conf in the server block for {} and in the default_server of port 80."


def find_fault(through: str, name: str, publication: Publication) -> tuple[str, str] | None:
    """Return cause and remedy if the nginx at `through` does not serve the token for this name."""
    try:
        status, headers, body = _ask(through, name, publication.token)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        is_ended = isinstance(error, ConnectionResetError) and not through.startswith(_PROXY)
        return one_line(f"the request failed: {why}", 200), _PROXY_REMEDY if is_ended else _REMEDY
    if status == http.HTTPStatus.OK and body.rstrip() == publication.key_authorization.encode():
        return None
    return _explain(status, headers.get(wire.UPSTREAM_HEADER, ""), body, name)


def _explain(status: int, upstream: str, body: bytes, name: str) -> tuple[str, str]:
    if upstream in {"502", "504"}:
        return "nginx cannot reach the responder's socket", "Name the responder's --public address in upstream.conf."
    if status == http.HTTPStatus.NOT_FOUND and body == wire.NO_SUCH_TOKEN.encode():
        return (
            "nginx asks another responder, which lacks the token",
            "Set --control to the responder that upstream.conf names.",
        )
    if status == http.HTTPStatus.OK:
        return f"it answers {one_line(body[:60].decode(errors='replace'))!r}", _INCLUDE.format(name)
    return f"it answers HTTP {status}", _INCLUDE.format(name)


def _ask(through: str, name: str, token: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(through.removeprefix(_PROXY), timeout=_SECONDS)
    try:
        connection.connect()
        if through.startswith(_PROXY):
            connection.sock.sendall(_GREETING)
        headers = {"Host": f"[{name}]" if ":" in name else name, wire.READ_BACK_HEADER: "1"}
        connection.request("GET", wire.CHALLENGE_PREFIX + token, headers=headers)
        with connection.getresponse() as reply:
            return reply.status, reply.headers, reply.read(_LONGEST)
    finally:
        connection.close()
