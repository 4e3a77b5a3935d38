"""The likely cause and remedy when a token read back through nginx is not what the CA must find: pure functions."""

import errno
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import aiohttp

from wellkeeper_client import wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.model import Answer
from wellkeeper_node.wording import with_reload

_INCLUDE: Final = (
    "Include challenge.conf in the server block for {host} and in the default_server of port 80, then reload nginx."
)
_EXEMPT: Final = "Exempt the challenge location from the limit."
_WEB_PAGE: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
# nginx's own page for a limit, in any location; a program behind it sends another.
_LIMIT_PAGE: Final = re.compile(rb"<html>\s*<head><title>503 Service Temporarily Unavailable</title>")
# What the responder answers when it fails; challenge.conf turns nginx's own 502 and 504 into 404.
_RESPONDER_FAILED: Final = b"500\n"
# Boulder reads 128 bytes and refuses a body that fills them (va/http.go); its key authorizations have 87.
_MAX_BODY_BYTES: Final = 127


def longest_body(answer: Answer) -> int:
    """Return how many bytes the CA reads: more where its tokens are longer than Boulder's (django-ca: 86)."""
    return max(_MAX_BODY_BYTES, len(answer.key_authorization))


@dataclass(frozen=True, slots=True)
class Reply:
    """The last answer; `host` is the requested name, `body` has at most one byte more than the CA reads."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Advice(NamedTuple):
    """The cause of a failed read-back, and a full sentence with the remedy, which may be empty."""

    cause: str
    remedy: str = ""


def advice_on_reply(reply: Reply, answer: Answer) -> Advice | None:
    """Return None when the CA will accept the reply."""
    if reply.status == 200:
        return _advice_on_body(reply, answer)
    if reply.status == 404:
        return _advice_on_not_found(reply)
    advice = _STATUSES.get(reply.status)
    if advice is not None and (reply.status != 503 or _is_limit(reply)):
        return Advice(*(text.format(host=reply.host) for text in advice))
    if 500 <= reply.status <= 599:
        return Advice(
            f"the server block for {reply.host} answers {reply.status} itself{_server(reply)},"
            " not the challenge location",
            _INCLUDE.format(host=reply.host),
        )
    return Advice(f"status {reply.status}, but the CA accepts only 200{_server(reply)}")


def is_elsewhere(reply: Reply, *, is_redirected: bool = False) -> bool:
    """Return whether the reply shows that the challenge location did not answer.

    Limits and the responder's own errors show nothing, except after a redirect, which the location never sends.
    """
    if reply.status == 404:
        return wire.UPSTREAM_HEADER not in reply.headers and reply.body != wire.NO_SUCH_TOKEN.encode()
    is_own_error = reply.status == 500 and reply.body == _RESPONDER_FAILED
    return is_redirected or not (is_own_error or _is_limit(reply))


def is_token_unknown(reply: Reply) -> bool:
    """Return whether a responder answered, through the challenge location, that it does not have the token."""
    is_responders = _upstream_status(reply) == "404" or reply.body == wire.NO_SUCH_TOKEN.encode()
    return reply.status == 404 and is_responders


def _upstream_status(reply: Reply) -> str:
    """Return the status of the last upstream that nginx asked, as challenge.conf reports it; "" without one."""
    return re.split("[,:]", reply.headers.get(wire.UPSTREAM_HEADER, ""))[-1].strip()


def advice_on_failure(error: Exception, seconds: float, port: int) -> Advice:
    """Explain a request that got no answer."""
    if isinstance(error, TimeoutError):
        return Advice(
            f"no answer within {seconds:g} s: a firewall drops the connection, or nginx's workers hang",
            "Check the firewall, and 'nginx -T' for a proxy_pass without short timeouts in this location.",
        )
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return Advice(
            "the TLS handshake failed after a redirect to https, and the CA would fail too",
            "Answer the challenge on port 80: move 'return 301' into 'location /'.",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return Advice(
            f"the answer is not HTTP/1.1 ({one_line(error.message, 80)})",
            "Check which program listens there: it is not nginx.",
        )
    return _advice_on_broken_connection(error, port)


def _advice_on_broken_connection(error: Exception, port: int) -> Advice:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return Advice(
            "connection refused: nothing listens there",
            with_reload(
                f"Start nginx, and check 'listen {port};', 'listen [::]:{port};' and http_addresses in the settings."
            ),
        )
    if isinstance(error, aiohttp.ServerDisconnectedError) or number in {errno.ECONNRESET, errno.EPIPE}:
        return Advice(
            "the connection was closed without an answer",
            with_reload(
                "Remove 'return 444' from the server block, or set proxy_protocol = true for 'listen … proxy_protocol'."
            ),
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Advice(
            f"the name of this address does not resolve: {one_line(error.os_error.strerror or error.os_error, 80)}",
            with_reload("Start the host of this name, or change http_addresses in the settings."),
        )
    text = error.strerror if isinstance(error, OSError) and error.strerror else error
    return Advice(f"the request failed: {one_line(text, 200)}")


def _is_limit(reply: Reply) -> bool:
    """Return whether a limit of nginx or of the responder, whose 503 is empty, may have refused the request."""
    is_page = reply.body == b"" or _LIMIT_PAGE.match(reply.body) is not None
    return reply.status == 429 or (reply.status == 503 and is_page)


def _advice_on_body(reply: Reply, answer: Answer) -> Advice | None:
    expected = answer.key_authorization.encode()
    longest = longest_body(answer)
    if len(reply.body) <= longest and reply.body.rstrip() == expected:
        return None
    if _WEB_PAGE.match(reply.body):
        return Advice(
            f"the answer is a web page: another location of the server block for {reply.host} answers",
            "Include challenge.conf in it, and keep 'rewrite' and 'return' inside other locations.",
        )
    if len(reply.body) > longest:
        return Advice(f"the answer is longer than the {longest} bytes that the CA reads; it begins {_excerpt(reply)}")
    token, dot, thumbprint = reply.body.rstrip().decode(errors="replace").partition(".")
    if token == answer.token and dot and wire.THUMBPRINT_PATTERN.fullmatch(thumbprint):
        return Advice(
            f"another ACME client answers for {reply.host} (account thumbprint {thumbprint}, not {answer.thumbprint})",
            "Remove that client's location from the server block.",
        )
    if not reply.body.strip():
        return Advice(
            "the answer is empty (status 200)",
            f"Remove the 'return 200' or the handler that answers in the server block for {reply.host}.",
        )
    return Advice(f"the answer is not the key authorization but {_excerpt(reply)}{_server(reply)}")


def _advice_on_not_found(reply: Reply) -> Advice:
    """Explain a 404: the snippet turns 502 and 504 into one with a header, and a responder's own has a known body."""
    upstream = _upstream_status(reply)
    if upstream == "502":
        return Advice(
            "nginx cannot reach the responder's socket",
            "Check that the responder runs, that upstream.conf names its socket, and that nginx's workers may open it"
            " (see nginx's error log).",
        )
    if upstream == "504":
        return Advice(
            "the responder did not answer nginx in time", "Restart the responder, and check the load of the machine."
        )
    if is_token_unknown(reply):
        return Advice(
            "the responder behind this nginx lacks the token: it restarted, or nginx asks another responder",
            with_reload("Compare the sockets in upstream.conf and in the settings."),
        )
    return Advice(
        f"the server block for {reply.host} does not include the challenge location{_server(reply)}",
        _INCLUDE.format(host=reply.host),
    )


