"""The planner: one schedule per version, planned once and replanned as the CA answers."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW, dns
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.model import Attempt
from wellkeeper_issuer.obtain.due import plan
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import NoRenewalInfo, Origin, RenewalInfo, Rule, Schedule, Window
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.model import Certificate, Flip, Installed

CA: Final = "https://ca.example/directory"
DAY: Final = timedelta(days=1)
NAMES: Final = frozenset({dns("a.example")})
INSTALLED: Final = Installed(
    "web", "v1", Certificate(NAMES, "1", "f" * 64, "Fake", NOW - DAY, NOW + 89 * DAY, False, certificate_id="a.b")
)
WINDOW: Final = Window(NOW + 50 * DAY, NOW + 52 * DAY)
HOUR: Final = DAY / 24
ORIGIN: Final = Origin(CA, "https://ca.example/account/1")


class FakeInfos:
    """`ports.RenewalInfos` with one answer for all certificates."""

    def __init__(self) -> None:
        self.answer: RenewalInfo | NoRenewalInfo | None = RenewalInfo(WINDOW, None, 3600)
        self.asked: list[tuple[str, str]] = []

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        self.asked.append((directory_url, certificate_id))
        return self.answer


@pytest.fixture
def infos() -> FakeInfos:
    return FakeInfos()


@pytest.fixture
async def planner(state: State, clock: FakeClock, infos: FakeInfos) -> RenewalPlanner:
    """Return a planner; `CA` issued version v1."""
    attempt = Attempt("web", CA, tuple(NAMES), b"key", b"csr", account_url="https://ca.example/account/1")
    await state.attempts.record_attempt(attempt)
    await state.deliveries.record_flip(Flip("web", None, "v1"))
    return RenewalPlanner(state.schedules, infos, clock, FakeProgress(), lambda: 0.5)


async def schedule(
    planner: RenewalPlanner, installed: Installed | None, origin: Origin | None = ORIGIN
) -> Schedule | None:
    known = await planner.schedules.read_schedule("web")
    return await planner.schedule(installed, known, origin)


async def replace_soon(planner: RenewalPlanner, installed: Installed) -> None:
    await planner.replace_soon(installed, await planner.schedules.read_schedule("web"), ORIGIN)


async def test_renewal_info_of_a_new_version_is_requested_at_once_and_kept(
    planner: RenewalPlanner, state: State, infos: FakeInfos
) -> None:
    found = await schedule(planner, INSTALLED)
    assert found is not None
    assert (found.rule, found.renew_at, found.ask_at) == (Rule.ARI, NOW + 51 * DAY, NOW + HOUR)
    assert infos.asked == [(CA, "a.b")]
    assert await state.schedules.read_schedule("web") == found
    assert await schedule(planner, INSTALLED) == found
    assert len(infos.asked) == 1


@pytest.mark.parametrize("unknown", [{"directory_url": ""}, {"certificate_id": None}], ids=["CA", "certificate"])
async def test_no_request_without_a_known_ca_and_certificate_id(
    planner: RenewalPlanner, state: State, infos: FakeInfos, unknown: dict[str, str | None]
) -> None:
    found = await schedule(planner, INSTALLED)
    assert found is not None
    infos.asked.clear()
    due = replace(found, ask_at=NOW, **unknown)  # type: ignore[arg-type]
    await state.schedules.record_schedule(due)
    assert await schedule(planner, INSTALLED) == due
    assert infos.asked == []


async def test_renewal_info_is_requested_again_when_due(
    planner: RenewalPlanner, clock: FakeClock, infos: FakeInfos
) -> None:
    await schedule(planner, INSTALLED)
    clock.advance(3601)
    infos.answer = NoRenewalInfo("HTTP 500", True)
    found = await schedule(planner, INSTALLED)
    assert found is not None
    assert (found.window, found.unanswered, len(infos.asked)) == (WINDOW, 1, 2)


async def test_ca_that_is_away_is_reported_once(
    planner: RenewalPlanner, state: State, clock: FakeClock, infos: FakeInfos
) -> None:
    infos.answer = NoRenewalInfo("away", is_passing=True, is_unreached=True)
    for count in (1, 2):
        found = await schedule(planner, INSTALLED)
        assert found is not None
        assert (found.unanswered, await state.schedules.read_schedule("web")) == (count, found)
        clock.advance(3600)
    assert planner.progress.lines == ["web the CA did not give renewal info: away"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("window", "words"),
    [
        pytest.param(WINDOW, f"{NOW + 51 * DAY:%Y-%m-%d %H:%M} UTC, inside the CA's window", id="chosen inside it"),
        pytest.param(Window(NOW + 95 * DAY, NOW + 97 * DAY), "UTC, before the CA's window", id="not waited for"),
    ],
)
async def test_chosen_time_is_reported_as_our_choice(
    planner: RenewalPlanner, infos: FakeInfos, window: Window, words: str
) -> None:
    infos.answer = RenewalInfo(window, None, 3600)
    await schedule(planner, INSTALLED)
    assert isinstance(planner.progress, FakeProgress)
    [line] = planner.progress.lines
    assert line.startswith("web renewal planned for ")
    assert line.endswith(words)


async def test_new_version_gets_a_new_schedule(planner: RenewalPlanner, infos: FakeInfos) -> None:
    await schedule(planner, INSTALLED)
    found = await schedule(planner, replace(INSTALLED, version="v2"))
    assert found is not None
    assert (found.version, len(infos.asked)) == ("v2", 2)


async def test_missing_certificates_and_placeholders_have_no_schedule(
    planner: RenewalPlanner, state: State, infos: FakeInfos
) -> None:
    placeholder = reading.read_certificate(make_self_signed([dns("a.example")], 7, NOW).chain_pem)
    assert await schedule(planner, None) is None
    assert await schedule(planner, replace(INSTALLED, certificate=placeholder)) is None
    assert (infos.asked, await state.schedules.read_schedules()) == ([], {})


async def test_certificate_of_an_unknown_ca_follows_the_lifetime_rule(
    planner: RenewalPlanner, state: State, infos: FakeInfos
) -> None:
    await state.deliveries.record_found(Flip("web", "v1", "v1"))
    found = await schedule(planner, INSTALLED, None)
    assert found is not None
    assert (found.rule, found.renew_at, infos.asked) == (Rule.LIFETIME, NOW + 59 * DAY, [])


async def test_moved_window_is_warned_about_once(
    planner: RenewalPlanner, clock: FakeClock, infos: FakeInfos, caplog: pytest.LogCaptureFixture
) -> None:
    await schedule(planner, INSTALLED)
    assert caplog.text == ""
    infos.answer = RenewalInfo(Window(NOW - 2 * DAY, NOW - DAY), "https://ca.example/incident", 3600)
    for _ in range(3):
        clock.advance(3601)
        found = await schedule(planner, INSTALLED)
        assert found is not None
        assert found.renew_at < clock.now()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "certificate web: the CA suggests an earlier renewal" in record.getMessage()
    assert "https://ca.example/incident" in record.getMessage()


@pytest.mark.parametrize("days", [-1, 30], ids=["due already", "not due yet"])
async def test_revoked_certificate_is_due_from_that_moment(planner: RenewalPlanner, state: State, days: int) -> None:
    await state.schedules.record_schedule(replace(plan(INSTALLED, None, NOW, lambda: 0.5), renew_at=NOW + days * DAY))
    await replace_soon(planner, INSTALLED)
    found = await schedule(planner, INSTALLED)
    assert found is not None
    assert (found.rule, found.renew_at, found.ask_at) == (Rule.REVOKED, NOW, None)


async def test_second_revocation_does_not_move_the_time(
    planner: RenewalPlanner, state: State, clock: FakeClock
) -> None:
    await replace_soon(planner, INSTALLED)
    first = await state.schedules.read_schedule("web")
    clock.advance(3600)
    await replace_soon(planner, INSTALLED)
    assert await state.schedules.read_schedule("web") == first


async def test_revoked_certificate_without_a_schedule_gets_one_with_its_ca(
    planner: RenewalPlanner, state: State, infos: FakeInfos
) -> None:
    await replace_soon(planner, INSTALLED)
    found = await state.schedules.read_schedule("web")
    assert found is not None
    assert (found.rule, found.renew_at, found.directory_url) == (Rule.REVOKED, NOW, CA)
    assert infos.asked == []
