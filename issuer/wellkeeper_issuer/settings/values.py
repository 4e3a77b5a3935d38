"""Parse single values of the settings: names, addresses, paths, CAs.

Every parser takes the value from the TOML file and raises ValueError that says what is allowed.
"""

import contextlib
import ipaddress
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_issuer import idn
from wellkeeper_node.model import LINEAGE_NAME, MAX_LINEAGE_NAME, Identifier, IdentifierType
from wellkeeper_node.nginx.control import AUTO
from wellkeeper_node.records.engine import parse_engine

# The name of a certificate whose identifiers cannot be read: messages do not show it.
UNNAMED: Final = "unnamed"

# The JSON Schema has these patterns, too: so they use only what JavaScript's regular expressions know as well. They are
# compiled at their first use: most settings need none.
_PORT: Final = "0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
ADDRESS: Final = rf"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):({_PORT})"
# Without what separates or quotes addresses in mail and in `mailto:`.
_NOT_IN_ADDRESS: Final = r'@\s,?;:<>()\[\]\\"\x00-\x1f\x7f'
EMAIL_ADDRESS: Final = rf"[^{_NOT_IN_ADDRESS}]+@[^{_NOT_IN_ADDRESS}.]+(?:\.[^{_NOT_IN_ADDRESS}.]+)*"
WEBHOOK: Final = r"https?://[^\s/]+(?:/\S*)?"

_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_text(value: object) -> str:
    """Return the value if it is a string; raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} must be a string")
    return value


def parse_identifier(value: object, *, may_be_wildcard: bool = False) -> Identifier:
    """Parse a DNS name (Unicode or A-labels, any case) or an IP address; raises ValueError."""
    text = parse_text(value)
    # Trying to parse each name as an address would take a third of the time of reading ten thousand names.
    if ":" in text or not text[-1:].isalpha():
        with contextlib.suppress(ipaddress.AddressValueError):
            return _ip_identifier(text)
    name = text.strip().rstrip(".").lower()
    wildcard = "*." if name.startswith("*.") else ""
    if wildcard and not may_be_wildcard:
        raise ValueError(
            f"{text!r} is a wildcard, which http-01 cannot validate (RFC 8555 section 8.3); list the names"
        )
    name = idn.to_ascii(name.removeprefix(wildcard))
    labels = name.split(".")
    # A last label of digits only is a mistyped address (RFC 3696 section 2).
    if len(name) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdecimal():
        raise ValueError(f"{text!r} is neither a full DNS name nor an IP address")
    return Identifier(IdentifierType.DNS, wildcard + name)


def _ip_identifier(text: str) -> Identifier:
    """Raises AddressValueError, a ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    parse = ipaddress.IPv6Address if ":" in bare else ipaddress.IPv4Address
    if "%" in bare:
        raise ValueError(f"{text!r} has a zone, which certificates cannot contain; remove '%' and what follows")
    return Identifier(IdentifierType.IP, parse(bare).compressed)


def parse_thumbprint(value: object) -> str:
    """Check an RFC 7638 thumbprint; raises ValueError."""
    text = parse_text(value)
    if re.fullmatch("[A-Za-z0-9_-]{43}", text) is None:
        raise ValueError(
            f"{text!r:.80} is not an RFC 7638 thumbprint, 43 characters of base64url; 'wellkeeper trust --account-key"
            " FILE' shows that of a key"
        )
    return text


def parse_publishing_key(value: object) -> str:
    """Check a publishing key; raises ValueError."""
    text = parse_text(value)
    if re.fullmatch("[A-Za-z0-9_-]{43}", text) is None:
        raise ValueError(
            f"{text!r:.80} is not a publishing key, 43 characters of base64url; 'wellkeeper publisher add' makes one"
        )
    return text


def parse_publisher_identifier(value: object) -> str:
    """Return a name (A-labels), `*.` before a name, or an IP address in its one spelling; raises ValueError."""
    text = parse_text(value).strip()
    prefix = "*." if text.startswith("*.") else ""
    return prefix + parse_identifier(text.removeprefix(prefix)).value


def parse_address(value: object) -> tuple[str, int]:
    """Parse `HOST:PORT` or `[IPV6]:PORT`; raises ValueError."""
    text = parse_text(value)
    found = re.fullmatch(ADDRESS, text)
    if found is None:
        raise ValueError(f"{text!r} is not an address; write HOST:PORT or [IPV6]:PORT")
    return found[1] or found[2], int(found[3])