_STATUSES: Final[Mapping[int, Advice]] = {
    301: Advice("a redirect without a Location header"),
    303: Advice(
        "a redirect with status 303, which the CA does not follow", "Redirect with 301 or 308, or answer on port 80."
    ),
    400: Advice(
        "bad request: this port expects TLS or the PROXY protocol",
        with_reload("Set http_addresses to a plain HTTP port, and proxy_protocol as in its 'listen' line."),
    ),
    401: Advice(
        "an auth_basic or auth_request of the server block for {host} asks for a password",
        "Include challenge.conf, which turns it off ('location ^~').",
    ),
    403: Advice(
        "a 'deny', an auth_request or a regex location in the server block for {host} forbids it",
        "Include challenge.conf: its 'location ^~ /.well-known/acme-challenge/' takes precedence.",
    ),
    405: Advice("another location or server answers for {host} and refuses GET", _INCLUDE),
    421: Advice("misdirected: the server block does not answer for {host}", _INCLUDE),
    429: Advice("a limit_req or limit_conn of the server block for {host} also limits the CA", _EXEMPT),
    503: Advice(
        "a limit_req or limit_conn of the server block for {host} also limits the CA, or the responder has too many"
        " connections",
        _EXEMPT,
    ),
}


def _server(reply: Reply) -> str:
    server = reply.headers.get("Server", "")
    return "" if not server or server.startswith("nginx") else f", from a server that calls itself {server[:40]!r}"


def _excerpt(reply: Reply) -> str:
    return repr(reply.body[:60].decode(errors="replace"))
