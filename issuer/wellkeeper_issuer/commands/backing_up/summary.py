"""Describe the content of a backup, for people and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_node.wording import counted, format_exact_time

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.backup.contents import Contents

_ACCOUNT: Final = r"state/accounts/[^/]+(?<!\.next)(?<!\.unused)\.pem"
_SETTINGS: Final = r"(settings|named)/.+"


def describe(contents: "Contents") -> Iterator[str]:
    """Yield lines: whose backup it is, what it has, and what it lacks."""
    manifest = contents.manifest
    parts = [
        counted(len(manifest.live), "certificate"),
        counted(contents.count(_ACCOUNT), "account key"),
        counted(contents.count(_SETTINGS), "settings file"),
        "the state" + (", and the fleet's keys" if manifest.has_fleet else ""),
    ]
    yield f"of        {manifest.host}, {format_exact_time(manifest.created_at)}, Wellkeeper {manifest.version}"
    yield f"contains  {', '.join(parts)}"
    for name, version in sorted(manifest.live.items()):
        yield f"          {name}: {version}"
    for path in manifest.missing:
        yield f"lacks     {path}, which does not exist"


def contents_json(contents: "Contents") -> dict[str, Any]:
    manifest = contents.manifest
    return {
        "created_at": manifest.created_at.isoformat(),
        "host": manifest.host,
        "version": manifest.version,
        "certificates": dict(sorted(manifest.live.items())),
        "accounts": contents.count(_ACCOUNT),
        "has_fleet": manifest.has_fleet,
        "paths": {
            "settings": manifest.settings,
            "trust_file": manifest.trust_file,
            "state_dir": manifest.state_dir,
            "certificates_dir": manifest.certificates_dir,
        },
        "missing": list(manifest.missing),
    }
