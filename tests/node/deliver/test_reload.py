"""The stage reload: one reload for all, and the flip-back rule."""

import asyncio
import math

import pytest

from tests.fakes import FakeClock
from tests.fakes_certificates import FakeCertificates
from tests.fakes_nginx import FakeNginx
from wellkeeper_node.deliver.reload import reload
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Flip, Reloaded


class Node:
    """Lineages whose renewals are installed; nginx names all of them."""

    def __init__(self, *names: str, first: tuple[str, ...] = ()) -> None:
        self.flips = [Flip(name, None if name in first else "old", "new") for name in names]
        self.certificates = FakeCertificates(dict.fromkeys(names, "new"))
        self.certificates.without_pair |= {(name, "old") for name in names}
        self.clock = FakeClock()
        self.nginx = FakeNginx(self.certificates, self.clock)
        self.nginx.needed = set(names)

    def break_(self, *names: str) -> None:
        """Make these new versions fail to load; rename them to distinguish them."""
        self.flips = [Flip(f.lineage, f.before, f"bad-{f.lineage}") if f.lineage in names else f for f in self.flips]
        bad = {name: f"bad-{name}" for name in names}
        self.certificates.live |= bad
        self.certificates.without_pair |= bad.items()
        self.nginx.bad_versions |= set(bad.values())

    async def reload(self) -> Reloaded:
        return await reload(self.flips, self.nginx, self.certificates, self.clock)

    @property
    def back(self) -> set[str]:
        return {name for name, version in self.certificates.live.items() if version == "old"}


async def test_without_new_versions_nothing_is_tested_or_reloaded() -> None:
    node = Node()
    assert await node.reload() == Reloaded()
    assert (node.nginx.test_count, node.nginx.reloads) == (0, [])


async def test_many_certificates_share_one_reload() -> None:
    node = Node("a", "b", "c")
    reloaded = await node.reload()
    assert reloaded.rolled_back == ()
    assert reloaded.seconds == pytest.approx(0.2)
    assert node.nginx.reloads == [{"a": "new", "b": "new", "c": "new"}]
    assert (node.nginx.test_count, node.certificates.switches) == (1, [])


async def test_culprit_stays_rolled_back_and_the_rest_is_delivered() -> None:
    node = Node("a", "b", "c")
    node.break_("b")
    reloaded = await node.reload()
    assert [(one.flip.lineage, one.words) for one in reloaded.rolled_back] == [
        ("b", "[emerg] cannot load certificate b: key values mismatch")
    ]
    assert node.nginx.reloads == [{"a": "new", "b": "old", "c": "new"}]


@pytest.mark.parametrize("bad", [{0}, {999}, {0, 1}, {3, 500, 998}], ids=str)
async def test_culprits_among_a_thousand_are_found_by_bisection(bad: set[int]) -> None:
    names = [f"n{number:04}" for number in range(1000)]
    node = Node(*names)
    node.break_(*(names[number] for number in bad))
    reloaded = await node.reload()
    assert {one.flip.lineage for one in reloaded.rolled_back} == {names[number] for number in bad} == node.back
    assert node.nginx.test_count <= 2 + len(bad) * (math.ceil(math.log2(1000)) + 1)


async def test_each_culprit_is_reported_with_nginxs_message_about_it() -> None:
    """Check the message of each culprit: nginx names the first in its own order, the search finds "d" first."""
    node = Node("d", "c", "b", "a")
    node.break_("a", "d")
    words = {one.flip.lineage: one.words for one in (await node.reload()).rolled_back}
    assert all(f"certificate {name}:" in text for name, text in words.items())
    assert words.keys() == {"a", "d"}


async def test_no_reload_when_every_version_is_a_culprit() -> None:
    node = Node("a", "b")
    node.break_("a", "b")
    reloaded = await node.reload()
    assert len(reloaded.rolled_back) == 2
    assert reloaded.seconds is None
    assert node.nginx.reloads == []
    assert node.back == {"a", "b"}


