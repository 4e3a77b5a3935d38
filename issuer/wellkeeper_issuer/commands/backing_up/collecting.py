"""Collect the content of a backup of this host, as its settings have it. It only reads."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from wellkeeper_client import trust_file
from wellkeeper_issuer.assembly import build, engines
from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.backup import contents, reading
from wellkeeper_issuer.outside.backup.contents import Contents, Entry, Manifest
from wellkeeper_issuer.outside.state.lock import refuse_incomplete
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.advice import files as remedies


def collect(settings: Settings, path: Path) -> Contents:
    """Read everything on disk that this issuer cannot make again; `path` is the settings file.

    Takes no lock of a running daemon for longer than it takes to read one certificate. Raises BackupError,
    JournalError, InstallError and SettingsError.
    """
    trust = settings.trust_file or path.with_name(trust_file.NAME)
    try:
        refuse_incomplete(settings.state_dir)
        build.check_keys(settings)
        entries = reading.read_state(settings.state_dir)
        certificates, live = reading.read_certificates(settings.certificates_dir)
        files, missing = _settings(settings, path, trust)
    except (OSError, ValueError) as error:
        name = getattr(error, "filename", None)
        why = getattr(error, "strerror", None) or str(error)
        remedy = remedies.of_reading(error) if isinstance(error, OSError) else "Move it out of the directory."
        raise BackupError(f"cannot back up {name or settings.certificates_dir}", why, remedy) from error
    manifest = Manifest(
        created_at=datetime.now(UTC).replace(microsecond=0),
        host=socket.gethostname(),
        version=build.version(),
        settings=_plain(path),
        trust_file=_plain(trust),
        state_dir=_plain(settings.state_dir),
        certificates_dir=_plain(settings.certificates_dir),
        has_fleet=bool(settings.fleet.listen),
        live=live,
        missing=missing,
    )
    return Contents(manifest, [*entries, *certificates, *files])


def _settings(settings: Settings, path: Path, trust: Path) -> tuple[list[Entry], list[str]]:
    """Return the settings, the trust file, and the files that the settings name; then those that do not exist."""
    found = [
        reading.read_file(one.path, contents.SETTINGS if one.path == path else f"{contents.DROP_INS}/{one.path.name}")
        for one in read_sources(path).files
    ]
    missing = []
    for one, name in ((trust, contents.TRUST), *((one, f"{contents.NAMED}{_plain(one)}") for one in _named(settings))):
        try:
            found.append(reading.read_file(one, name))
        except FileNotFoundError:
            missing.append(str(one))
    return found, missing


def _plain(path: Path) -> str:
    """Return the absolute path without `..`, which no path in a backup may have."""
    return os.path.abspath(path)  # noqa: PTH100 - links are kept


def _named(settings: Settings) -> Iterator[Path]:
    """Yield the files elsewhere that the issuer reads, each once."""
    named = [settings.ca_bundle]
    named += [path for ca in settings.cas for path in (ca.bundle, ca.eab_hmac_key_file)]
    named += [one.csr for one in settings.certificates]
    named += engines.named_files(settings)
    targets = settings.notifications
    named += [path for one in targets.webhooks for path in (one.secret_file, one.ca_bundle)]
    named += [path for one in targets.mail for path in (one.password_file, one.ca_bundle)]
    named.append(settings.heartbeat.ca_bundle)
    yield from dict.fromkeys(one for one in named if one is not None and not one.is_relative_to(settings.state_dir))
