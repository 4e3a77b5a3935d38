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

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from issuer.errors import SettingsError
from issuer.model import Identifier, IdentifierType, KeyType, Lineage, Node

DEFAULT_PATH: Final = Path("/etc/wellkeeper/issuer.toml")
PATH_VARIABLE: Final = "WELLKEEPER_CONFIG"

CA_DIRECTORIES: Final[Mapping[str, str]] = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

_NAME: Final = re.compile(r"(?!.*\.\.)[a-z0-9_-][a-z0-9._-]*")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def parse_identifier(text: str) -> Identifier:
    """A DNS name (A-label form, any case) or an IP address; raises ValueError."""
    try:
        return Identifier(IdentifierType.IP, ipaddress.ip_address(text.strip("[]")).compressed)
    except ValueError:
        pass
    name = text.strip().rstrip(".").lower()
    if name.startswith("*."):
        raise ValueError(f"{text!r} is a wildcard, which http-01 cannot prove (RFC 8555 section 8.3); list the names")
    try:
        name = name.encode("ascii").decode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not ASCII; write it in its xn-- form") from None
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{text!r} is neither a full DNS name nor an IP address")
    return Identifier(IdentifierType.DNS, name)


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r} is no address; write HOST:PORT or [IPV6]:PORT")
    return host.strip("[]"), int(port)


def parse_responder(text: str) -> str:
    """`unix:/PATH` or `HOST:PORT`; raises ValueError."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text!r}: a socket's path must be absolute, as in unix:/run/wellkeeper/control.sock")
    else:
        parse_address(text)
    return text


def _ca_directory(text: str) -> str:
    if text in CA_DIRECTORIES:
        return CA_DIRECTORIES[text]
    if not text.startswith("https://"):
        names = ", ".join(CA_DIRECTORIES)
        raise ValueError(f"{text!r} is neither one of {names} nor the https:// URL of an ACME directory")
    return text


def _contact(text: str) -> str:
    address = text.removeprefix("mailto:")
    if not re.fullmatch(r"[^@\s,?]+@[^@\s,?]+", address):
        raise ValueError(f"{text!r} is no mail address")
    return f"mailto:{address}"


def _checked_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} may have a-z, 0-9, '.', '_' and '-' only, no '..' and no dot in front")
    return text


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{text!r} must be an absolute path")
    return path


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


class NodeSettings(_Frozen):
    """One nginx with its responder; addresses are where *this* node answers, never a load balancer."""

    name: Annotated[str, BeforeValidator(_checked_name)]
    responder: Annotated[str, BeforeValidator(parse_responder)] = "unix:/run/wellkeeper/control.sock"
    http_addresses: tuple[Address, ...] = (("127.0.0.1", 80),)
    https_addresses: tuple[Address, ...] = (("127.0.0.1", 443),)

    def to_node(self) -> Node:
        return Node(self.name, self.responder, self.http_addresses, self.https_addresses)


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
        if isinstance(values, dict) and "name" not in values and values.get("identifiers"):
            first = str(values["identifiers"][0]).lower()
            return {"name": first.replace(":", "-"), **values}
        return values

    def to_lineage(self) -> Lineage:
        return Lineage(self.name, tuple(dict.fromkeys(self.identifiers)), self.key_type, self.profile)


class Settings(_Frozen):
    """All of issuer.toml."""

    ca: Annotated[str, BeforeValidator(_ca_directory)] = CA_DIRECTORIES["letsencrypt"]
    ca_bundle: AbsolutePath | None = None
    contact: tuple[Annotated[str, BeforeValidator(_contact)], ...] = ()
    terms_of_service_agreed: bool = False
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
    return [_complaint(details) for details in error.errors()]


def _complaint(details: Any) -> str:  # noqa: ANN401 - pydantic_core.ErrorDetails is no public name
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"]).lstrip(".")
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        return f"unknown key {key!r}; docs/settings.md lists the keys"
    if details["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key} = {details['input']!r:.80}: {message}"
