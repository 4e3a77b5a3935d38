"""Names the likely cause when a token read back through nginx is not what the CA must find: pure functions."""

import errno
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from wellkeeper_client import wire
from wellkeeper_node.model import Answer

_INCLUDE: Final = "include the snippet challenge.conf in it, and in the default_server of port 80"
_WEB_PAGE: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
# Boulder reads 128 bytes and refuses a body that fills them (va/http.go); a key authorization has 87.
MAX_BODY_BYTES: Final = 127


@dataclass(frozen=True, slots=True)
class Reply:
    """The last answer; `host` is the name it was asked for, `body` has at most one byte more than the CA reads."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def cause_of_reply(reply: Reply, answer: Answer) -> str | None:
    """None when the CA will be content."""
    if reply.status == 200:
        return _cause_of_body(reply, answer)
    if reply.status == 404:
        return _cause_of_not_found(reply)
    explain = _STATUSES.get(reply.status)
    if explain is not None:
        return explain.format(host=reply.host)
    if 500 <= reply.status <= 599:
        return (
            f"the server block for {reply.host} answers {reply.status} itself{_server(reply)}: the challenge"
            f" location is not the one that is used; {_INCLUDE}"
        )
    return f"status {reply.status}, and the CA takes 200 only{_server(reply)}"


def cause_of_failure(error: Exception, seconds: float, port: int) -> str:
    """Why there was no answer at all."""
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {seconds:g} s: a firewall drops the connection, or nginx's workers hang"
            " (look at 'nginx -T' for a proxy_pass without short time-outs in this location)"
        )
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return (
            "the TLS handshake failed after a redirect to https (ssl_reject_handshake, or no certificate yet): the CA"
            " would fail too; answer the challenge on port 80, 'return 301' belongs into 'location /'"
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is no HTTP/1.1 ({error.message.strip()[:80]}): something other than nginx listens there"
    return _cause_of_broken_connection(error, port)


def _cause_of_broken_connection(error: Exception, port: int) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return (
            f"connection refused: nothing listens there. Is nginx running, does it 'listen {port};' (for IPv6 also"
            f" 'listen [::]:{port};'), and is the address in the settings the node's?"
        )
    if isinstance(error, aiohttp.ServerDisconnectedError) or number in {errno.ECONNRESET, errno.EPIPE}:
        return (
            "the connection was closed without an answer: 'return 444' in the server block, or a 'listen …"
            " proxy_protocol', for which proxy_protocol = true has to be set for the node"
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host of this address does not resolve; set an IP address in the settings"
    return f"the request failed: {error.strerror if isinstance(error, OSError) and error.strerror else error}"


def _cause_of_body(reply: Reply, answer: Answer) -> str | None:
    expected = answer.key_authorization.encode()
    if len(reply.body) <= MAX_BODY_BYTES and reply.body.rstrip() == expected:
        return None
    if _WEB_PAGE.match(reply.body):
        return (
            f"a web page came instead of the token: a rewrite, try_files or another location of the server block for"
            f" {reply.host} is used; {_INCLUDE}, and keep 'rewrite' and 'return' inside other locations"
        )
    if len(reply.body) > MAX_BODY_BYTES:
        return f"the answer is longer than the {MAX_BODY_BYTES} bytes that the CA takes; it begins {_excerpt(reply)}"
    token, dot, thumbprint = reply.body.rstrip().decode(errors="replace").partition(".")
    if token == answer.token and dot and wire.THUMBPRINT_PATTERN.fullmatch(thumbprint):
        return (
            f"the answer is for another ACME account (thumbprint {thumbprint}, ours is {answer.thumbprint}): another"
            f" ACME client answers for {reply.host}; remove its location from the server block"
        )
    if not reply.body.strip():
        return f"the answer is empty (status 200): a 'return 200' or a handler of its own in the block for {reply.host}"
    return f"the answer is not the key authorization; it is {_excerpt(reply)}{_server(reply)}"


def _cause_of_not_found(reply: Reply) -> str:
    """The snippet turns 502 and 504 into 404 with a header; a responder's own 404 is known by its body."""
    upstream = re.split("[,:]", reply.headers.get(wire.UPSTREAM_HEADER, ""))[-1].strip()
    if upstream == "502":
        return (
            "nginx cannot reach the responder's socket: the responder is not running, its path is another one than"
            " in the snippet upstream.conf, or nginx's workers may not open it (mode, SELinux, PrivateTmp); nginx's"
            " error log says which"
        )
    if upstream == "504":
        return "the responder did not answer nginx in time: it hangs or the machine is overloaded; restart it"
    if upstream == "404" or reply.body == wire.NO_SUCH_TOKEN.encode():
        return (
            "the responder behind this nginx lacks the token: it was restarted since, or nginx asks another responder"
            " than the issuer (compare the sockets in upstream.conf and in the settings)"
        )
    return (
        f"not found, and it was not the challenge location that said so{_server(reply)}: the location is not included"
        f" in the server block for {reply.host}; {_INCLUDE}, then reload nginx"
    )


_STATUSES: Final[Mapping[int, str]] = {
    301: "a redirect without a Location header",
    303: "a redirect with status 303, which the CA does not follow; use 301 or 308, or answer on port 80",
    400: "bad request: the port speaks TLS ('listen … ssl'), and http_addresses in the settings must name a plain HTTP"
    " port; or the settings say proxy_protocol = true and the port has no 'listen … proxy_protocol', or the reverse",
    401: "a password is asked for: an auth_basic or auth_request of the server block for {host} shadows the location;"
    " include the snippet challenge.conf, which turns it off ('location ^~')",
    403: "forbidden: a 'deny', an auth_request or a regex location such as 'location ~ /\\.' in the server block for"
    " {host} wins over the challenge location; it must be 'location ^~ /.well-known/acme-challenge/', as in the snippet"
    " challenge.conf",
    405: "the method GET is refused: another location or server answers for {host}",
    421: "misdirected: the server block does not answer for {host}",
    503: "a limit_req or limit_conn of the server block for {host} counts the CA too (exempt the location), or"
    " the responder has more connections than it takes",
    429: "too many requests: a limit_req or limit_conn of the server block for {host} counts the CA too; exempt the"
    " challenge location",
}


def _server(reply: Reply) -> str:
    server = reply.headers.get("Server", "")
    return "" if not server or server.startswith("nginx") else f", from a server that calls itself {server[:40]!r}"


def _excerpt(reply: Reply) -> str:
    return repr(reply.body[:60].decode(errors="replace"))
