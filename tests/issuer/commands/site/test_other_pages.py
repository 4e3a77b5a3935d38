"""The pages about nodes, limits, rehearsals and settings."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fleet import LEAF, entry
from tests.issuer.commands.site.views import DAY, NASTY, NOW, Parsed, missing, served, view
from wellkeeper_issuer.commands.site.other_pages import limits_page, nodes_page, rehearsals_page, settings_page
from wellkeeper_issuer.commands.site.view import View
from wellkeeper_issuer.fleet.node_status import Behind, Listed, NodeStatus
from wellkeeper_issuer.records import Budget, Limit, Rehearsal, Scope, Spent
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.nginx.reached import Reached

HOUR = timedelta(hours=1)
NODE = NodeStatus("web2", True, NOW - DAY, NOW, "1", 0.0, 3, 3, (), None)


def with_nodes(*nodes: NodeStatus) -> View:
    return replace(view(served("a.example")), nodes=nodes)


def test_nodes_that_need_attention_come_first_with_their_words() -> None:
    late = replace(NODE, name="late", current=2, behind=(Behind("web", NOW - 2 * HOUR, "no space", "Free some."),))
    new = replace(NODE, name="new", current=2, behind=(Behind("web", NOW, "waiting"),))
    gone = replace(NODE, name="spot", is_ephemeral=True, seen_at=NOW - HOUR)
    odd = replace(NODE, name="odd", concern="its clock is 90 s ahead")
    page = Parsed(nodes_page(with_nodes(NODE, late, new, gone, odd), {}))
    assert page.title == "Nodes: 4 of 5 need attention · Wellkeeper"
    assert "web: no space Free some." in page.words
    states = [page.words[page.words.index(name) - 1] for name in ("late", "new", "spot", "odd", "web2")]
    assert states == ["needs attention", "behind", "gone", "has a concern", "current"]
    assert page.shown.index("odd") < page.shown.index("web2")


def test_node_has_the_earliest_expiry_of_what_it_serves_and_the_time_of_its_check() -> None:
    other = Instead(Got.OTHER, NOW.timestamp(), None, "0a1b", NOW.timestamp(), (NOW + DAY).timestamp())
    behind = (
        Behind("web", NOW, "handshakes differ.", "Fix it.", other),
        Behind("mail", NOW, "no answer", "", Instead(Got.NOTHING, NOW.timestamp())),
    )
    wrong = CertificateReport(3, LEAF, CertificateState.WRONG, "no", "", other)
    report = Report("1", NOW.timestamp(), certificates={"web": wrong}, checked_at=NOW.timestamp())
    node = replace(NODE, name="web3", behind=behind, report=report, listed={"web": Listed(entry(3), NOW)})
    page = Parsed(nodes_page(with_nodes(NODE, node), {}))
    at, ends = (f"{one:%Y-%m-%d %H:%M} UTC" for one in (NOW, NOW + DAY))
    assert f"web: clients get another certificate, serial 0a1b until {ends}: handshakes differ. Fix it." in page.words
    assert "mail: clients get no certificate: no answer" in page.words
    assert f"3 of 3 first expires on {NOW + DAY:%Y-%m-%d} checked at {at} " in page.shown
    assert "3 of 3 not checked yet" in page.shown


def test_long_list_of_what_a_node_lacks_is_cut() -> None:
    behind = tuple(Behind(f"{number}.example", NOW, "waiting") for number in range(12))
    page = Parsed(nodes_page(with_nodes(replace(NODE, behind=behind)), {}))
    assert ("9.example: waiting" in page.words, "10.example: waiting" in page.words) == (True, False)
    assert "and 2 more" in page.words


@pytest.mark.parametrize(
    ("nginx", "words"),
    [
        (Reached("local", 17), "nginx: reached on this host (process 17)"),
        (Reached("local", problem="no <pid>"), "nginx: not reached on this host: no <pid>"),
        (Reached("local", problem="no\u202e pid"), "nginx: not reached on this host: no pid"),
        (None, "There is no nginx beside this issuer."),
    ],
)
def test_nginx_and_responders_of_this_host_are_shown(nginx: Reached | None, words: str) -> None:
    page = Parsed(nodes_page(replace(view(served("a.example")), nginx=nginx), {}))
    assert words in page.words
    assert "local unix:/run/wellkeeper/control.sock 127.0.0.1:80" in page.shown
    assert "No other node has joined." in page.words
    assert page.title == "Nodes · Wellkeeper"


@pytest.mark.parametrize(
    ("count", "seconds", "used", "words"),
    [
        (10, 7 * 86_400.0, 1, "enough left certificates per 7 days registered domain a.example ca 9 of 10"),
        (10, 3600.0, 5, "half used up certificates per hour registered domain a.example ca 5 of 10"),
        (10, 1.5, 12, "used up certificates per 1.5 seconds registered domain a.example ca 0 of 10"),
    ],
)
def test_limit_has_what_is_left(count: int, seconds: float, used: int, words: str) -> None:
    limit = Limit(Spent.CERTIFICATE, Scope.REGISTERED_DOMAIN, count, seconds)
    seen = view(budgets=(("ca", Budget(limit, "a.example", used, None)),))
    assert words in Parsed(limits_page(seen, {})).shown


def test_tightest_limit_comes_first() -> None:
    limit = Limit(Spent.ORDER, Scope.ACCOUNT, 10, 3600.0)
    budgets = tuple((name, Budget(limit, "", used, NOW + HOUR)) for name, used in (("one", 1), ("two", 9)))
    shown = Parsed(limits_page(view(budgets=budgets), {})).shown
    assert shown.index("two") < shown.index("one 9 of 10")
    assert "2026-03-01 13:00 UTC" in shown


def test_failed_rehearsals_come_first() -> None:
    rehearsed = [
        replace(served("well.example"), rehearsal=Rehearsal("well.example", NOW - 2 * HOUR, True, "")),
        replace(served("old.example"), rehearsal=Rehearsal("old.example", NOW - 40 * DAY, False, "before")),
        replace(missing("bad.example"), rehearsal=Rehearsal("bad.example", NOW, False, "no <b>route</b>")),
        served("never.example"),
    ]
    page = Parsed(rehearsals_page(view(*rehearsed), {}))
    results = ["failed bad.example", "failed, issued since old.example", "succeeded well.example"]
    places = [page.shown.index(one) for one in results]
    assert places == sorted(places)
    assert "no <b>route</b>" in page.words
    assert "never.example" not in page.words
    assert "is not set." in page.shown


def test_interval_of_rehearsals_is_shown() -> None:
    settings = Settings.model_validate(
        {"rehearsal": {"every_days": 7}, "certificates": [{"identifiers": ["a.example"]}]}
    )
    page = Parsed(rehearsals_page(replace(view(), settings=settings), {}))
    assert "The daemon rehearses each renewal every 7 days." in page.shown
    assert "No certificate was rehearsed yet." in page.words


def test_settings_are_those_in_effect_without_secrets_and_certificates() -> None:
    settings = Settings.model_validate(
        {
            "renewals_at_once": 3,
            "notifications": {"webhook": "https://hooks.example/services/SECRET"},
            "hooks": {"deploy": ["/usr/bin/curl", "--token", "SECRET"]},
            "certificates": [{"identifiers": ["a.example"]}],
        }
    )
    page = Parsed(settings_page(replace(view(), settings=settings, is_outdated=True), {}))
    assert "renewals_at_once 3 set" in page.shown
    assert "orders_per_second 20.0 default" in page.shown
    assert "SECRET" not in page.text
    assert "***" in page.text
    assert "a.example" not in page.text
    assert "The files have changed since the daemon read them" in page.words


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("show", [nodes_page, limits_page, rehearsals_page, settings_page])
def test_text_of_others_is_shown_as_text(show: Callable[[View, dict[str, str]], str], text: str) -> None:
    limit = Limit(Spent.CERTIFICATE, Scope.REGISTERED_DOMAIN, 10, 3600.0)
    one = replace(missing("a.example"), rehearsal=Rehearsal("a.example", NOW, False, text))
    node = replace(NODE, concern=text, behind=(Behind("web", NOW, text, text),))
    seen = replace(view(one, budgets=(("ca", Budget(limit, text, 1, None)),)), nodes=(node,))
    found = show(seen, {"page": text})
    assert not {"script", "img"} & {*Parsed(found).tags}
    assert not any(letter in found for letter in "\u202e\u2066\x1b\x07\x00\u2028\r")
