"""Call a URL of the administrator's once: a webhook, or a heartbeat.

The URL often contains a secret, so no message has more of it than its host, even if the server repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import HookError, SettingsError
from wellkeeper_issuer.outside.host.bundles import tls_context
from wellkeeper_issuer.outside.host.echoes import masked
from wellkeeper_issuer.outside.proxies import find_proxy
from wellkeeper_node.bodies import read_body
from wellkeeper_node.network_errors import words
from wellkeeper_node.resolver import DaemonResolver

_TIMEOUT_SECONDS: Final = 10.0
# Far more than is shown: only a secret that is whole can be masked.
_ANSWER_BYTES: Final = 64 * 1024
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Call:
    """A request; any answer but 2xx is a failure. `secrets` are those that its URL does not have."""

    url: str
    version: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    ca_bundle: Path | None = None
    timeout_seconds: float = _TIMEOUT_SECONDS
    secrets: Sequence[str] = ()


class CallError(Exception):
    """Has the reason in one line; `status` is that of the answer, 0 without one."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


async def call(wanted: Call) -> None:
    """Make the request. Redirects are not followed, as they would become GETs.

    Raises CallError, and HookError for an unusable proxy or CA bundle.
    """
    proxy, timeout = _proxy_for(wanted.url), aiohttp.ClientTimeout(total=wanted.timeout_seconds)
    headers = {"User-Agent": f"wellkeeper/{wanted.version}", "Accept-Encoding": "identity"}
    try:
        tls = tls_context(wanted.ca_bundle) if wanted.ca_bundle else True
        connector = aiohttp.TCPConnector(resolver=DaemonResolver(), ssl=tls)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                headers=headers,
                auto_decompress=False,  # the size of a compressed body is only known after decompression
            ) as session,
            session.request(
                wanted.method,
                wanted.url,
                headers=wanted.headers,
                data=wanted.body,
                allow_redirects=False,
                proxy=proxy,
            ) as answer,
        ):
            if not 200 <= answer.status < 300:
                content = await read_body(answer, _ANSWER_BYTES)
                shown = "" if "Content-Encoding" in answer.headers else _shown(content, wanted)
                raise CallError(f"it answered with HTTP {answer.status}{shown}", answer.status)
    except TimeoutError as error:
        raise CallError(f"it did not answer within {wanted.timeout_seconds:g} s") from error
    except aiohttp.InvalidURL as error:
        # The text of this error is the URL.
        raise CallError("its URL is not valid") from error
    except aiohttp.ClientHttpProxyError as error:
        raise CallError(f"the proxy answered with HTTP {error.status}") from error
    except aiohttp.ClientResponseError as error:
        # The text of this error has the URL.
        shown = one_line(masked(error.message, wanted.url, wanted.secrets), _SHOWN)
        raise CallError(f"its answer is not valid HTTP: {shown}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise CallError(words(error)) from error
    except ValueError as error:
        # A control character in a header, for example in the secret.
        raise CallError("its URL, or a header with its secret, is not valid") from error


def _proxy_for(url: str) -> URL | None:
    try:
        return find_proxy(URL(url))
    except SettingsError as error:
        raise HookError(*error.lines) from error
    except ValueError as error:
        raise CallError("its URL is not valid") from error


def host_of(url: str) -> str:
    """Return what of a URL is not secret."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return "an invalid URL"


def _shown(content: bytes, wanted: Call) -> str:
    text = one_line(masked(content.decode(errors="replace"), wanted.url, wanted.secrets), _SHOWN)
    return f": {text}" if text else ""
