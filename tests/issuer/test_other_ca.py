"""A list of CAs: the next one is asked only when the first fails for reasons of its own."""

from dataclasses import replace

import pytest

from tests.fakes_obtain import FakeAuthority
from tests.issuer.hosts import LINEAGES, Host
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Outcome
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import ERROR_PREFIX, Problem

SECOND = "https://second.example/directory"


@pytest.fixture
def second(host: Host) -> FakeAuthority:
    """Return the second CA of every list."""
    ca = FakeAuthority(host.clock, SECOND)
    host.authorities.cas.append(ca)
    host.nginx.needed = {"a"}
    return ca


def with_both(host: Host) -> list[Lineage]:
    return [replace(LINEAGES[0], directory_urls=(host.ca.directory_url, SECOND))]


def refusal(name: str, retry: Retry = Retry.SOON) -> OrderError:
    problem = Problem(f"{ERROR_PREFIX}{name}", "the CA's words", 500)
    return OrderError(f"newOrder: the CA says {problem}", problem=problem, retry=retry)


async def test_second_ca_issues_when_the_first_does_not(host: Host, second: FakeAuthority) -> None:
    host.ca.new_order_error = refusal("serverInternal")
    reports = await host.run(with_both(host))
    assert reports["a"].outcome is Outcome.SERVED
    assert "newOrder" in second.calls
    origin = await host.state.deliveries.read_origin("a")
    assert origin is not None
    assert origin.directory_url == SECOND
    assert any("WARNING: newOrder: the CA says serverInternal" in line for line in host.progress.lines)


async def test_only_the_first_ca_is_asked_while_it_issues(host: Host, second: FakeAuthority) -> None:
    await host.run(with_both(host))
    assert second.calls == []


async def test_failed_validation_is_not_retried_at_another_ca(host: Host, second: FakeAuthority) -> None:
    host.ca.refused["a.example"] = Problem(f"{ERROR_PREFIX}connection", "nobody answers", 400)
    reports = await host.run(with_both(host))
    assert reports["a"].outcome is Outcome.FAILED
    assert second.calls == []


async def test_most_promising_of_several_failures_is_reported(host: Host, second: FakeAuthority) -> None:
    host.ca.new_order_error = refusal("rejectedIdentifier", Retry.NEVER)
    second.new_order_error = refusal("serverInternal", Retry.SOON)
    reports = await host.run(with_both(host))
    assert reports["a"].outcome is Outcome.FAILED
    assert "serverInternal" in str(reports["a"].error)
