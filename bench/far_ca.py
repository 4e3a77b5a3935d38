"""Measurement: one renewal at a CA whose replies take 100 ms, beside certbot: its time and its requests."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.certbot import running_certbot
from bench.figures import Plan, Result, Tell, at_most, find, ratio_at_most
from bench.renewals import DISK, HOW_SERVED, SERVED, Renewal, Subject, of_certbot, of_issuer, renewed, to_series
from stand.host import Host, running_host

NAME: Final = "far-ca"
_OURS: Final = "ours.far.test"
_ONE_WAY_SECONDS: Final = 0.05
_CA: Final[dict[str, Any]] = {"nonces_rejected_percent": 0, "retry_after_seconds": 0}
_WARM_UPS: Final = 4
# Pebble logs each request like this.
_REQUEST: Final = " -> calling handler()"
_NONCE: Final = f" /nonce-plz{_REQUEST}"
_REQUESTS: Final = "requests to the CA, 100 ms away"
_NONCES: Final = "nonce fetches at the CA, 100 ms away"
_CONNECTIONS: Final = "TLS connections to the CA, 100 ms away"
_HOW: Final = (
    "As above, but a TCP proxy between the command and Pebble delays everything by 50 ms in each direction, and each "
    "new connection by another 100 ms. Pebble's own requests are not delayed. Requests are counted in Pebble's log."
)


@dataclass(frozen=True, slots=True)
class _Found:
    renewal: Renewal
    requests: int
    nonces: int
    connections: int


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure both in each round, over the same proxy."""
    found: dict[str, list[_Found]] = defaultdict(list)
    async with (
        running_host(folder, {_OURS: (_OURS,)}, one_way_seconds=_ONE_WAY_SECONDS, **_CA) as host,
        running_certbot(folder / "certbot", host, "certbot.far.test") as certbot,
    ):
        tell(f"far-ca: {_WARM_UPS} renewals, which are not counted")
        ours = of_issuer("wellkeeper", host, _OURS)
        for _ in range(_WARM_UPS):
            await renewed(ours)
        subjects = [ours, await of_certbot(certbot)]
        for number in range(plan.rounds):
            tell(f"far-ca: round {number + 1} of {plan.rounds}")
            for subject in subjects:
                found[subject.name].append(await _counted(subject, host))
    return _result(found)


async def _counted(subject: Subject, host: Host) -> _Found:
    before = _counts(host)
    renewal = await renewed(subject)
    return _Found(renewal, *(now - then for now, then in zip(_counts(host), before, strict=True)))


def _counts(host: Host) -> tuple[int, int, int]:
    """Return the numbers of requests, of nonce fetches among them, and of connections since the start."""
    log = host.ca.process.log.read_text()
    return log.count(_REQUEST), log.count(_NONCE), host.distant.connections if host.distant else 0


def _result(found: dict[str, list[_Found]]) -> Result:
    served, disk = f"{SERVED}, CA 100 ms away", f"{DISK}, CA 100 ms away"
    series = [
        *to_series(served, "s", {name: [one.renewal.served for one in values] for name, values in found.items()}),
        *to_series(disk, "s", {name: [one.renewal.on_disk for one in values] for name, values in found.items()}),
        *to_series(_REQUESTS, "", {name: [one.requests for one in values] for name, values in found.items()}),
        *to_series(_NONCES, "", {name: [one.nonces for one in values] for name, values in found.items()}),
        *to_series(_CONNECTIONS, "", {name: [one.connections for one in values] for name, values in found.items()}),
    ]
    ours = find(series, served, "wellkeeper")
    limits = {served: 1.7, _REQUESTS: 10, _NONCES: 1, _CONNECTIONS: 1}
    goals = [
        *(at_most(find(series, group, "wellkeeper"), limit) for group, limit in limits.items()),
        ratio_at_most(ours, find(series, served, "certbot"), 0.5),
    ]
    return Result(NAME, "Time to certificate with a distant CA", tuple(series), tuple(goals), (_HOW, HOW_SERVED))
