"""The issuer's settings: one TOML file, parsed once into frozen objects.

An unknown key or a bad value stops everything, naming file, key, value and what is allowed.
"""

import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, ValidationError, model_validator

from issuer.errors import SettingsError
from issuer.model import Lineage
from issuer.settings_tables import (
    CaSettings,
    CertificateSettings,
    Frozen,
    HooksSettings,
    NginxSettings,
    NodeSettings,
    NotificationsSettings,
    RehearsalSettings,
)
from issuer.settings_values import CA_DIRECTORIES, AbsolutePath, parse_ca_name, parse_cas, parse_contact

DEFAULT_PATH: Final = Path("/etc/wellkeeper/issuer.toml")
PATH_VARIABLE: Final = "WELLKEEPER_CONFIG"


class Settings(Frozen):
    """All of issuer.toml."""

    ca: Annotated[tuple[str, ...], BeforeValidator(parse_cas), Field(min_length=1)] = ("letsencrypt",)
    ca_bundle: AbsolutePath | None = None
    contact: tuple[Annotated[str, BeforeValidator(parse_contact)], ...] = ()
    terms_of_service_agreed: StrictBool = False
    state_dir: AbsolutePath = Path("/var/lib/wellkeeper/issuer")
    certificates_dir: AbsolutePath = Path("/var/lib/wellkeeper/certificates")
    certificates_owner: str | None = None
    certificates_group: str | None = None
    read_back: Literal["required", "advisory"] = "required"
    renewals_at_once: Annotated[StrictInt, Field(ge=1, le=64)] = 8
    orders_per_second: Annotated[float, Field(gt=0)] = 10.0
    nginx: NginxSettings = NginxSettings()
    hooks: HooksSettings = HooksSettings()
    notifications: NotificationsSettings = NotificationsSettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    cas: tuple[CaSettings, ...] = ()
    nodes: Annotated[tuple[NodeSettings, ...], Field(min_length=1)] = (NodeSettings(name="local"),)
    certificates: tuple[CertificateSettings, ...] = ()

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        for what, names in (
            ("cas", [ca.name for ca in self.cas]),
            ("nodes", [node.name for node in self.nodes]),
            ("certificates", [certificate.name for certificate in self.certificates]),
        ):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            if twice:
                raise ValueError(f"two {what} have the name {twice[0]!r}; give each its own")
        state, certificates = self.state_dir, self.certificates_dir
        if certificates.is_relative_to(state) or state.is_relative_to(certificates):
            raise ValueError(
                f"certificates_dir ({certificates}) and state_dir ({state}) must not lie in one another: "
                "the one is for nginx to read, the other for nobody"
            )
        self._check_cas()
        return self

    def _check_cas(self) -> None:
        named = [("ca", name) for name in self.ca]
        named += [("rehearsal.ca", self.rehearsal.ca)] if self.rehearsal.ca else []
        named += [(f"ca of the certificate {one.name}", name) for one in self.certificates for name in one.ca]
        for key, name in named:
            try:
                self.find_ca(name)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None

    def find_ca(self, name: str) -> CaSettings:
        """By the name of one of `[[cas]]`, a known name, or the URL of a directory; raises ValueError."""
        for one in self.cas:
            if name in {one.name, one.directory}:
                return one
        directory = CA_DIRECTORIES.get(name, name)
        if not directory.startswith("https://"):
            names = ", ".join(dict.fromkeys([*CA_DIRECTORIES, *(one.name for one in self.cas)]))
            raise ValueError(f"{name!r} is neither one of {names} nor the https:// URL of an ACME directory")
        known = next((short for short, url in CA_DIRECTORIES.items() if url == directory), "")
        return CaSettings(name=known or parse_ca_name(directory), directory=directory)

    def all_cas(self) -> tuple[CaSettings, ...]:
        """Every CA that may be asked, in order of preference; the one for rehearsals is the last."""
        names = [*self.ca, *(name for one in self.certificates for name in one.ca)]
        names += [self.rehearsal.ca] if self.rehearsal.ca else []
        found = [self.find_ca(name) for name in dict.fromkeys(names)]
        return tuple({one.directory: one for one in reversed(found)}.values())[::-1]

    def lineages(self) -> tuple[Lineage, ...]:
        """What the certificates are to be, each with its CAs in order of preference."""
        default = tuple(self.find_ca(name).directory for name in self.ca)
        return tuple(
            replace(one.to_lineage(), directory_urls=tuple(self.find_ca(n).directory for n in one.ca) or default)
            for one in self.certificates
        )


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
    "hooks": HooksSettings,
    "notifications": NotificationsSettings,
    "rehearsal": RehearsalSettings,
    "cas": CaSettings,
    "nodes": NodeSettings,
    "certificates": CertificateSettings,
}
_IN_TOML: Final = {
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "model_type": "must be a table",
}
