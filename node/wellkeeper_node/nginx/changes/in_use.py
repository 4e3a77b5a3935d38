"""Judge the certificates that server blocks use now: a patch must not replace a working one by less."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_node.nginx.changes.targets import Target
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.sites import DEFAULT_FLAGS, Site, matching

# By the value of ssl_certificate: the names of each certificate of a CA, or None if they cannot be read (a variable).
# Missing and self-signed certificates are left out, because a patch may replace them.
Working = Mapping[str, frozenset[str] | None]
_UNKNOWN: Final = "names that this one may have"


@dataclass(frozen=True, slots=True)
class InUse:
    """The certificates of nginx: `own` are the chains of ours, `inherited` are those of the http block."""

    working: Working
    own: frozenset[str]
    https: Sequence[Site]
    inherited: Sequence[str]

    @classmethod
    def of(
        cls, configuration: Configuration, working: Working, targets: Iterable[Target], https: Sequence[Site]
    ) -> "InUse":
        blocks = [one.block for one in configuration.directives if one.name == "http"]
        inherited = [one.arguments[0] for block in blocks for one in block if one.name == "ssl_certificate"]
        return cls(working, frozenset(one.paths.chain for one in targets), https, inherited)

    def why_kept(self, site: Site, target: Target) -> str:
        """Return a note on why the block keeps its certificate; "" if the target may replace it, or already has."""
        values = site.chains or self.inherited
        if target.paths.chain in values:
            return ""
        if other := next((one for one in values if one in self.own), None):
            return f"{site.place} has names of two certificates; it uses {other}."
        kept = [one for one in values if one in self.working]
        lost = {name: None for one in kept for name in self._lost(site, self.working[one], target.names)}
        if lost:
            return _lacking(site, kept[0], lost, target)
        if target.is_obtained or not (kept or target.paths.certificate_key is None):
            return ""
        return _later(site, kept[0] if kept else "its certificate", target)

    def why_not_shadowed(self, target: Target, blocks: Iterable[Site]) -> str:
        """Return a note if the default server has a working certificate that these blocks, with TLS, would hide."""
        words = [name for block in blocks for word in block.names for name in _plain(word.lower())]
        hidden = [one for one in words if not matching(self.https, one) and not _covers(target.names, one)]
        for site in self._defaults():
            for chain in [one for one in site.chains or self.inherited if one in self.working]:
                old = self.working[chain]
                if lost := dict.fromkeys(one for one in hidden if _covers(old, one)):
                    return _lacking(site, chain, lost, target)
                if not target.is_obtained and any(_covers(old, name) for name in target.names):
                    return _later(site, chain, target)
        return ""

    def _lost(self, site: Site, old: frozenset[str] | None, new: Sequence[str]) -> list[str]:
        """Return the names that the block answers for with the old certificate, but could not with the new one."""
        words = [name for word in site.names for name in _plain(word.lower()) if _covers(old, name)]
        if old is None:
            unknown = [_UNKNOWN] if site.has_no_names or any(one.startswith("~") for one in site.names) else []
            return [*(one for one in words if not _covers(new, one)), *unknown]
        words += sorted(one for one in old if self._answers(site, one))
        return [one for one in words if not _covers(new, one)]

    def _answers(self, site: Site, name: str) -> bool:
        if found := matching(self.https, name.replace("*", "x")):
            return site in found
        return site in self._defaults() and (site.has_no_names or not name.startswith("*"))

    def _defaults(self) -> Sequence[Site]:
        flagged = [one for one in self.https if any(DEFAULT_FLAGS & set(i.arguments[1:]) for i in one.all("listen"))]
        return flagged or self.https[:1]


def _lacking(site: Site, chain: str, lost: Iterable[str], target: Target) -> str:
    return (
        f"{site.place} keeps {chain}, because the new certificate lacks {', '.join(lost)}."
        f" Add them to it, or give {' '.join(target.names)} a server block of its own."
    )


def _later(site: Site, chain: str, target: Target) -> str:
    return (
        f"{site.place} keeps {chain} until the certificate for {target.names[0]} is obtained:"
        " run 'wellkeeper setup' again once it is obtained."
    )


def _plain(word: str) -> Sequence[str]:
    if word.startswith("~") or word in {"", "_"}:
        return []
    return [word[1:], f"*{word}"] if word.startswith(".") else [word]


def _covers(names: Iterable[str] | None, name: str) -> bool:
    return names is None or not {name, f"*.{name.partition('.')[2]}"}.isdisjoint(names)
