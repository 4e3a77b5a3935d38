"""The types of single values: how each is parsed, how it looks in TOML, and what the JSON Schema says about it.

A pattern refuses nothing that its parser accepts; the parsers are in `wellkeeper_issuer.settings.values`.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.settings import values
from wellkeeper_node.model import LINEAGE_NAME, Identifier

_ADDRESS: Final = rf"(?:{values.ADDRESS})$"
# A known CA, one of [[cas]], the URL of a directory, or the host of one.
_CA: Final = {
    "anyOf": [
        {"enum": list(CA_DIRECTORIES)},
        {"type": "string", "pattern": "^https://|^[a-z0-9_-][a-z0-9._:-]*$"},
    ]
}


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}"})


def _cas(**limits: int) -> WithJsonSchema:
    several: dict[str, Any] = {"type": "array", "items": _CA, **limits}
    return WithJsonSchema({"anyOf": [*_CA["anyOf"], several]})


def _parse_identifier(value: object, info: ValidationInfo) -> Identifier:
    """Parse an identifier; only a table with another `source` than "acme" may have wildcards."""
    return values.parse_identifier(value, may_be_wildcard=info.data.get("source", "acme") != "acme")


def _join(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _show_listen(address: Path | tuple[str, int]) -> str:
    return f"unix:{address}" if isinstance(address, Path) else _join(address)


# Strict: true is not a number, and neither are "5", inf and nan.
Seconds = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Minutes = Seconds
PositiveNumber = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
AbsolutePath = Annotated[Path, BeforeValidator(values.parse_path), _text("/")]
PidFile = Annotated[Path | Literal["auto"], BeforeValidator(values.parse_pid_file), _text("/|^auto$")]
Address = Annotated[
    tuple[str, int],
    BeforeValidator(values.parse_address),
    PlainSerializer(_join, return_type=str),
    _text(_ADDRESS),
]
Listen = Annotated[
    Path | tuple[str, int],
    BeforeValidator(values.parse_listen),
    PlainSerializer(_show_listen, return_type=str),
    _text(f"(?:unix:/|(?!unix:){_ADDRESS})"),
]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]
Name = Annotated[str, BeforeValidator(values.parse_name), _text(f"{LINEAGE_NAME.pattern}$")]
Responder = Annotated[str, BeforeValidator(values.parse_responder), _text(f"(?:unix:/|(?!unix:){_ADDRESS})")]
Relay = Annotated[str, BeforeValidator(values.parse_relay), _text("unix:/")]
Engine = Annotated[str, BeforeValidator(values.parse_engine_address), _text(r"(?:redis|valkey)s?(?:\+sentinel)?://")]
DirectoryUrl = Annotated[str, BeforeValidator(values.parse_directory_url), _text("https?://")]
CaName = Annotated[str, WithJsonSchema(_CA)]
CaNames = Annotated[tuple[str, ...], BeforeValidator(values.parse_cas), _cas()]
SomeCaNames = Annotated[tuple[str, ...], BeforeValidator(values.parse_cas), Field(min_length=1), _cas(minItems=1)]
Thumbprint = Annotated[str, BeforeValidator(values.parse_thumbprint), _text("[A-Za-z0-9_-]{43}$")]
PublishingKey = Annotated[str, BeforeValidator(values.parse_publishing_key), _text("[A-Za-z0-9_-]{43}$")]
PublisherIdentifier = Annotated[
    str, BeforeValidator(values.parse_publisher_identifier), _text(r"\s*(?:\*\.)?[^\s*]+\s*$")
]
Contact = Annotated[str, BeforeValidator(values.parse_contact), _text(rf"(?:mailto:)?{values.EMAIL_ADDRESS}$")]
Webhook = Annotated[str, BeforeValidator(values.parse_webhook), _text(f"{values.WEBHOOK}$")]
CertificateIdentifier = Annotated[
    Identifier,
    BeforeValidator(_parse_identifier),
    PlainSerializer(str, return_type=str),
    # A DNS name of several labels, with any of the dots of UTS #46, or an IP address; the table refuses wildcards.
    _text(r"\s*(?:\*[.。．｡])?[^\s*]*[.:。．｡][^\s*]*\s*$"),
]