def parse_responder(value: object) -> str:
    """Check `unix:/PATH` or `HOST:PORT`; raises ValueError."""
    text = parse_text(value)
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text!r}: a socket's path must be absolute, as in unix:/run/wellkeeper/control.sock")
    else:
        parse_address(text)
    return text


def parse_listen(value: object) -> Path | tuple[str, int]:
    """Return the path of `unix:/PATH`, or host and port; raises ValueError."""
    text = parse_text(value)
    if text.startswith("unix:"):
        return parse_path(text.removeprefix("unix:"))
    return parse_address(text)


def parse_pid_file(value: object) -> object:
    """Return a path, or "auto"; raises ValueError."""
    return value if value == AUTO else parse_path(value)


def parse_relay(value: object) -> str:
    """Check `unix:/PATH`; raises ValueError."""
    text = parse_text(value)
    if not text.startswith("unix:/"):
        raise ValueError(f"{text!r} is not the socket of a relay, as in unix:/run/wellkeeper-relay/issuer.sock")
    return text


def parse_engine_address(value: object) -> str:
    """Check an address that nodes can reach, too; raises ValueError."""
    text = parse_text(value)
    if parse_engine(text).socket:
        raise ValueError(f"{text}: nodes cannot reach a unix socket of this host; write redis:// or rediss://")
    return text


def parse_directory_url(value: object) -> str:
    """Check the URL of an ACME directory, which `CaSettings` may restrict to https; raises ValueError."""
    text = parse_text(value)
    if not text.startswith(("https://", "http://")) or not _has_valid_host(text):
        raise ValueError(f"{text!r} is not the https:// URL of an ACME directory")
    return text


def parse_ca_name(directory_url: str) -> str:
    """Return the name of a CA that has none in the settings: its host. Raises ValueError."""
    return urlsplit(parse_directory_url(directory_url)).hostname or ""


def parse_cas(value: object) -> object:
    """Return one CA or several as a sequence, each a name or the URL of a directory; raises ValueError."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"{value!r:.80} must be a name, or a list of names in order of preference")
    return (value,) if isinstance(value, str) else value


def parse_webhook(value: object) -> str:
    """Check an `https://` or `http://` URL; raises ValueError."""
    text = parse_text(value)
    if not re.fullmatch(WEBHOOK, text):
        raise ValueError(f"{text!r} is not an http:// or https:// URL")
    if not _has_valid_host(text):
        raise ValueError("its host or port is not valid")  # the rest of the URL is often a secret
    return text


def _has_valid_host(url: str) -> bool:
    """Return whether host and port can be valid."""
    try:
        split = urlsplit(url)
        return bool(split.hostname) and split.port != 0
    except ValueError:
        return False


def parse_mailbox(value: object) -> str:
    """Check an email address; raises ValueError."""
    text = parse_text(value)
    if not re.fullmatch(EMAIL_ADDRESS, text):
        raise ValueError(f"{text!r} is not an email address")
    return text


def check_header(name: str, value: str) -> None:
    """Raise ValueError for what cannot be a header of HTTP (RFC 9110 section 5), or frames a message (RFC 9112)."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError(f"{name!r} is not the name of a header")
    if not re.fullmatch(r"[\x20-\x7e]*", value):
        raise ValueError(f"the header {name} may contain only printable ASCII characters")
    if name.lower() in _FRAMING:
        raise ValueError(f"Wellkeeper sets the header {name} itself; remove it")


def parse_contact(value: object) -> str:
    """Return the address with `mailto:` in front; raises ValueError."""
    text = parse_text(value)
    address = text.removeprefix("mailto:")
    if not re.fullmatch(EMAIL_ADDRESS, address):
        raise ValueError(f'{text!r} is not an email address; write contact = ["me@example.org"]')
    return f"mailto:{address}"


def parse_name(value: object) -> str:
    """Check a name that can be a directory below `live/`; raises ValueError."""
    text = parse_text(value)
    if len(text) > MAX_LINEAGE_NAME:
        raise ValueError(f"{text!r:.80} is too long: a name has at most {MAX_LINEAGE_NAME} characters")
    if not LINEAGE_NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} may contain only a-z, 0-9, '.', '_' and '-', not '..',"
            " and must start with a letter, a digit or '_'"
        )
    return text


def parse_path(value: object) -> Path:
    """Return an absolute path, normalized; raises ValueError."""
    text = parse_text(value)
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must be an absolute path")
    # Two spellings of one directory must compare equal.
    return Path(os.path.normpath(text))
