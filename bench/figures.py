"""The results of a measurement: series of rounds, and the goals to compare them with."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_SHOWN_DIGITS: Final = 3

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of the measurements; `scripts/bench --quick` uses the small one.

    For many certificates: the number of lineages with nothing due (also ten times as many), of certificates per round,
    of rounds, of certificates that a loop of certbot obtains per round, and the time that a daemon is watched.
    `node_count` is the number of nodes of the largest fleet.
    """

    rounds: int
    token_count: int
    wrk_seconds: int
    reload_count: int
    lineage_count: int
    bulk_count: int
    bulk_rounds: int
    loop_count: int
    idle_seconds: int
    node_count: int


FULL: Final = Plan(
    rounds=7,
    token_count=100_000,
    wrk_seconds=2,
    reload_count=50,
    lineage_count=1000,
    bulk_count=200,
    bulk_rounds=3,
    loop_count=4,
    idle_seconds=180,
    node_count=1000,
)
QUICK: Final = Plan(
    rounds=3,
    token_count=10_000,
    wrk_seconds=1,
    reload_count=5,
    lineage_count=200,
    bulk_count=40,
    bulk_rounds=1,
    loop_count=1,
    idle_seconds=20,
    node_count=100,
)


@dataclass(frozen=True, slots=True)
class Series:
    """One value per round, in order; bars of the same `group` are drawn side by side."""

    group: str
    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def to_json(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.values),
            "highest": max(self.values),
            "rounds": list(self.values),
        }


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and the measured value; `text` is such as "≤ 0.25 × certbot"."""

    name: str
    text: str
    found: float
    is_met: bool

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "goal": self.text, "found": self.found, "is_met": self.is_met}


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement; `notes` are sentences about the method."""

    name: str
    title: str
    series: tuple[Series, ...]
    goals: tuple[Goal, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "series": [one.to_json() for one in self.series],
            "goals": [one.to_json() for one in self.goals],
            "notes": list(self.notes),
        }


def ratio(ours: Series, yardstick: Series) -> float:
    """Return the median of the rounds' ratios, since a slow round of the machine affects both."""
    return statistics.median(a / b for a, b in zip(ours.values, yardstick.values, strict=True))


def ratio_at_most(ours: Series, yardstick: Series, limit: float) -> Goal:
    found = ratio(ours, yardstick)
    return Goal(f"{ours.group}: {ours.name}", f"≤ {limit:g} × {yardstick.name}", found, found <= limit)


def ratio_at_least(ours: Series, yardstick: Series, limit: float) -> Goal:
    found = ratio(ours, yardstick)
    return Goal(f"{ours.group}: {ours.name}", f"≥ {limit:g} × {yardstick.name}", found, found >= limit)


def at_most(series: Series, limit: float) -> Goal:
    found = series.median
    return Goal(f"{series.group}: {series.name}", f"≤ {limit:g} {series.unit}".rstrip(), found, found <= limit)


def at_least(series: Series, limit: float) -> Goal:
    found = series.median
    return Goal(f"{series.group}: {series.name}", f"≥ {limit:g} {series.unit}".rstrip(), found, found >= limit)


def find(series: Sequence[Series], group: str, name: str) -> Series:
    return next(one for one in series if (one.group, one.name) == (group, name))


def shown(value: float) -> str:
    """Return three significant digits without an exponent; whole numbers are unchanged."""
    if value == int(value) or abs(value) >= 10 ** (_SHOWN_DIGITS - 1):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{_SHOWN_DIGITS}g}"
