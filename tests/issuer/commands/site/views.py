"""Certificates for the pages, and what a browser makes of a page."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Final

from tests.fakes_deliver import dns
from wellkeeper_issuer.commands.site.view import View
from wellkeeper_issuer.commands.status_issuers import Issuers
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Budget, Check, Failure, Rule, Schedule, Seen
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status.certificate_status import Rows, statuses
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_node.errors import Retry

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
CA: Final = "https://ca.example/directory"
NASTY: Final = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;",
    "bidi": "a\u202egnp.exe\u2066",
    "ANSI": "\x1b[31mred\x1b]0;title\x07",
    "lines": "one\r\ntwo\u2028three\x00",
    "long": "x" * 10_000,
}


def served(name: str, *names: str, not_after: datetime = NOW + 60 * DAY) -> Shown:
    """Return a certificate that nginx serves."""
    lineage = Lineage(name, tuple(map(dns, names or (name,))), directory_urls=(CA,))
    plan = Schedule(
        name, "1", frozenset(lineage.identifiers), not_after - 90 * DAY, not_after, CA, "", None, Rule.LIFETIME,
        not_after - 30 * DAY,
    )  # fmt: skip
    check = Check(name, "1", Seen.SERVED, NOW, served_version="1")
    rows = Rows({name: plan}, installed=frozenset({name}), checks={name: check})
    return Shown(lineage, statuses([lineage], {name: "1"}, rows, NOW)[0], check=check)


def missing(name: str, message: str = "", problem: str | None = None) -> Shown:
    """Return a certificate that there is not yet, with the message of its last failure."""
    lineage = Lineage(name, (dns(name),), directory_urls=(CA,))
    failure = Failure(
        name,
        3,
        "validate",
        message,
        Retry.LATER,
        NOW - DAY,
        NOW - DAY / 24,
        NOW + DAY / 24,
        problem,
        refused_since=None,
    )
    rows = Rows(failures={name: failure} if message else {})
    return Shown(lineage, statuses([lineage], {}, rows, NOW)[0])


def view(*shown: Shown, daemon_pid: int | None = 7, budgets: tuple[tuple[str, Budget], ...] = ()) -> View:
    """Return what the pages show, with nothing wrong beside these certificates."""
    settings = Settings.model_validate({"ca": CA, "certificates": [{"identifiers": ["a.example"]}]})
    overview = Overview(shown, Rows(), NOW, daemon_pid, budgets)
    return View(settings, overview, (), None, Issuers(), None, is_outdated=False)


@dataclass
class Parsed(HTMLParser):
    """The parts of a page that tests look at."""

    text: str
    tags: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    title: str = ""
    _open: list[str] = field(default_factory=list)
    _href: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "a":
            self._href = dict(attrs)["href"] or ""

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["title"]:
            self.title += data
        elif data.strip() and "style" not in self._open:
            self.words.append(" ".join(data.split()))
            if "a" in self._open:
                self.links[self.words[-1]] = self._href

    @property
    def shown(self) -> str:
        return " ".join(self.words)
