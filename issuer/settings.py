"""The issuer's settings: one TOML file, parsed once into frozen objects.

An unknown key or a bad value stops everything, naming file, key, value and what is allowed.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError, model_validator

from issuer.errors import SettingsError
from issuer.model import Identifier, IdentifierType, KeyType, Lineage, Node

DEFAULT_PATH: Final = Path("/etc/wellkeeper/issuer.toml")
PATH_VARIABLE: Final = "WELLKEEPER_CONFIG"

CA_DIRECTORIES: Final[Mapping[str, str]] = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

_NAME: Final = re.compile(r"(?!.*\.\.)[a-z0-9_-][a-z0-9._-]*")
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def _text(value: object) -> str:
    """What every parser below begins with: pydantic hands over whatever TOML had."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} must be a string")
    return value


def parse_identifier(value: object) -> Identifier:
    """A DNS name (A-label form, any case) or an IP address; raises ValueError."""
    text = _text(value)
    try:
        return _ip_identifier(text)
    except ipaddress.AddressValueError:
        pass
    name = text.strip().rstrip(".").lower()
    if name.startswith("*."):
        raise ValueError(f"{text!r} is a wildcard, which http-01 cannot prove (RFC 8555 section 8.3); list the names")
    try:
        name = name.encode("ascii").decode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not ASCII; write it in its xn-- form") from None
    labels = name.split(".")
    # A last label of digits only is a mistyped address (RFC 3696 section 2).
    if len(name) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdecimal():
        raise ValueError(f"{text!r} is neither a full DNS name nor an IP address")
    return Identifier(IdentifierType.DNS, name)


def _ip_identifier(text: str) -> Identifier:
    """Raises AddressValueError, a ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    parse = ipaddress.IPv6Address if ":" in bare else ipaddress.IPv4Address
    if "%" in bare:
        raise ValueError(f"{text!r} has a scope, which no certificate can name; leave out what follows '%'")
    return Identifier(IdentifierType.IP, parse(bare).compressed)


def parse_address(value: object) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`; raises ValueError."""
    text = _text(value)
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is no address; write HOST:PORT or [IPV6]:PORT")
    return found["v6"] or found["host"], int(found["port"])


def parse_responder(value: object) -> str:
    """`unix:/PATH` or `HOST:PORT`; raises ValueError."""
    text = _text(value)
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text!r}: a socket's path must be absolute, as in unix:/run/wellkeeper/control.sock")
    else:
        parse_address(text)
    return text


def _ca_directory(value: object) -> str:
    text = _text(value)
    if text in CA_DIRECTORIES:
        return CA_DIRECTORIES[text]
    if not text.startswith("https://"):
        names = ", ".join(CA_DIRECTORIES)
        raise ValueError(f"{text!r} is neither one of {names} nor the https:// URL of an ACME directory")
    return text


def _contact(value: object) -> str:
    text = _text(value)
    address = text.removeprefix("mailto:")
    if not re.fullmatch(r"[^@\s,?]+@[^@\s,?]+", address):
        raise ValueError(f"{text!r} is no mail address")
    return f"mailto:{address}"


def _checked_name(value: object) -> str:
    text = _text(value)
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} may have a-z, 0-9, '.', '_' and '-' only, no '..' and no dot in front")
    return text


def _absolute(value: object) -> Path:
    text = _text(value)
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must be an absolute path")
    # Two ways to write one folder must not look like two folders.
    return Path(os.path.normpath(text))


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
Address = Annotated[tuple[str, int], BeforeValidator(parse_address)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False)


class NginxSettings(_Frozen):
    """The nginx of this host: how it is tested and reloaded, and where it is asked for what it serves.

    `reload_command` (as `systemctl reload nginx`) beats `reload`. `error_log` is where a refusal is explained; without
    it, the file that nginx's master writes to.
    """

    command: Argv = ("nginx",)
    reload: Literal["signal", "command"] = "signal"
    reload_command: Argv | None = None
    pid_file: AbsolutePath = Path("/run/nginx.pid")
    error_log: AbsolutePath | None = None
    https_addresses: tuple[Address, ...] = (("127.0.0.1", 443),)
    proxy_protocol: StrictBool = False


