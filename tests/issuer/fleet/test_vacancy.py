"""A lease counts as vacant only while the engine has said so at every look."""

from tests.fakes import FakeClock
from wellkeeper_issuer.fleet.vacancy import Vacancy


def seconds(vacancy: Vacancy, clock: FakeClock, *looks: tuple[float, bool]) -> list[float]:
    """Return what each look finds, so many seconds after the one before."""
    found = []
    for later, is_free in looks:
        clock.advance(later)
        found.append(vacancy.note(is_free=is_free))
    return found


def test_vacancy_lasts_from_the_first_look_that_found_it(clock: FakeClock) -> None:
    assert seconds(Vacancy(clock), clock, (5, False), (5, True), (5, True), (60, True)) == [0, 0, 5, 65]


def test_holder_ends_it(clock: FakeClock) -> None:
    assert seconds(Vacancy(clock), clock, (5, True), (5, True), (5, False), (5, True)) == [0, 5, 0, 0]


def test_gap_between_two_looks_proves_nothing(clock: FakeClock) -> None:
    assert seconds(Vacancy(clock), clock, (5, True), (61, True), (5, True)) == [0, 0, 5]


def test_look_that_failed_ends_it(clock: FakeClock) -> None:
    vacancy = Vacancy(clock)
    assert seconds(vacancy, clock, (5, True), (5, True)) == [0, 5]
    vacancy.end()
    assert seconds(vacancy, clock, (5, True), (5, True)) == [0, 5]
