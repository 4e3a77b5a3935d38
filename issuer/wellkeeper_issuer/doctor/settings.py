"""Check the settings: all mistakes that `config check` reports, each with its line, and what they set."""

import os
import re
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.complaints import key_of
from wellkeeper_issuer.settings.effective import effective
from wellkeeper_issuer.settings.files import Location, Sources
from wellkeeper_node import rights
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.wording import counted

ID: Final = "settings"
FILES: Final = "settings-files"
_COMPLAINT: Final = re.compile(r"(/\S+?:[0-9]+(?::[0-9]+)?): (.+)")
_BUNDLES: Final = frozenset({"ca_bundle", "bundle"})
_FIX: Final = "Correct that line, then run 'wellkeeper config check'."
_FIX_FILE: Final = "Correct the file, then run 'wellkeeper config check'."


async def check_settings(
    path: Path, sources: Sources | None, settings: Settings | None, error: SettingsError | None
) -> list[Finding]:
    """Return `settings`: one failure for each mistake, or what the files set; everything else has its default.

    And `settings-files`: the other files that the settings name can be used. The settings can be used without them.
    `error` is why there are no `settings`, or no `sources`.
    """
    if sources is None or settings is None:
        unread = Finding(FILES, Verdict.SKIPPED, "", "the settings cannot be used")
        return [*_mistakes(error), unread] if error is not None else []
    keys = {entry.parts[0]: None for entry in effective(settings, sources) if entry.origin.path is not None}
    counts = (
        counted(len(settings.certificates), "certificate"),
        counted(len(settings.all_cas()), "CA"),
        counted(len(settings.nodes), "node"),
    )
    fact = f"{path}: {', '.join(counts)}; it sets {', '.join(keys) or 'nothing'}, the rest has its default"
    return [Finding(ID, Verdict.OK, "", fact), *_of_files(sources, settings)]


def _of_files(sources: Sources, settings: Settings) -> Sequence[Finding]:
    found = [_of_line(line, FILES) for line in unreadable_files(sources, settings)]
    count = len(list(_named_files(settings)))
    fact = f"{counted(count, 'file')} that the settings name can be used" if count else "the settings name no files"
    return found or [Finding(FILES, Verdict.OK, "", fact)]


def unreadable_files(sources: Sources, settings: Settings) -> Iterator[str]:
    """Yield one sentence, with its line, for each file that the settings name and that cannot be used."""
    for location, path in _named_files(settings):
        try:
            os.close(rights.open_file(path, follows_link=True))
            if location[-1] in _BUNDLES:
                ssl.create_default_context(cafile=path)
        except (OSError, ValueError) as error:
            key, why = key_of(sources.place(location)[1]), getattr(error, "strerror", None) or error
            yield f"{sources.name_place(location)}: {key}: cannot read {path}: {why}"


def _named_files(settings: Settings) -> Iterator[tuple[Location, Path]]:
    """Yield each file that must exist, with the location of its key."""
    if settings.ca_bundle:
        yield ("ca_bundle",), settings.ca_bundle
    for index, ca in enumerate(settings.cas):
        for key, path in (("bundle", ca.bundle), ("eab_hmac_key_file", ca.eab_hmac_key_file)):
            if path:
                yield ("cas", index, key), path
    yield from _of_notifications(settings)
    for index, certificate in enumerate(settings.certificates):
        if certificate.csr:
            yield ("certificates", index, "csr"), certificate.csr


def _of_notifications(settings: Settings) -> Iterator[tuple[Location, Path]]:
    for index, webhook in enumerate(settings.notifications.webhooks):
        for key, path in (("secret_file", webhook.secret_file), ("ca_bundle", webhook.ca_bundle)):
            if path:
                yield ("notifications", "webhooks", index, key), path
    for index, mail in enumerate(settings.notifications.mail):
        for key, path in (("password_file", mail.password_file), ("ca_bundle", mail.ca_bundle)):
            if path:
                yield ("notifications", "mail", index, key), path
    if settings.heartbeat.ca_bundle:
        yield ("heartbeat", "ca_bundle"), settings.heartbeat.ca_bundle


def _mistakes(error: SettingsError) -> Iterator[Finding]:
    """Yield a failure for each line of the error; an error with a reason is one."""
    if error.why or error.remedy:
        cause = f"{error.what}: {error.why}" if error.why else error.what
        place, text = _split(cause)
        yield Finding(ID, Verdict.FAIL, "", text, error.remedy or _FIX_FILE, place)
    else:
        yield from (_of_line(line) for line in error.what.splitlines())


def _of_line(line: str, check: str = ID) -> Finding:
    place, text = _split(line)
    return Finding(check, Verdict.FAIL, "", text, _FIX if place else _FIX_FILE, place)


def _split(line: str) -> tuple[str, str]:
    """Return the place at the beginning of the line, if there is one, and the rest as one line without a full stop."""
    found = _COMPLAINT.fullmatch(" ".join(line.split()))
    place, text = (found[1], found[2]) if found else ("", " ".join(line.split()))
    return place, text.rstrip(".")
