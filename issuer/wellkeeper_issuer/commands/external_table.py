"""The drop-in of a certificate that another ACME client obtains, with the names that its newest certificate has."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, replace_drop_in
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.certificate_table import EXTERNAL, CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES, Sources, TomlFile, drop_in_folder, read_sources
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.model import LINEAGE_NAME, Certificate

_COMMENT: Final = "Written by 'wellkeeper deliver'."
_NAMES: Final = (
    "its name may contain only a-z, 0-9, '.', '_' and '-', not '..', and must start with a letter, a digit or '_'"
)
_WHAT: Final = "cannot deliver certificate {}; nothing was changed"


@dataclass(frozen=True, slots=True)
class DropIn:
    """A drop-in to write; `event` is what the history says of it, None for a certificate that was there."""

    path: Path
    table: dict[str, Any] = field(repr=False)
    state_dir: Path
    event: Happened | None

    def write(self) -> None:
        """Write it, in place of a former one. Raises SettingsError."""
        replace_drop_in(self.path, to_toml(_COMMENT, {CERTIFICATES: [self.table]}))
        if self.event is not None:
            build.history(self.state_dir).add(self.event)


def prepare(path: Path, name: str, certificate: Certificate) -> DropIn | None:
    """Return the drop-in that makes the settings name the certificate as it is; None when they do.

    Raises SettingsError for a certificate that is ordered here, and for other names in settings that were written by
    hand.
    """
    if LINEAGE_NAME.fullmatch(name) is None:
        raise SettingsError(_WHAT.format(name), _NAMES, "Choose one such as wildcard.example.org for *.example.org.")
    sources = read_sources(path)
    settings = check(sources)
    known = next((one for one in settings.certificates if one.name == name), None)
    table = {"name": name, "identifiers": sorted(map(str, certificate.identifiers)), "source": EXTERNAL}
    if known is None:
        return _checked(sources, DropIn(_path(path, name), table, settings.state_dir, _added(path, name, table)))
    place = _place(sources, settings, known)
    if known.source != EXTERNAL:
        raise SettingsError(
            _WHAT.format(name),
            f"it is ordered here, by {place}",
            f"Set source = \"{EXTERNAL}\" there, remove it with 'wellkeeper certificate remove {name}', or choose"
            " another name.",
        )
    if set(known.identifiers) == certificate.identifiers:
        return None
    file, _ = sources.place((CERTIFICATES, settings.certificates.index(known)))
    if file.path != _path(path, name) or not file.text.startswith(f"# {_COMMENT}"):
        raise SettingsError(
            _WHAT.format(name),
            f"it is for {', '.join(table['identifiers'])}, but {place} has {', '.join(map(str, known.identifiers))}",
            "Change 'identifiers' there.",
        )
    others = Sources(sources.main, tuple(one for one in sources.drop_ins if one is not file))
    return _checked(others, DropIn(file.path, {**file.tables(CERTIFICATES)[0], **table}, settings.state_dir, None))


def _checked(sources: Sources, drop_in: DropIn) -> DropIn:
    """Raises SettingsError if the settings with it are not valid."""
    check(Sources(sources.main, (*sources.drop_ins, TomlFile(drop_in.path, "", {CERTIFICATES: [drop_in.table]}))))
    return drop_in


def _path(path: Path, name: str) -> Path:
    return drop_in_path(drop_in_folder(path), name)


def _place(sources: Sources, settings: Settings, one: CertificateSettings) -> str:
    return sources.name_place((CERTIFICATES, settings.certificates.index(one)))


def _added(path: Path, name: str, table: dict[str, Any]) -> Happened:
    details = {"names": ", ".join(table["identifiers"]), "file": str(_path(path, name))}
    return Happened(What.CERTIFICATE_ADDED, name, details)
