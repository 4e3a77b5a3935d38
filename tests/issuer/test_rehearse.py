"""A rehearsal: it tries each step, reports each failure with its place, and leaves nothing behind."""

import itertools
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeHooks
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_nginx import FakeNginx
from tests.fakes_obtain import BASE, FakeAuthority, FakeProgress, FakeReadBacks, QuickResponders, token
from tests.node.nodes import Nodes
from wellkeeper_issuer.errors import ChallengeError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.records import Event, Limit, Rehearsal
from wellkeeper_issuer.rehearse import RehearsalDeps, rehearse
from wellkeeper_node import model
from wellkeeper_node.errors import ReloadError, WellkeeperError
from wellkeeper_node.model import Answer, ReadBack

LIVE, TEST = f"{BASE}/directory", "https://test-ca.example/directory"
LINEAGES = [Lineage("web", (dns("a.example"), dns("b.example")), directory_urls=(LIVE,))]


class FakeAuthorities:
    """`ports.Authorities` with a production CA and a test CA."""

    def __init__(self, clock: FakeClock) -> None:
        self.live, self.test = FakeAuthority(clock), FakeAuthority(clock, TEST)

    @property
    def directory_urls(self) -> Sequence[str]:
        return (LIVE, TEST)

    async def load(self, directory_url: str) -> None:
        """Everything is loaded."""

    def open(self, directory_url: str) -> CertificateAuthority:
        return {LIVE: self.live, TEST: self.test}[directory_url]

    def limits(self, directory_url: str) -> Sequence[Limit]:
        raise ValueError(f"a rehearsal is not counted: {directory_url}")


class Trust:
    """Check of the responders' pins, which can fail."""

    def __init__(self) -> None:
        self.error: WellkeeperError | None = None

    async def check(self) -> str:
        if self.error:
            raise self.error
        return "2 thumbprints pinned at 2 responders"


class FirstRequests:
    """First requests to a CA, for `RehearsalDeps.ask_ca`; the request named in `failing` fails."""

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}

    def of(self, url: str) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        return [(name, partial(self._send, url, name)) for name in ("directory", "nonce", "account")]

    async def _send(self, url: str, name: str) -> str:
        if self.failing.get(url) == name:
            raise OrderError("no answer from the CA")
        return f"asked {url}"


async def new_request(_lineage: Lineage, _thumbprint: str) -> None:
    """Make no request: key and CSR are new each time."""


@dataclass
class Setup:
    """Everything a rehearsal uses, to change and inspect."""

    deps: RehearsalDeps
    authorities: FakeAuthorities
    probes: FakeReadBacks
    nginx: FakeNginx
    hooks: FakeHooks
    trust: Trust
    progress: FakeProgress
    requests: FirstRequests

    async def rehearse(self, lineages: Sequence[Lineage] = LINEAGES) -> list[Rehearsal]:
        return await rehearse(lineages, self.deps)


@pytest.fixture
def setup(nodes: Nodes, clock: FakeClock) -> Setup:
    authorities, probes, trust, progress = FakeAuthorities(clock), FakeReadBacks(), Trust(), FakeProgress()
    certificates, hooks, numbers = FakeCertificates(), FakeHooks(), itertools.count(1)
    nginx, requests = FakeNginx(certificates, clock), FirstRequests()
    deps = RehearsalDeps(
        authorities=authorities,
        responders=QuickResponders(nodes.responders, clock),
        nodes=tuple(nodes.nodes),
        probes=probes,
        nginx=nginx,
        hooks=hooks,
        clock=clock,
        progress=progress,
        check_trust=trust.check,
        ask_ca=requests.of,
        make_token=lambda: token(next(numbers)),
        live_path=certificates.live_path,
        request=new_request,
        throttle=Throttle(1e9, clock),
    )
    return Setup(deps, authorities, probes, nginx, hooks, trust, progress, requests)


class OtherNodes:
    """`ports.node.RemoteReadBacks` of nodes that report these failures."""

    def __init__(self, *failures: ReadBack) -> None:
        self._failures = failures

    def has_nodes(self) -> bool:
        return True

    async def failures(self, answers: Sequence[Answer], without: Collection[str] = ()) -> Sequence[ReadBack]:
        """Report them for the tokens of all names."""
        assert (len(answers), without) == (2, ())
        return self._failures