class NodeSettings(_Frozen):
    """One nginx with its responder; addresses are where *this* node answers, never a load balancer."""

    name: Annotated[str, BeforeValidator(_checked_name)]
    responder: Annotated[str, BeforeValidator(parse_responder)] = "unix:/run/wellkeeper/control.sock"
    http_addresses: tuple[Address, ...] = (("127.0.0.1", 80),)
    https_addresses: tuple[Address, ...] = (("127.0.0.1", 443),)
    proxy_protocol: StrictBool = False

    def to_node(self) -> Node:
        return Node(self.name, self.responder, self.http_addresses, self.https_addresses, self.proxy_protocol)


class CertificateSettings(_Frozen):
    """One certificate; its name is the folder below `live/`, by default the first identifier."""

    name: Annotated[str, BeforeValidator(_checked_name)]
    identifiers: Annotated[
        tuple[Annotated[Identifier, BeforeValidator(parse_identifier)], ...], Field(min_length=1, max_length=100)
    ]
    key_type: KeyType = KeyType.ECDSA_P256
    profile: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_from_first(cls, values: Any) -> Any:  # noqa: ANN401 - what TOML gave
        if not isinstance(values, dict) or "name" in values:
            return values
        try:
            first = parse_identifier(values["identifiers"][0]).value
        except (KeyError, IndexError, TypeError, ValueError):
            first = "unnamed"  # whatever is wrong with the identifiers is told, and nothing else
        return {"name": first.replace(":", "-"), **values}

    def to_lineage(self) -> Lineage:
        return Lineage(self.name, tuple(dict.fromkeys(self.identifiers)), self.key_type, self.profile)


class Settings(_Frozen):
    """All of issuer.toml."""

    ca: Annotated[str, BeforeValidator(_ca_directory)] = CA_DIRECTORIES["letsencrypt"]
    ca_bundle: AbsolutePath | None = None
    contact: tuple[Annotated[str, BeforeValidator(_contact)], ...] = ()
    terms_of_service_agreed: StrictBool = False
    state_dir: AbsolutePath = Path("/var/lib/wellkeeper/issuer")
    certificates_dir: AbsolutePath = Path("/var/lib/wellkeeper/certificates")
    certificates_owner: str | None = None
    certificates_group: str | None = None
    read_back: Literal["required", "advisory"] = "required"
    nginx: NginxSettings = NginxSettings()
    nodes: Annotated[tuple[NodeSettings, ...], Field(min_length=1)] = (NodeSettings(name="local"),)
    certificates: tuple[CertificateSettings, ...] = ()

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        for what, names in (
            ("nodes", [node.name for node in self.nodes]),
            ("certificates", [certificate.name for certificate in self.certificates]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} have the name {twice[0]!r}; give each its own")
        state, certificates = self.state_dir, self.certificates_dir
        if certificates.is_relative_to(state) or state.is_relative_to(certificates):
            raise ValueError(
                f"certificates_dir ({certificates}) and state_dir ({state}) must not lie in one another: "
                "the one is for nginx to read, the other for nobody"
            )
        return self


def settings_path(given: Path | None) -> Path:
    """`--config`, else WELLKEEPER_CONFIG, else the default; the only place that looks at the environment."""
    return given or Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def read_settings(path: Path) -> Settings:
    """Raises SettingsError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist; run 'wellkeeper-issuer init', or name a file with --config or {PATH_VARIABLE}"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; run as a user who may") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {text}" for text in _complaints(error))) from error


def _complaints(error: ValidationError) -> list[str]:
    every = error.errors()
    # That a list is empty without its bad entries is no second mistake.
    return [
        _complaint(one)
        for one in every
        if one["type"] != "too_short" or not any(_is_inside(other["loc"], one["loc"]) for other in every)
    ]


def _is_inside(location: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _complaint(details: Any) -> str:  # noqa: ANN401 - pydantic_core.ErrorDetails is no public name
    location = details["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    message = details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            table = _TABLES[location[0]] if len(location) > 1 else Settings
            return f"unknown key {key!r}; known here: {', '.join(table.model_fields)} (docs/settings.md)"
        case "missing":
            return f"{key} is missing; docs/settings.md says what belongs there"
        case "value_error":
            return f"{key}: {message}" if key else message
        case "too_short":
            message = "must have at least one entry"
        case "too_long":
            message = f"must have at most {details['ctx']['max_length']} entries, not {details['ctx']['actual_length']}"
        case kind:
            message = _IN_TOML.get(kind, message.replace("Input should be", "must be"))
    return f"{key} = {details['input']!r:.80}: {message}"


_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "nginx": NginxSettings,
    "nodes": NodeSettings,
    "certificates": CertificateSettings,
}
_IN_TOML: Final = {
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
}
