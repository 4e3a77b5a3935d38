"""Blocks of a CA: one failure defers all certificates."""

from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_state import FakeLedger
from wellkeeper_issuer.errors import ChallengeError, FinalizeError, OrderError
from wellkeeper_issuer.obtain.blocks import Blocks
from wellkeeper_issuer.records import Blocked
from wellkeeper_node.errors import PublishError, Retry, WellkeeperError
from wellkeeper_node.model import ERROR_PREFIX, Problem

CA = "https://ca.example/directory"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AWAY = OrderError("newOrder: no answer from the CA")


@pytest.fixture
def blocks(ledger: FakeLedger, clock: FakeClock) -> Blocks:
    return Blocks(ledger, clock)


def problem(name: str, status: int) -> Problem:
    return Problem(ERROR_PREFIX + name, "the CA's words", status)


async def wait_of(blocks: Blocks, clock: FakeClock, lineage: str = "www") -> timedelta | None:
    blocked = await blocks.find(CA, lineage)
    return blocked.until - clock.now() if blocked else None


async def test_unreachable_ca_is_asked_less_and_less_often_and_then_hourly(blocks: Blocks, clock: FakeClock) -> None:
    waits = []
    for _ in range(5):
        await blocks.learn(CA, "www", AWAY)
        wait = await wait_of(blocks, clock, "another")
        assert wait is not None
        waits.append(wait)
        clock.advance(wait.total_seconds())
        assert await blocks.find(CA, "another") is None
    assert waits == [MINUTE, 10 * MINUTE, HOUR, HOUR, HOUR]


async def test_week_without_the_ca_costs_one_request_per_hour(blocks: Blocks, clock: FakeClock) -> None:
    """Let one of ten thousand due certificates through, which fails for all."""
    requests = 0
    for _ in range(7 * 24 * 60):
        for name in ("first", "second", "third"):
            if await blocks.find(CA, name) is None:
                requests += 1
                await blocks.learn(CA, name, AWAY)
        clock.advance(60)
    assert requests == 2 + 7 * 24


async def test_concurrent_failures_count_as_one(blocks: Blocks, clock: FakeClock) -> None:
    for n in range(8):
        await blocks.learn(CA, f"{n}", AWAY)
    assert await wait_of(blocks, clock) == MINUTE


async def test_reason_names_the_ca_and_the_count_of_failures(blocks: Blocks, clock: FakeClock) -> None:
    for _ in range(2):
        await blocks.learn(CA, "www", AWAY)
        clock.advance(60)
    blocked = await blocks.find(CA, "www")
    assert blocked is not None
    assert blocked.reason == "the CA ca.example is unavailable, 2 times in a row: newOrder: no answer from the CA"


async def test_other_cas_are_not_blocked(blocks: Blocks) -> None:
    await blocks.learn(CA, "www", AWAY)
    assert await blocks.find("https://other.example/directory", "www") is None


async def test_answer_ends_the_wait_and_resets_the_count(blocks: Blocks, clock: FakeClock) -> None:
    await blocks.learn(CA, "www", AWAY)
    await blocks.answered(CA)
    assert await blocks.find(CA, "www") is None
    clock.advance(1)
    await blocks.learn(CA, "www", AWAY)
    assert await wait_of(blocks, clock) == MINUTE


async def test_busy_ca_is_not_asked_until_its_retry_after(blocks: Blocks, clock: FakeClock) -> None:
    busy = ChallengeError("busy", problem=problem("serverInternal", 503), retry_at=clock.now() + 2 * HOUR)
    await blocks.learn(CA, "www", busy)
    assert await wait_of(blocks, clock, "another") == 2 * HOUR


async def test_busy_ca_that_asks_to_wait_for_a_month_is_asked_again_after_a_day(
    blocks: Blocks, clock: FakeClock
) -> None:
    busy = OrderError("busy", problem=problem("serverInternal", 503), retry_at=clock.now() + 30 * DAY)
    await blocks.learn(CA, "www", busy)
    assert await wait_of(blocks, clock) == DAY


def limited(clock: FakeClock, wait: timedelta) -> OrderError:
    return OrderError("too many", problem=problem("rateLimited", 429), retry_at=clock.now() + wait)


