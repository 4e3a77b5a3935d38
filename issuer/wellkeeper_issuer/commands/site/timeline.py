"""The steps of a renewal, ordered to served, with what the history and the state hold about each: pure.

ordered → published → fetched by the CA → validated → issued → installed → reloaded → served
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.records import LOCAL_NODE, Failure
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Shown
from wellkeeper_node.happened import What
from wellkeeper_node.history import Entry
from wellkeeper_node.wording import format_time

# The CA fetches while the stage `validate` runs.
_FETCH: Final = "fetch"
_TITLES: Final[Mapping[str, str]] = {
    "order": "Ordered",
    "publish": "Published",
    _FETCH: "Fetched by the CA",
    "validate": "Validated",
    "finalize": "Issued",
    "install": "Installed",
    "reload": "Reloaded",
    "verify": "Served",
}
_STAGES: Final = tuple(_TITLES)
_OF_CA: Final = _STAGES[: _STAGES.index("reload")]
# What another client does with a certificate that it only delivers.
_ELSEWHERE: Final = frozenset({"order", "publish", _FETCH, "validate", "finalize"})
_STILL_VALID: Final = "not needed: the CA's authorizations were still valid"


@dataclass(frozen=True, slots=True)
class Step:
    """`level` is `good` when done, `bad` when failed, `now`, or `open`; `at` is None when unknown."""

    title: str
    level: str
    at: datetime | None = None
    detail: str = ""


def of_attempt(stage: str, failure: Failure | None, *, is_external: bool = False) -> list[Step]:
    """Return the steps of a renewal in progress, or of one that failed; none for a stage that is not one of these."""
    if stage not in _TITLES:
        return []
    place = _STAGES.index(stage)
    left_out = _ELSEWHERE if is_external else frozenset({_FETCH} if stage == "validate" else ())
    done = [Step(_TITLES[one], "good") for one in _STAGES[:place] if one not in left_out]
    at, words = (failure.last_at, failure.message) if failure else (None, "in progress")
    present = Step(_TITLES[stage], "bad" if failure else "now", at, words)
    return [*done, present, *(Step(_TITLES[one], "open") for one in _STAGES[place + 1 :])]


def of_version(shown: Shown, entries: Sequence[Entry]) -> list[Step]:
    """Return the steps of the live version; none if there is none, or for a placeholder."""
    status = shown.status
    if status.version is None or status.state is State.PLACEHOLDER:
        return []
    issued = _last(entries, What.CERTIFICATE_ISSUED, status.version)
    if shown.lineage.is_external:
        begun = [Step(_TITLES["install"], "good", issued.at if issued else None, "delivered by another client")]
    elif issued:
        begun = list(_recorded(issued))
    else:
        begun = [Step(_TITLES["finalize"], "good", *_unrecorded(shown))]
    return [*begun, *_delivered(shown, entries)]


def _recorded(issued: Entry) -> Iterator[Step]:
    """Yield the steps up to the installation, with the times at which they ended: the event is written after it."""
    details, seconds = issued.details, _seconds(issued.details.get("seconds", ""))
    at = {stage: issued.at - timedelta(seconds=sum(_after(stage, seconds))) for stage in seconds}
    words = {
        "order": f"{details.get('ca', '')} ({details.get('reason', '')})",
        _FETCH: f"from {details['fetched_by']}" if details.get("fetched_by") else "no responder reported it",
        "validate": details.get("names", ""),
        "finalize": f"serial {details.get('serial', '')}",
        "install": f"version {details.get('version', '')}",
    }
    for stage in _OF_CA:
        if stage in {"publish", _FETCH, "validate"} and "finalize" in seconds and "validate" not in seconds:
            yield Step(_TITLES[stage], "open", None, _STILL_VALID)
        elif stage == _FETCH:
            yield Step(_TITLES[stage], "good" if details.get("fetched_by") else "open", None, words[stage])
        else:
            yield Step(_TITLES[stage], "good", at.get(stage), words.get(stage, ""))


def _seconds(text: str) -> dict[str, float]:
    """Return what `upkeep.events` wrote: `order 0.3, publish 0.1`."""
    found = {}
    for part in text.split(", "):
        stage, _, number = part.partition(" ")
        if stage in _TITLES and number.replace(".", "", 1).isdecimal():
            found[stage] = float(number)
    return found


def _after(stage: str, seconds: Mapping[str, float]) -> Iterator[float]:
    for one in _STAGES[_STAGES.index(stage) + 1 :]:
        yield seconds.get(one, 0.0)


def _unrecorded(shown: Shown) -> tuple[datetime | None, str]:
    dated = shown.certificate or shown.status.schedule
    return (dated.not_before if dated else None), "the history does not have its order"


def _delivered(shown: Shown, entries: Sequence[Entry]) -> Iterator[Step]:
    status, version = shown.status, shown.status.version or ""
    delivered = _last(entries, What.CERTIFICATE_DELIVERED, version)
    at = delivered.at if delivered else None
    if status.state is State.NOT_RELOADED:
        yield Step(_TITLES["reload"], "now", None, status.state.words)
        yield Step(_TITLES["verify"], "open")
        return
    yield Step(_TITLES["reload"], "good", at)
    check = shown.check
    looked = f"last verified at {format_time(check.at)}" if check else ""
    if status.state in {State.SERVED, State.EXPIRED}:
        yield Step(_TITLES["verify"], "good", at, looked)
    elif status.state is State.HIDDEN:
        yield Step(_TITLES["verify"], "open", None, "no handshake can show it")
    else:
        yield Step(
            _TITLES["verify"],
            "bad" if status.state in {State.NOT_SERVED, State.REFUSED} else "open",
            None,
            status.state.words,
        )


def _last(entries: Sequence[Entry], what: What, version: str) -> Entry | None:
    """Return the newest event of this kind about the version here."""
    for one in reversed(entries):
        is_here = one.details.get("node", LOCAL_NODE) == LOCAL_NODE
        if one.what == what and one.details.get("version") == version and is_here:
            return one
    return None
