"""Write everything that a host needs except nginx's configuration, each part only if it is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.nginx_plan import NginxFound
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.certificate_add import write_certificate
from wellkeeper_issuer.commands.files import shipped_files
from wellkeeper_issuer.commands.new_settings import settings_values, translated, write_settings
from wellkeeper_issuer.commands.placeholder import Placeholders, make_placeholders
from wellkeeper_issuer.commands.setting_up.questions import Wanted
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node import durable, presence
from wellkeeper_node.nginx.changes.plan import Plan
from wellkeeper_node.nginx.changes.server_block import SNIPPETS

PATCH_NAME: Final = "nginx.patch"
_REHEARSAL: Final = {"rehearsal": {"ca": "letsencrypt-staging"}}


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written; `drop_ins` are those of certificates, `differing` are snippets that were kept."""

    path: Path
    settings: Settings
    is_new: bool
    drop_ins: Sequence[Path]
    keys: Sequence[Path]
    trust: HostTrust
    placeholders: Placeholders
    snippets: Sequence[Path]
    differing: Sequence[Path]


def write_host(
    path: Path, wanted: Wanted, folders: Mapping[str, Path | None], nginx: Mapping[str, Any], found: NginxFound
) -> Written:
    """Write settings, keys, trust file, placeholders and snippets. Idempotent; raises SettingsError."""
    if wanted.answers is not None:
        tables = ({"nginx": dict(nginx)} if nginx else {}) | (_REHEARSAL if wanted.tries_staging else {})
        write_settings(path, settings_values(wanted.answers, folders, tables))
    drop_ins = [write_certificate(path, {"identifiers": list(names)})[1] for names in wanted.certificates]
    settings = read_settings(path)
    keys = build.accounts(settings).make_keys()
    trust = trust_file.find(settings, path)
    if trust.is_missing:
        trust_file.write(trust, build.history(settings.state_dir))
    snippets, differing = _write_snippets(found.configuration.folder / SNIPPETS)
    placeholders = make_placeholders(settings, ())
    is_new = wanted.answers is not None
    return Written(path, settings, is_new, drop_ins, keys, trust, placeholders, snippets, differing)


def write_patch(path: Path, plan: Plan) -> Path | None:
    """Write the patch beside the settings and return its path; without changes, remove an earlier one."""
    file = path.with_name(PATCH_NAME)
    with translated(file):
        if plan.patch:
            durable.replace_whole(file, plan.patch.encode(errors="surrogateescape"), 0o644)
            return file
        file.unlink(missing_ok=True)
    return None


def _write_snippets(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the snippets that are missing; return them, and those that exist with another content."""
    written, differing = list[Path](), list[Path]()
    for name, content in shipped_files():
        if not name.startswith("nginx/snippets/"):
            continue
        file = folder / Path(name).name
        with translated(file):
            if not presence.exists(file):
                durable.make_folder(file.parent, 0o755, durable.Owner())
                durable.replace_whole(file, content, 0o644)
                written.append(file)
            elif file.read_bytes() != content:
                differing.append(file)
    return written, differing
