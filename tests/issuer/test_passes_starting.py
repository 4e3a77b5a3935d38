"""The first minute of a daemon: what is missing beside it is looked for again soon, and no order is made before."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.issuer.hosts import LINEAGES, Host
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.obtain.starting import Starting
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_node.errors import PublishError, Retry

WEB = LINEAGES[:1]
CAUSES = ("nginx", "responder", "CA")


class Beside:
    """A host whose daemon has just started, and one of the programs beside it not yet."""

    def __init__(self, host: Host, cause: str) -> None:
        self.responder = cause == "responder"
        self.asked = 0
        self.host = host
        starting = Starting(host.clock, self._ask)
        sources = replace(host.passes.renewals.sources, starting=starting)
        host.passes.renewals = replace(host.passes.renewals, sources=sources)
        host.nginx.needed = {"a"}
        host.nginx.unreachable = "nginx is not running" if cause == "nginx" else None
        host.ca.at_prepare = self._prepare
        self.ca = cause == "CA"

    async def _ask(self) -> None:
        self.asked += 1
        if self.responder:
            raise PublishError("responder is not running")

    async def _prepare(self) -> None:
        if self.ca:
            raise OrderError("CA is not running")

    def start(self) -> None:
        self.responder, self.ca, self.host.nginx.unreachable = False, False, None

    async def run(self, mode: Mode = Mode.SCHEDULED) -> Report:
        return (await self.host.run(WEB, mode=mode))["a"]


@pytest.mark.parametrize("cause", CAUSES)
async def test_missing_program_is_awaited_without_an_order_or_a_failure(
    host: Host, clock: FakeClock, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    beside = Beside(host, cause)
    pauses = []
    for _ in range(4):
        report = await beside.run()
        assert report.outcome is Outcome.WAITING
        assert report.reason == f"{cause} is not running"
        assert report.next_try_at is not None
        pauses.append((report.next_try_at - clock.now()) / timedelta(seconds=1))
        host.wait(pauses[-1])
    assert pauses == [2, 5, 10, 10]
    assert "newOrder" not in host.ca.calls
    (message,) = (one for one in caplog.messages if one.startswith("waiting: "))
    assert message.startswith(f"waiting: {cause} is not running")
    assert message.endswith(" (retrying in 2 s)")
    beside.start()
    assert (await beside.run()).outcome is Outcome.SERVED
    assert host.ca.calls.count("newOrder") == 1


@pytest.mark.parametrize("cause", ["nginx", "CA"])
async def test_what_is_missing_after_a_minute_is_a_failure(host: Host, clock: FakeClock, cause: str) -> None:
    beside = Beside(host, cause)
    host.wait(57)
    report = await beside.run()
    assert report.outcome is Outcome.FAILED
    assert str(report.error) == f"{cause} is not running"
    assert report.next_try_at == clock.now() + timedelta(minutes=1)


async def test_stopped_nginx_is_no_failure_of_an_installed_certificate_in_the_first_minute(host: Host) -> None:
    """Its handshakes would fail, and the administrator would get a notice."""
    beside = Beside(host, "none")
    assert (await beside.run()).outcome is Outcome.SERVED
    again = Beside(host, "nginx")
    report = await again.run()
    assert (report.outcome, report.error) == (Outcome.WAITING, None)
    again.start()
    assert (await again.run()).outcome is Outcome.UNCHANGED


async def test_responders_are_asked_in_the_first_minute_until_all_have_answered(host: Host) -> None:
    beside = Beside(host, "none")
    for _ in range(2):
        await beside.run()
        host.certificates.live.clear()
    assert beside.asked == 1
    late = Beside(host, "responder")
    host.wait(57)
    await late.run()
    assert late.asked == 0


async def test_what_no_waiting_can_fix_is_a_failure_at_once(clock: FakeClock) -> None:
    async def refuse() -> None:
        raise PublishError("cannot trust the socket", retry=Retry.NEVER)

    with pytest.raises(PublishError):
        await Starting(clock, refuse).await_responders()


@pytest.mark.parametrize("cause", ["nginx", "CA"])
async def test_person_who_asks_for_a_renewal_gets_the_failure_at_once(host: Host, cause: str) -> None:
    report = await Beside(host, cause).run(Mode.RETRY)
    assert report.outcome is Outcome.FAILED
