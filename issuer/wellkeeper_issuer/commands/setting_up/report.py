"""The result of setup, as text and as JSON."""

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.commands.setting_up.writing import Written
from wellkeeper_issuer.commands.trust import to_json as trust_to_json
from wellkeeper_node import units
from wellkeeper_node.nginx.changes.plan import Plan

_INDENT: Final = "  "
_UNITS: Final = "/usr/local/share/wellkeeper"
_INSTALL_UNITS: Final = (
    f"note   to install the units, run 'wellkeeper files {_UNITS} && cp {_UNITS}/systemd/* /etc/systemd/system/'"
    " as root, then run 'wellkeeper setup' again"
)


@dataclass(frozen=True, slots=True)
class Result:
    """The work of setup: `units` maps each to why it did not start, `patch_path` is None when nginx lacks nothing."""

    written: Written
    units: Mapping[str, str]
    plan: Plan
    patch_path: Path | None
    unused_options: Sequence[str] = ()

    @property
    def apply_command(self) -> str:
        """Return the line that applies the whole patch or nothing, for a shell of root."""
        nginx = shlex.join(self.written.settings.nginx.command)
        reload = "systemctl reload nginx" if services.is_booted() else f"{nginx} -s reload"
        patch, file = "patch -N -d / -p0", f"-i {shlex.quote(str(self.patch_path))}"
        test, apply = f"{patch} --dry-run -s {file}", f"{patch} --no-backup-if-mismatch -r - {file}"
        return f"{test} && {apply} && {nginx} -t && {reload}"

    def to_json(self) -> dict[str, Any]:
        written, plan, unused = self.written, self.plan, list(self.unused_options)
        patch = {
            "path": str(self.patch_path),
            "text": plan.patch.encode(errors="surrogateescape").decode(errors="replace"),
            "command": self.apply_command,
            "includes": [{"place": place, "line": line} for place, line in plan.includes],
        }
        return {
            "settings": {"path": str(written.path), "is_written": written.is_new, "unused_options": unused},
            "drop_ins": list(map(str, written.drop_ins)),
            "keys_made": list(map(str, written.keys)),
            "snippets_written": list(map(str, written.snippets)),
            "snippets_differing": list(map(str, written.differing)),
            "placeholders": list(written.placeholders.made),
            "units": [{"name": name, "is_started": not why, "why": why} for name, why in self.units.items()],
            "patch": patch if self.patch_path else None,
            "notes": list(plan.notes),
            **trust_to_json(written.settings, written.trust, is_written=written.trust.is_missing),
        }

    def to_text(self) -> str:
        return "\n".join([*self._files(), "", *self._nginx()])

    def _files(self) -> Iterator[str]:
        written = self.written
        unused = f"; {', '.join(self.unused_options)} ignored: edit the file" if self.unused_options else ""
        yield f"{'wrote ' if written.is_new else 'kept  '} {written.path}{unused}"
        trust = [written.trust.path] if written.trust.is_missing else []
        for path in (*written.drop_ins, *trust, *written.snippets):
            yield f"wrote  {path}"
        yield from (f"made   {path}" for path in written.keys)
        yield from (f"made   {name}: a placeholder, so that nginx can start" for name in written.placeholders.made)
        if not trust and not written.trust.is_current:
            yield f"note   {written.trust.note}"
        yield from (f"note   {path} differs from this version's; it was kept" for path in written.differing)
        yield from units.to_lines(self.units)
        if units.NOT_INSTALLED in self.units.values():
            yield _INSTALL_UNITS

    def _nginx(self) -> Iterator[str]:
        yield from (f"note   {note}" for note in self.plan.notes)
        if self.patch_path is None:
            if not self.plan.notes:
                yield "nginx's configuration has everything that it needs."
            return
        yield f"nginx needs these changes, which are in {self.patch_path}:\n"
        yield self.plan.patch.encode(errors="surrogateescape").decode(errors="replace")
        yield from _table(self.plan.includes)
        missing = "" if shutil.which("patch") else " (install patch first: 'apt install patch')"
        yield f"\nTo apply them, run as root{missing}:\n\n{_INDENT}{self.apply_command}\n"


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max((len(place) for place, _ in rows), default=0)
    yield from (f"{_INDENT}{place:{width}}  {line}" for place, line in rows)