async def test_fault_elsewhere_keeps_the_new_certificates_and_is_reported() -> None:
    node = Node("a", "b")
    node.nginx.broken = '[emerg] unknown directive "oops" in /etc/nginx/nginx.conf:7'
    with pytest.raises(ReloadError, match=r'with the previous certificates too: .*unknown directive "oops"'):
        await node.reload()
    assert node.back == set()
    assert node.nginx.reloads == []


async def test_first_issuance_is_not_blamed_for_a_bad_renewal() -> None:
    """Keep a first certificate in place: without its file, nginx rejects the configuration as well."""
    node = Node("a", "b", first=("a",))
    node.break_("b")
    reloaded = await node.reload()
    assert [one.flip.lineage for one in reloaded.rolled_back] == ["b"]
    assert node.nginx.reloads == [{"a": "new", "b": "old"}]


async def test_first_certificates_stay_when_something_else_is_broken() -> None:
    node = Node("a", "b", first=("a", "b"))
    node.nginx.broken = "[emerg] elsewhere"
    with pytest.raises(ReloadError, match="elsewhere"):
        await node.reload()
    assert node.certificates.live == {"a": "new", "b": "new"}


async def test_refused_reload_is_an_error_and_nothing_is_undone() -> None:
    node = Node("a")
    node.nginx.refusal = "bind() to 0.0.0.0:8443 failed"
    with pytest.raises(ReloadError, match="bind"):
        await node.reload()
    assert node.back == set()


@pytest.mark.parametrize("at", range(1, 8))
async def test_cancelled_search_keeps_every_flip_except_proven_culprits(at: int) -> None:
    node = Node("a", "b", "c", "d")
    node.break_("b", "d")

    def cancel(test: int) -> None:
        if test == at:
            raise asyncio.CancelledError

    node.nginx.at_test = cancel
    with pytest.raises(asyncio.CancelledError):
        await node.reload()
    assert node.back <= {"b", "d"}
    assert node.nginx.reloads == []


async def test_flips_of_an_interrupted_pass_are_resumed() -> None:
    node = Node("a", "b")
    node.certificates.live["a"] = "old"
    await node.reload()
    assert node.nginx.reloads == [{"a": "new", "b": "new"}]


def by_reload(node: Node) -> Node:
    node.nginx.is_tested_by_reload = True
    return node


async def test_without_a_test_the_reload_is_the_test() -> None:
    node = by_reload(Node("a", "b"))
    node.nginx.finishing_count = 2
    reloaded = await node.reload()
    assert (reloaded.rolled_back, reloaded.finishing_count) == ((), 2)
    assert node.nginx.reloads == [{"a": "new", "b": "new"}]


async def test_culprit_among_eight_is_found_by_reloads_and_the_last_one_loads_the_rest() -> None:
    names = "abcdefgh"
    node = by_reload(Node(*names))
    node.break_("f")
    reloaded = await node.reload()
    assert [(one.flip.lineage, one.words) for one in reloaded.rolled_back] == [
        ("f", "[emerg] cannot load certificate f: key values mismatch")
    ]
    assert node.nginx.reloads[-1] == dict.fromkeys(names, "new") | {"f": "old"}
    assert node.nginx.test_count <= 3 + math.log2(8)
    assert reloaded.seconds is not None


async def test_only_certificate_that_is_refused_costs_one_more_reload() -> None:
    node = by_reload(Node("a"))
    node.break_("a")
    reloaded = await node.reload()
    assert [one.flip.lineage for one in reloaded.rolled_back] == ["a"]
    assert node.nginx.reloads == [{"a": "old"}]
    assert reloaded.seconds is None


async def test_fault_elsewhere_is_found_by_reloads_too() -> None:
    node = by_reload(Node("a", "b"))
    node.nginx.broken = "[emerg] elsewhere"
    with pytest.raises(ReloadError, match=r"with the previous certificates too: .*elsewhere"):
        await node.reload()
    assert node.certificates.live == {"a": "new", "b": "new"}


async def test_reload_that_fails_otherwise_is_no_answer_to_a_test() -> None:
    node = by_reload(Node("a"))
    node.nginx.refusal = "nginx has no workers left"
    with pytest.raises(ReloadError, match="no workers left"):
        await node.reload()
    assert node.nginx.test_count == 1
