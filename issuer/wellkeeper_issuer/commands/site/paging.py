"""Show a long list in pages, and make links between them. All links are relative: nginx may add any prefix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

_T = TypeVar("_T")

ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Paged(Generic[_T]):
    """The rows of one page; `previous` and `following` are links, "" for none."""

    rows: Sequence[_T]
    first: int
    total: int
    previous: str
    following: str

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


def page_of(found: Sequence[_T], query: Mapping[str, str], rows: int = ROWS) -> Paged[_T]:
    """Return the page that the query asks for, the nearest one if there is no such page."""
    asked, last = query.get("page", ""), max((len(found) - 1) // rows + 1, 1)
    number = min(max(int(asked), 1), last) if asked.isdecimal() and len(asked) < 10 else 1
    begin = (number - 1) * rows
    return Paged(
        found[begin : begin + rows],
        begin + 1,
        len(found),
        link(query, page=str(number - 1)) if number > 1 else "",
        link(query, page=str(number + 1)) if number < last else "",
    )


def link(query: Mapping[str, str], **changed: str) -> str:
    """Return the link to the same page with other parameters; an empty one is left out."""
    wanted = {name: value for name, value in {**query, **changed}.items() if value and (name, value) != ("page", "1")}
    return f"?{urlencode(wanted)}"