async def test_limit_met_by_one_certificate_blocks_only_that_one(blocks: Blocks, clock: FakeClock) -> None:
    await blocks.learn(CA, "www", limited(clock, 34 * HOUR))
    assert await wait_of(blocks, clock, "www") == 34 * HOUR
    assert await wait_of(blocks, clock, "another") is None


async def test_limit_met_three_times_in_a_row_blocks_all_for_an_hour(blocks: Blocks, clock: FakeClock) -> None:
    for name in ("a", "b", "c"):
        await blocks.learn(CA, name, limited(clock, 34 * HOUR))
    assert await wait_of(blocks, clock, "another") == HOUR
    assert await wait_of(blocks, clock, "a") == HOUR
    clock.advance(3600)
    assert await blocks.find(CA, "another") is None
    assert await wait_of(blocks, clock, "a") == 33 * HOUR
    await blocks.learn(CA, "d", limited(clock, HOUR))
    assert await blocks.find(CA, "another") is None


async def test_answer_between_limits_resets_the_count(blocks: Blocks, clock: FakeClock) -> None:
    for name in ("a", "b"):
        await blocks.learn(CA, name, limited(clock, HOUR))
    await blocks.answered(CA)
    await blocks.learn(CA, "c", limited(clock, HOUR))
    assert await blocks.find(CA, "another") is None


async def test_limit_without_a_time_is_left_to_backoff(blocks: Blocks) -> None:
    await blocks.learn(CA, "www", OrderError("too many", problem=problem("rateLimited", 429)))
    assert await blocks.find(CA, "www") is None


async def test_limit_of_months_is_retried_after_a_week(blocks: Blocks, clock: FakeClock) -> None:
    await blocks.learn(CA, "www", limited(clock, 90 * DAY))
    assert await wait_of(blocks, clock) == 7 * DAY


@pytest.mark.parametrize(
    "error",
    [
        PublishError("no responder"),
        FinalizeError("still processing"),
        OrderError("a limit of ours", retry=Retry.LATER),
        OrderError("no such profile", retry=Retry.NEVER),
        OrderError("refused", problem=problem("rejectedIdentifier", 400)),
        OrderError("in an order that came with 200", problem=Problem(ERROR_PREFIX + "dns", "no such name")),
    ],
    ids=str,
)
async def test_failure_of_one_certificate_blocks_no_other(blocks: Blocks, error: WellkeeperError) -> None:
    await blocks.learn(CA, "www", error)
    assert await blocks.find(CA, "www") is None


async def test_refusal_of_one_certificate_proves_that_the_ca_is_up(blocks: Blocks) -> None:
    await blocks.learn(CA, "www", AWAY)
    await blocks.learn(CA, "other", OrderError("refused", problem=problem("rejectedIdentifier", 400)))
    assert await blocks.find(CA, "www") is None


async def test_blocks_survive_a_restart(ledger: FakeLedger, blocks: Blocks, clock: FakeClock) -> None:
    await blocks.learn(CA, "www", limited(clock, HOUR))
    await blocks.learn(CA, "other", AWAY)
    after_restart = Blocks(ledger, clock)
    assert await wait_of(after_restart, clock, "www") == MINUTE
    clock.advance(60)
    assert await wait_of(after_restart, clock, "www") == 59 * MINUTE


@pytest.mark.parametrize("back", [1.0, 86_400.0])
async def test_clock_set_back_ends_the_wait(blocks: Blocks, clock: FakeClock, back: float) -> None:
    await blocks.learn(CA, "www", AWAY)
    clock.step(-back)
    assert await blocks.find(CA, "www") is None


@pytest.mark.parametrize(("lineage", "longest"), [("", DAY), ("www", 7 * DAY)], ids=["all", "one"])
async def test_implausible_time_of_an_earlier_process_is_ignored(
    ledger: FakeLedger, clock: FakeClock, lineage: str, longest: timedelta
) -> None:
    for seconds, is_wait in ((0, True), (1, False)):
        until = clock.now() + longest + timedelta(seconds=seconds)
        await ledger.record_block(Blocked(CA, lineage, until, "written by a clock that was ahead"))
        assert (await Blocks(ledger, clock).find(CA, "www") is not None) is is_wait


async def test_url_without_a_host_is_shown_completely(blocks: Blocks) -> None:
    await blocks.learn("somewhere", "www", AWAY)
    blocked = await blocks.find("somewhere", "www")
    assert blocked is not None
    assert blocked.reason.startswith("the CA somewhere is unavailable: ")
