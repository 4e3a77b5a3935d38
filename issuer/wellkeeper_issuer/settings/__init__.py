"""Parse the issuer's settings, a TOML file and drop-ins beside it, once into frozen objects.

An unknown key or a bad value stops the program; the message has file, line, key, value and what is allowed.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, StrictBool, StrictInt, ValidationError

from wellkeeper_client.permissions import is_readable_by_all
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.location import DEFAULT_STATE_DIR
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_issuer.settings.certificate_table import EXTERNAL, CertificateSettings
from wellkeeper_issuer.settings.complaints import complaint, key_of, mistakes
from wellkeeper_issuer.settings.files import Location, Sources, read_sources
from wellkeeper_issuer.settings.notification_tables import HeartbeatSettings, NotificationsSettings
from wellkeeper_issuer.settings.publisher_table import PublisherSettings, find_pinned
from wellkeeper_issuer.settings.salvage import without_mistakes
from wellkeeper_issuer.settings.tables import (
    FleetSettings,
    Frozen,
    HooksSettings,
    NginxSettings,
    NodeSettings,
    RehearsalSettings,
)
from wellkeeper_issuer.settings.value_types import AbsolutePath, Contact, PositiveNumber, SomeCaNames, Thumbprint
from wellkeeper_issuer.settings.values import parse_ca_name
from wellkeeper_issuer.settings.web_table import WebSettings

_log = logging.getLogger(__name__)

_APART: Final = "must not contain each other: nginx reads the first, and only the issuer the second"


class Settings(Frozen):
    """All of issuer.toml."""

    ca: SomeCaNames = Field(
        default=("letsencrypt",),
        description=(
            "The CA, or several in order of preference: when one cannot issue, the next one is asked. Each is a known"
            " name, the name of one of `[[cas]]`, or the `https://` URL of an ACME directory."
        ),
    )
    ca_bundle: AbsolutePath | None = Field(
        default=None, description="PEM file that verifies the CA's own HTTPS server, for test CAs."
    )
    contact: tuple[Contact, ...] = Field(
        default=(), description="Email addresses that the CA may write to; some CAs require one."
    )
    terms_of_service_agreed: StrictBool = Field(
        default=False,
        description=(
            "Set to true when you have read the CA's terms of service and agree. Until then, a CA with"
            " terms does not register an account."
        ),
    )
    state_dir: AbsolutePath = Field(
        default=DEFAULT_STATE_DIR,
        description="Directory for account keys and the state of renewals, mode 0700. Never mount it elsewhere.",
    )
    certificates_dir: AbsolutePath = Field(
        default=Path("/var/lib/wellkeeper/certificates"),
        description=(
            "Directory for nginx to read: `live/NAME/` and `archive/NAME/VERSION/`. It and `state_dir` must not "
            "contain each other."
        ),
    )
    trust_file: AbsolutePath | None = Field(
        default=None,
        description="The responder's trust file. By default `trust.toml` beside the settings.",
    )
    account_thumbprints: tuple[Thumbprint, ...] = Field(
        default=(), description="Accounts of other ACME clients, which `wellkeeper trust --account-key` adds."
    )
    certificates_owner: str | None = Field(
        default=None,
        description=(
            "User who owns the installed certificates and keys. By default the user of the issuer. Root uses "
            "`certificates_dir` with the rights of this user only. `renew` and the daemon also give this user what is "
            "installed already, if it belongs to root; otherwise run `chown -R` there."
        ),
    )
    certificates_group: str | None = Field(
        default=None,
        description=(
            "Group of the installed certificates and keys; with a group, keys have mode 0640 instead of 0600. By "
            "default the group of the issuer. `renew` and the daemon also give it what is already installed, except "
            "keys that another group may read."
        ),
    )
    read_back: Literal["required", "advisory"] = Field(
        default="required",
        description=(
            "`required`: the CA is asked only after every token was read back through nginx. After 24 hours of "
            "failures, or with less than a tenth of the lifetime left, it is asked anyway, once a day. `advisory`: "
            "the CA is asked at once (hairpin NAT, split DNS)."
        ),
    )
    renewals_at_once: StrictInt = Field(
        default=8, ge=1, le=64, description="Number of certificates that are renewed at the same time."
    )
    orders_per_second: PositiveNumber = Field(
        default=20.0,
        description=(
            "Maximum number of new orders per second, over all certificates. With one name each, the default causes "
            "half of the requests per second that Let's Encrypt accepts from one address: lower it if hosts share one."
        ),
    )
    nginx: NginxSettings = Field(
        default=NginxSettings(), description="The nginx of this host: how it is tested, reloaded and verified."
    )
    fleet: FleetSettings = Field(
        default=FleetSettings(), description="Other nodes, which get tokens and certificates through a relay here."
    )
    hooks: HooksSettings = Field(
        default=HooksSettings(),
        description="Commands around a renewal: lists, run without a shell. Environment variables describe the event.",
    )
    notifications: NotificationsSettings = Field(
        default=NotificationsSettings(), description="Reports for people, by webhook and mail."
    )
    heartbeat: HeartbeatSettings = Field(
        default=HeartbeatSettings(), description="A URL that is called while everything works, to notice a dead daemon."
    )
    rehearsal: RehearsalSettings = Field(
        default=RehearsalSettings(), description="Dry runs: renewals that do not touch what is live."
    )
    web: WebSettings = Field(default=WebSettings(), description="The status endpoint, for browsers and Prometheus.")
    cas: tuple[CaSettings, ...] = Field(default=(), description="Your own CAs, and special settings for known ones.")
    local_node: StrictBool = Field(
        default=True,
        description=(
            "Set to false when this host has no nginx, and its certificates are only for nodes that joined. Without "
            "`[[nodes]]`, no responder here gets tokens then."
        ),
    )
    nodes: tuple[NodeSettings, ...] = Field(
        default=(NodeSettings(name="local"),),
        min_length=1,
        description=(
            "Each nginx that the CA may reach, with its responder. Tokens go to all of them; certificates are "
            "installed, reloaded and verified on this host only."
        ),
    )
    certificates: tuple[CertificateSettings, ...] = Field(
        default=(), description="The certificates to obtain and renew; drop-ins may add more."
    )
    publishers: tuple[PublisherSettings, ...] = Field(
        default=(), description="Other ACME clients with publishing keys of their own; drop-ins may add more."
    )

    def contradictions(self) -> list[tuple[Location, str]]:
        """Return mistakes that no single value shows, with locations: nested directories, unknown CAs …"""
        found: list[tuple[Location, str]] = []
        state, certificates = self.state_dir, self.certificates_dir
        if certificates.is_relative_to(state) or state.is_relative_to(certificates):
            found.append((("certificates_dir",), f"this directory ({certificates}) and state_dir ({state}) {_APART}"))
        if not self.local_node and not self.fleet.listen:
            found.append((("local_node",), "without [fleet] listen, nothing would use the certificates"))
        if self.fleet.engine.address and not self.fleet.listen:
            found.append((("fleet", "engine", "address"), "without [fleet] listen, no node can join"))
        found += find_pinned(self.publishers, self.account_thumbprints)
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

    def duplicates(self) -> Iterator[tuple[Location, Location, str]]:
        """Yield tables with the name of an earlier table: location, location of the earlier one, name."""
        names = (
            ("cas", [ca.name for ca in self.cas]),
            ("nodes", [node.name for node in self.nodes]),
            ("certificates", [certificate.name for certificate in self.certificates]),
            ("publishers", [publisher.name for publisher in self.publishers]),
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
        directory = CA_DIRECTORIES.get(name) or name
        if not directory.startswith("https://"):
            return self.find_ca(self._directory_at_host(name))
        known = next((short for short, url in CA_DIRECTORIES.items() if url == directory), "")
        return CaSettings(name=known or parse_ca_name(directory), directory=directory)

    def _directory_at_host(self, host: str) -> str:
        """Return the directory URL at this host, as messages name a CA: in the settings, else of a well-known CA.

        Raises ValueError.
        """
        named = {CA_DIRECTORIES.get(name, name) for _, name in self._named_cas()} | {one.directory for one in self.cas}
        for directories in (named, CA_DIRECTORIES.values()):
            urls = sorted(one for one in directories if one.startswith("https://") and parse_ca_name(one) == host)
            if len(urls) > 1:
                raise ValueError(f"{host!r} matches {len(urls)} CAs: {', '.join(urls)}; write the URL of one")
            if urls:
                return urls[0]
        raise ValueError(self._unknown_ca(host))

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
        """Return the configured certificates, each with its CAs in order of preference; external ones have none."""
        default = tuple(self.find_ca(name).directory for name in self.ca)
        found = (
            one.to_lineage(
                () if one.source == EXTERNAL else tuple(self.find_ca(name).directory for name in one.ca) or default
            )
            for one in self.certificates
        )
        return tuple(one if self.local_node else replace(one, https_addresses=()) for one in found)


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
    if (settings.notifications.has_url or settings.heartbeat.url) and is_readable_by_all(sources.main.path):
        path = sources.main.path
        _log.warning("every user may read %s, which has the URL of a webhook: run 'chmod o= %s'", path, path)
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
        for here, there, name in settings.duplicates()
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