async def test_other_nodes_read_back_themselves(setup: Setup) -> None:
    await replace(setup, deps=replace(setup.deps, remote=OtherNodes(), remote_count=3)).rehearse()
    assert setup.progress.lines[-1].endswith(" 2 tokens, read back from 2 addresses, and by 3 other nodes")
    failure = ReadBack("web2", "http://a.example/", "127.0.0.1:80", 403, "nginx denies it")
    deps = replace(setup.deps, remote=OtherNodes(failure), remote_count=3)
    (failed,) = await replace(setup, deps=deps).rehearse()
    assert "publish: the read-back failed: node 'web2' at 127.0.0.1:80" in failed.detail


async def test_every_name_is_published_read_back_from_every_node_and_withdrawn(setup: Setup, nodes: Nodes) -> None:
    assert await setup.rehearse() == [Rehearsal("web", setup.deps.clock.now(), True, "every step succeeded")]
    assert sorted(setup.probes.asked) == [(n, token(t)) for n in ("n1", "n2") for t in (1, 2)]
    assert await nodes.holding(token(1)) == []
    assert setup.progress.lines == [
        "web trust started",
        "web trust finished 0 2 thumbprints pinned at 2 responders",
        "web nginx started",
        "web nginx finished 0 nginx -t passes",
        "web directory started",
        f"web directory finished 0 asked {LIVE}",
        "web nonce started",
        f"web nonce finished 0 asked {LIVE}",
        "web account started",
        f"web account finished 0 asked {LIVE}",
        "web publish started",
        "web publish finished 0 2 tokens, read back from 2 addresses",
    ]


async def test_unreachable_ca_fails_only_the_certificates_that_use_it(setup: Setup) -> None:
    other = Lineage("other", (dns("c.example"),), directory_urls=(TEST,))
    setup.requests.failing[TEST] = "nonce"
    web, other_result = await setup.rehearse([*LINEAGES, other])
    assert web.is_well
    assert (other_result.is_well, other_result.detail) == (False, "nonce: no answer from the CA")
    asked = [line for line in setup.progress.lines if f"asked {TEST}" in line]
    assert asked == [f"2 certificates directory finished 0 asked {TEST}"]


async def test_no_order_is_placed_without_a_test_ca(setup: Setup) -> None:
    await setup.rehearse()
    assert setup.authorities.live.calls == setup.authorities.test.calls == []


async def test_order_at_the_test_ca_obtains_a_certificate(setup: Setup, nodes: Nodes) -> None:
    setup.deps = replace(setup.deps, test_directory_url=TEST)
    [result] = await setup.rehearse()
    assert result.is_well, result.detail
    test = setup.authorities.test
    assert [order.order.status for order in test.orders.values()] == ["valid"]
    assert test.calls[-1] == f"chain {BASE}/order/1"
    assert setup.authorities.live.calls == []
    assert "fake issued a chain of 2 certificates, which was discarded" in setup.progress.lines[-1]
    assert await nodes.holding(token(100)) == []


async def test_reused_authorizations_are_deactivated_so_that_the_ca_looks_every_time(setup: Setup) -> None:
    setup.deps = replace(setup.deps, test_directory_url=TEST)
    setup.authorities.test.reuse_valid = True
    for _ in range(3):
        [result] = await setup.rehearse()
        assert result.is_well, result.detail
    calls = setup.authorities.test.calls
    assert len([call for call in calls if call.startswith("answer ")]) == 6
    assert len([call for call in calls if call.startswith("deactivate ")]) == 4
    assert "without fetching" not in setup.progress.lines[-1]


async def test_ca_that_keeps_its_authorizations_is_reported_not_to_have_looked(setup: Setup) -> None:
    setup.deps = replace(setup.deps, test_directory_url=TEST)
    setup.authorities.test.reuse_valid = True
    setup.authorities.test.deactivation_error = ChallengeError("not implemented")
    await setup.rehearse()
    [result] = await setup.rehearse()
    assert result.is_well, result.detail
    assert "without fetching a token, because it reused earlier authorizations" in setup.progress.lines[-1]


async def test_refusal_of_the_test_ca_is_reported(setup: Setup) -> None:
    setup.deps = replace(setup.deps, test_directory_url=TEST)
    setup.authorities.test.refused["b.example"] = None
    [result] = await setup.rehearse()
    assert not result.is_well
    assert result.detail.startswith("order: the CA did not accept b.example: ")


