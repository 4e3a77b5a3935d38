"""The result of prepare, as text and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellkeeper_issuer.commands.placeholder import Placeholders
from wellkeeper_issuer.commands.preparing.program import SNIPPETS
from wellkeeper_issuer.commands.terminal.environment import variable
from wellkeeper_issuer.commands.trust import nginx_lines
from wellkeeper_issuer.commands.trust import to_json as trust_to_json
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.wording import counted


@dataclass(frozen=True, slots=True)
class Prepared:
    """The work of prepare; `differing` are options whose values differ from existing settings, with the file of those.

    `folders` are directories of nginx's agent that were missing. `corrected` are files and directories whose modes gave
    others too many rights.
    """

    path: Path
    settings: Settings
    is_new: bool
    differing: Mapping[str, str]
    drop_ins: Sequence[Path]
    keys: Sequence[Path]
    trust: HostTrust
    program: Path
    program_files: Sequence[Path]
    folders: Sequence[Path]
    placeholders: Placeholders
    corrected: Sequence[Path] = ()

    @property
    def is_changed(self) -> bool:
        """Return whether anything was written."""
        made = (
            self.drop_ins,
            self.keys,
            self.program_files,
            self.folders,
            self.placeholders.made,
            self.corrected,
        )
        return self.is_new or not self.trust.is_current or any(made)

    def to_json(self) -> dict[str, Any]:
        return {
            "is_changed": self.is_changed,
            "settings": {
                "path": str(self.path),
                "is_written": self.is_new,
                "differing_options": list(self.differing),
            },
            "drop_ins": list(map(str, self.drop_ins)),
            "keys_made": list(map(str, self.keys)),
            "program": {"path": str(self.program), "written": list(map(str, self.program_files))},
            "agent_directories": list(map(str, self.folders)),
            "placeholders": list(self.placeholders.made),
            "modes_corrected": list(map(str, self.corrected)),
            **trust_to_json(self.settings, self.trust, is_written=not self.trust.is_current),
        }

    def to_text(self) -> str:
        lines = [*self._written(), *self._notes()]
        if not self.is_changed:
            return "\n".join([*lines, "Nothing to do: everything is in place."])
        return "\n".join([*lines, "", nginx_lines(self.settings, str(self.program / SNIPPETS))])

    def _written(self) -> Iterator[str]:
        trust = [] if self.trust.is_current else [self.trust.path]
        yield from (f"wrote  {path}" for path in [*([self.path] if self.is_new else []), *self.drop_ins, *trust])
        yield from (f"made   {path}" for path in [*self.keys, *self.folders])
        if self.program_files:
            yield f"wrote  {self.program}: {counted(len(self.program_files), 'file')}"
        if self.corrected:
            more = f" and {len(self.corrected) - 1} more" if self.corrected[1:] else ""
            yield f"mode   {self.corrected[0]}{more}: corrected, because others had access"
        yield from (f"made   {name}: a placeholder, so that nginx can start" for name in self.placeholders.made)

    def _notes(self) -> Iterator[str]:
        for option, place in self.differing.items():
            yield f"note   {option} ({variable(option)}) differs from {place}, which was kept: edit that file"
        if self.is_new and not self.settings.terms_of_service_agreed:
            yield "note   terms_of_service_agreed = false: CAs with terms refuse an account"
