"""The first page: verdict, certificates, filters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.site.views import DAY, NASTY, NOW, Parsed, missing, served, view
from wellkeeper_issuer.commands.site.overview_page import overview_page
from wellkeeper_issuer.commands.site.paging import ROWS
from wellkeeper_issuer.commands.site.view import View
from wellkeeper_issuer.records import Budget, Check, Limit, Scope, Seen, Spent
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_node.model import Certificate

PLACEHOLDER = Certificate(frozenset(), "1", "ab", "wellkeeper placeholder", NOW, NOW + DAY, is_self_signed=True)


def parsed(view: View, **query: str) -> Parsed:
    return Parsed(overview_page(view, query))


def names(page: Parsed) -> list[str]:
    """Return the certificates that the page lists, in order."""
    return [words for words, link in page.links.items() if link == f"certificate?name={words}"]


@pytest.mark.parametrize(
    ("shown", "level", "verdict"),
    [
        ([], "warn", "No certificates are configured"),
        ([served("a.example")], "good", "The certificate is served"),
        ([served("a.example"), served("b.example")], "good", "All 2 certificates are served"),
        ([served("a.example"), missing("b.example")], "warn", "1 of 2 certificates needs attention"),
        ([missing("a.example", "no"), missing("b.example")], "bad", "2 of 2 certificates need attention"),
        ([served("a.example", not_after=NOW - DAY)], "bad", "1 of 1 certificate needs attention"),
    ],
    ids=["none", "one", "all", "missing", "failing", "expired"],
)
def test_title_and_heading_say_how_everything_is(shown: list, level: str, verdict: str) -> None:  # type: ignore[type-arg]
    seen = view(*shown)
    page = parsed(seen)
    assert (seen.level, page.title) == (level, f"{verdict} · Wellkeeper")
    assert verdict in page.words


def test_worst_certificate_comes_first_with_its_failure_and_the_way_out() -> None:
    page = parsed(view(served("a.example"), missing("b.example"), missing("c.example", "the CA did not accept it")))
    assert names(page) == ["c.example", "b.example", "a.example"]
    assert "validate: the CA did not accept it (3 times in a row)" in page.words
    assert page.links["What to do"] == "certificate?name=b.example"
    assert page.words.count("What to do") == 2


def test_row_has_names_expiry_and_renewal_with_its_reason() -> None:
    page = parsed(view(served("web", "a.example", "xn--mnchen-3ya.example", "c.example", "d.example")))
    assert "a.example, xn--mnchen-3ya.example (münchen.example), c.example and 1 more" in page.shown
    assert "60 days 2026-04-30 served 30 days 2026-03-31 by its lifetime" in page.shown


def test_expiry_is_that_of_what_clients_get() -> None:
    other = Check("a.example", "1", Seen.WRONG, NOW, NOW - 80 * DAY, NOW + 10 * DAY)
    page = parsed(view(replace(served("a.example"), check=other)))
    assert "10 days 2026-03-11 another one is served" in page.shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "served"}, ["a.example", "web"]),
        ({"state": "missing"}, ["b.example"]),
        ({"name": "B.EX"}, ["b.example"]),
        ({"name": "münchen"}, ["web"]),
        ({"name": " a ", "state": "served"}, ["a.example", "web"]),
        ({"name": "a.example", "state": "missing"}, []),
        ({"state": "<nonsense>"}, []),
    ],
    ids=str,
)
def test_certificates_are_filtered_by_state_and_part_of_a_name(query: dict[str, str], found: list[str]) -> None:
    seen = view(served("a.example"), served("web", "xn--mnchen-3ya.example"), missing("b.example"))
    page = parsed(seen, **query)
    assert names(page) == found
    assert ("No certificate matches." in page.words) is (not found)


def test_links_of_filters_keep_the_name() -> None:
    page = parsed(view(served("a.example"), missing("b.example")), name="x y", page="3")
    assert (page.links["served"], page.links["missing"]) == ("?state=served&name=x+y", "?state=missing&name=x+y")


def test_long_lists_are_paged() -> None:
    seen = view(*(served(f"{number:03}.example") for number in range(2 * ROWS + 1)))
    first, last = parsed(seen, name="example"), parsed(seen, name="example", page="3")
    assert (len(names(first)), names(last)) == (ROWS, ["100.example"])
    assert first.links["Next"] == "?name=example&page=2"
    assert "Previous" not in first.links
    assert last.links["Previous"] == "?name=example&page=2"
    assert "101 to 101 of 101 certificates" in last.words


@pytest.mark.parametrize("asked", ["0", "-1", "4", "x", "9" * 5_000, "²"])
def test_nearest_page_is_shown_if_there_is_no_such_page(asked: str) -> None:
    seen = view(*(served(f"{number:03}.example") for number in range(2 * ROWS + 1)))
    assert names(parsed(seen, page=asked))[-1] in {"049.example", "100.example"}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_text_of_others_is_shown_as_text(text: str) -> None:
    found = overview_page(view(missing("a.example", text)), {"name": text, "state": text})
    found += overview_page(view(missing("a.example", text)), {})
    assert not {"script", "img"} & {*Parsed(found).tags}
    assert not any(letter in found for letter in "\u202e\u2066\x1b\x07\x00\u2028\r")
    assert len(found) < 40_000


def test_limits_that_are_half_used_up_are_announced() -> None:
    limit = Limit(Spent.ORDER, Scope.ACCOUNT, 10, 3600.0)
    budgets = tuple(("ca", Budget(limit, "", used, NOW + timedelta(hours=1))) for used in (4, 5, 9))
    assert "2 limits of CAs are at least half used up:" in parsed(view(served("a.example"), budgets=budgets)).words


def test_static_page_needs_no_other_file() -> None:
    text = overview_page(view(served("a.example")), {}, is_static=True)
    page = Parsed(text)
    assert "--accent: #1f5fae" in text
    assert "a.example" in page.words
    assert set(page.links.values()) == {"#main"}
    assert not {"link", "form", "script"} & {*page.tags}


def test_placeholder_is_not_called_installed() -> None:
    one = missing("a.example")
    placeholder = replace(one, status=replace(one.status, state=State.PLACEHOLDER), certificate=PLACEHOLDER)
    assert "a placeholder" in parsed(view(placeholder)).words


def test_command_prints_a_page_with_all_certificates(program: Program) -> None:
    names = [f"{number:02}.example" for number in range(ROWS + 1)]
    program.configure(*names)
    finished = program.run("status", "--html")
    page = Parsed(finished.out)
    assert (finished.exit_code, finished.err) == (0, "")
    assert page.title == f"{ROWS + 1} of {ROWS + 1} certificates need attention · Wellkeeper"
    assert [one for one in names if one not in page.words] == []
    assert "No daemon runs." in page.words