async def test_node_that_does_not_serve_the_token_is_named_with_its_address(setup: Setup, nodes: Nodes) -> None:
    setup.probes.causes["n2"] = "another location answers"
    [result] = await setup.rehearse()
    assert not result.is_well
    assert "2 read-backs failed: " in result.detail
    assert "another location answers" in result.detail
    assert "node 'n2' at 127.0.0.1:80: http://a.example/.well-known/acme-challenge/" in result.detail
    assert await nodes.holding(token(1)) == []


async def test_responder_that_is_down_is_reported_with_its_node(setup: Setup, nodes: Nodes) -> None:
    await nodes["n1"].stop()
    [result] = await setup.rehearse()
    assert not result.is_well
    assert "the responder of node 'n1'" in result.detail


async def test_every_step_is_tried_after_earlier_failures(setup: Setup) -> None:
    setup.trust.error = ReloadError("letsencrypt is not pinned at n2")
    setup.nginx.broken = "[emerg] unknown directive"
    setup.hooks.events = setup.hooks.failing = set(Event)
    setup.probes.causes["n1"] = "a redirect"
    setup.deps = replace(setup.deps, test_directory_url=TEST)
    [result] = await setup.rehearse()
    parts = ["trust: letsencrypt is not pinned at n2", "nginx: nginx refuses its present configuration: [emerg]"]
    parts += [f"the hook '{event}' failed for web: it says no" for event in Event]
    parts += ["publish: 2 read-backs failed: node 'n1'", "order: 2 read-backs failed: node 'n1'"]
    assert [part for part in parts if part not in result.detail] == []


async def test_hooks_receive_the_rehearsal_flag(setup: Setup) -> None:
    setup.hooks.events = {Event.PRE, Event.DEPLOY, Event.FAILED, Event.POST}
    await setup.rehearse([*LINEAGES, Lineage("mail", (dns("m.example"),), directory_urls=(LIVE,))])
    assert all(about.is_rehearsal for _, about in setup.hooks.ran)
    received = [(event, about.lineages) for event, about in setup.hooks.ran]
    assert received[0] == (Event.PRE, ("web", "mail"))
    assert received[-1] == (Event.POST, ("web", "mail"))
    assert sorted(received[1:-1]) == [(e, (n,)) for e in (Event.DEPLOY, Event.FAILED) for n in ("mail", "web")]
    deployed = next(about for event, about in setup.hooks.ran if (event, about.lineages) == (Event.DEPLOY, ("web",)))
    assert (deployed.live_path, deployed.identifiers) == ("/certificates/live/web", LINEAGES[0].identifiers)


async def test_failed_rehearsal_does_not_stop_another(setup: Setup) -> None:
    lost = Lineage("lost", (dns("lost.example"),))
    results = await setup.rehearse([lost, *LINEAGES])
    assert [(one.lineage, one.is_well) for one in results] == [("lost", False), ("web", True)]
    assert results[0].detail.startswith("publish: certificate lost has no CA. Add 'ca' to the settings, then run")


async def test_nginx_that_only_a_reload_can_test_is_not_reloaded(setup: Setup) -> None:
    setup.nginx.is_tested_by_reload = True
    assert [one.is_well for one in await setup.rehearse()] == [True]
    assert setup.nginx.reloads == []
    (said,) = [one for one in setup.progress.lines if "nginx finished" in one]
    assert said.endswith("it may be reloaded; its configuration was not tested, because only a reload can do that")


async def test_nginx_that_could_not_be_reloaded_fails_all_certificates(setup: Setup) -> None:
    setup.nginx.unreachable = "uid 7 may not signal nginx"
    assert {one.detail for one in await setup.rehearse()} == {"nginx: uid 7 may not signal nginx"}


async def test_missing_nginx_fails_all_certificates(setup: Setup) -> None:
    class NoNginx(FakeNginx):
        async def test(self) -> model.Tested:
            raise ReloadError("nginx cannot be tested or reloaded: no such file")

    setup.deps = replace(setup.deps, nginx=NoNginx(FakeCertificates()))
    results = await setup.rehearse([*LINEAGES, replace(LINEAGES[0], name="other")])
    assert {one.detail for one in results} == {"nginx: nginx cannot be tested or reloaded: no such file"}
