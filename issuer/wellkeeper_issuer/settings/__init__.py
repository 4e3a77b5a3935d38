"""Parse the issuer's settings, a TOML file and drop-ins beside it, once into frozen objects.

An unknown key or a bad value stops the program; the message has file, line, key, value and what is allowed.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, ValidationError

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings.complaints import complaint, key_of, mistakes
from wellkeeper_issuer.settings.files import Location, Sources, read_sources
from wellkeeper_issuer.settings.salvage import without_mistakes
from wellkeeper_issuer.settings.tables import (
    CaSettings,
    CertificateSettings,
    Frozen,
    HooksSettings,
    NginxSettings,
    NodeSettings,
    NotificationsSettings,
    PositiveNumber,
    RehearsalSettings,
)
from wellkeeper_issuer.settings.values import AbsolutePath, parse_ca_name, parse_cas, parse_contact

DEFAULT_PATH: Final = Path("/etc/wellkeeper/issuer.toml")
PATH_VARIABLE: Final = "WELLKEEPER_CONFIG"

_APART: Final = "must not contain each other: nginx reads the first, and only the issuer the second"


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
    orders_per_second: PositiveNumber = 10.0
    nginx: NginxSettings = NginxSettings()
    hooks: HooksSettings = HooksSettings()
    notifications: NotificationsSettings = NotificationsSettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    cas: tuple[CaSettings, ...] = ()
    nodes: Annotated[tuple[NodeSettings, ...], Field(min_length=1)] = (NodeSettings(name="local"),)
    certificates: tuple[CertificateSettings, ...] = ()

    def contradictions(self) -> list[tuple[Location, str]]:
        """Return mistakes that no single value shows, with locations: nested directories and unknown CAs."""
        found: list[tuple[Location, str]] = []
        state, certificates = self.state_dir, self.certificates_dir
        if certificates.is_relative_to(state) or state.is_relative_to(certificates):
            found.append((("certificates_dir",), f"this directory ({certificates}) and state_dir ({state}) {_APART}"))
        for location, name in self._named_cas():
            try:
                self.find_ca(name)
            except ValueError as error:
                found.append((location, str(error)))
        return found

    def _named_cas(self) -> Iterator[tuple[Location, str]]:
        for name in self.ca:
            yield ("ca",), name
        if self.rehearsal.ca:
            yield ("rehearsal", "ca"), self.rehearsal.ca
        for index, certificate in enumerate(self.certificates):
            for name in certificate.ca:
                yield ("certificates", index, "ca"), name

    def twins(self) -> Iterator[tuple[Location, Location, str]]:
        """Yield tables with the name of an earlier table: location, location of the earlier one, name."""
        names = (
            ("cas", [ca.name for ca in self.cas]),
            ("nodes", [node.name for node in self.nodes]),
            ("certificates", [certificate.name for certificate in self.certificates]),
        )
        for what, given in names:
            first: dict[str, int] = {}
            for index, name in enumerate(given):
                if first.setdefault(name, index) != index:
                    yield (what, index), (what, first[name]), name

    def find_ca(self, name: str) -> CaSettings:
        """Return the CA with this name, in `[[cas]]` or known, this directory URL, or this host; raises ValueError."""
        for one in self.cas:
            if name in {one.name, one.directory}:
                return one
        directory = CA_DIRECTORIES.get(name) or self._directory_at_host(name) or name
        if not directory.startswith("https://"):
            raise ValueError(self._unknown_ca(name))
        known = next((short for short, url in CA_DIRECTORIES.items() if url == directory), "")
        return CaSettings(name=known or parse_ca_name(directory), directory=directory)

    def _directory_at_host(self, host: str) -> str | None:
        """Return the directory URL in the settings at this host, as messages name such a CA; raises ValueError."""
        urls = {name for _, name in self._named_cas() if name.startswith("https://") and parse_ca_name(name) == host}
        if len(urls) > 1:
            raise ValueError(f"{host!r} matches {len(urls)} CAs: {', '.join(sorted(urls))}; write the URL of one")
        return next(iter(urls), None)

    def _unknown_ca(self, name: str) -> str:
        known = list(dict.fromkeys([*CA_DIRECTORIES, *(one.name for one in self.cas)]))
        close = get_close_matches(name, known, n=1)
        if close:
            return f"unknown CA {name!r}. Did you mean {close[0]!r}?"
        return f"unknown CA {name!r}; write the https:// URL of its ACME directory, or one of {', '.join(known)}"

    def all_cas(self) -> tuple[CaSettings, ...]:
        """Return every configured CA in order of preference, with the one for rehearsals last."""
        names = [*self.ca, *(name for one in self.certificates for name in one.ca)]
        names += [self.rehearsal.ca] if self.rehearsal.ca else []
        found = [self.find_ca(name) for name in dict.fromkeys(names)]
        return tuple({one.directory: one for one in reversed(found)}.values())[::-1]

    def lineages(self) -> tuple[Lineage, ...]:
        """Return the configured certificates, each with its CAs in order of preference."""
        default = tuple(self.find_ca(name).directory for name in self.ca)
        return tuple(
            replace(one.to_lineage(), directory_urls=tuple(self.find_ca(n).directory for n in one.ca) or default)
            for one in self.certificates
        )


def settings_path(given: Path | None) -> Path:
    """Return `--config`, else WELLKEEPER_CONFIG, else the default. Nothing else reads settings from the environment."""
    return given or Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def read_settings(path: Path) -> Settings:
    """Read the file and the drop-ins beside it. Raises SettingsError with a line per mistake."""
    return check(read_sources(path))


def check(sources: Sources) -> Settings:
    """Parse the settings. Raises SettingsError with a line per mistake."""
    try:
        settings = Settings.model_validate(sources.merged())
    except ValidationError as error:
        found = [*_complaints(sources, error), *_contradictions_of_the_rest(sources, error)]
        raise SettingsError("\n".join(found)) from error
    found = _contradictions(sources, settings)
    if found:
        raise SettingsError("\n".join(found))
    return settings


def _contradictions_of_the_rest(sources: Sources, error: ValidationError) -> list[str]:
    """Return the contradictions among the values that parse."""
    rest = without_mistakes(sources.merged(), [one["loc"] for one in error.errors()])
    try:
        return _contradictions(sources, Settings.model_validate(rest)) if rest is not None else []
    except ValidationError:
        return []


def _contradictions(sources: Sources, settings: Settings) -> list[str]:
    found = [
        f"{sources.name_place(here)}: two {here[0]} are named {name!r} "
        f"(the other at {sources.name_place(there)}); rename one"
        for here, there, name in settings.twins()
    ]
    found += [
        f"{sources.name_place(location)}: {key_of(sources.place(location)[1])}: {text}"
        for location, text in settings.contradictions()
    ]
    return found


def _complaints(sources: Sources, error: ValidationError) -> Iterator[str]:
    for details in mistakes(error):
        _, inside = sources.place(details["loc"])
        yield f"{sources.name_place(details['loc'])}: {complaint(inside, details, Settings)}"
