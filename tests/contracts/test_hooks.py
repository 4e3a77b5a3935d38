"""Contract of `ports.Hooks`, for real commands and the fake."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.fakes import run_tasks_until
from tests.fakes_around import FakeHooks
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.hooks import CommandHooks
from wellkeeper_issuer.ports.people import Hooks
from wellkeeper_issuer.records import Event, Occasion
from wellkeeper_node.model import Identifier, IdentifierType

EVENTS: Final = list(Event)
ABOUT: Final = Occasion(("web",), (Identifier(IdentifierType.DNS, "www.example.org"),), "/certs/live/web", "refused")
MAIL: Final = Occasion(("mail",))
WORDS: Final = "the balancer is away"


class Case(Protocol):
    """One implementation with its controls and records."""

    def hooks(self, *events: Event) -> Hooks:
        """Return the implementation with a hook for each of these events."""
        ...

    def fail(self, *events: Event) -> None:
        """Make these hooks print WORDS and fail from now on; the others succeed."""
        ...

    def hang(self, *events: Event) -> None:
        """Make these hooks hang from now on."""
        ...

    def ran(self) -> Sequence[tuple[str, str, str]]:
        """Return event, lineages and error of each hook that was started, in order."""
        ...


class FakeCase:
    def __init__(self) -> None:
        self._hooks = FakeHooks()
        self._hooks.words = WORDS

    def hooks(self, *events: Event) -> FakeHooks:
        self._hooks.events = set(events)
        return self._hooks

    def fail(self, *events: Event) -> None:
        self._hooks.failing = set(events)

    def hang(self, *events: Event) -> None:
        self._hooks.hanging = set(events)

    def ran(self) -> list[tuple[str, str, str]]:
        return [(event.value, " ".join(about.lineages), about.error) for event, about in self._hooks.ran]


@dataclass
class CommandCase:
    """Commands that append a line to `ran`; files named after the event make them fail or hang."""

    folder: Path

    def hooks(self, *events: Event) -> CommandHooks:
        script = (
            'cd "$1" && echo "$WELLKEEPER_EVENT|$WELLKEEPER_CERTIFICATE|$WELLKEEPER_ERROR" >> ran;'
            ' if [ -e "hang-$WELLKEEPER_EVENT" ]; then exec sleep 600; fi;'
            f' if [ -e "fail-$WELLKEEPER_EVENT" ]; then echo "{WORDS}"; exit 3; fi'
        )
        argv = ["sh", "-c", script, "hook", str(self.folder)]
        return CommandHooks(dict.fromkeys(events, argv), 600, {"PATH": os.environ["PATH"]})

    def fail(self, *events: Event) -> None:
        self._mark("fail", events)

    def hang(self, *events: Event) -> None:
        self._mark("hang", events)

    def ran(self) -> list[tuple[str, str, str]]:
        path = self.folder / "ran"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(event, lineages, error) for event, lineages, error in (line.split("|") for line in lines)]

    def _mark(self, what: str, events: Sequence[Event]) -> None:
        for path in self.folder.glob(f"{what}-*"):
            path.unlink()
        for event in events:
            (self.folder / f"{what}-{event}").touch()


@pytest.fixture(params=["fake", "commands"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return FakeCase() if request.param == "fake" else CommandCase(tmp_path)


async def test_only_events_in_the_settings_have_a_hook(case: Case) -> None:
    hooks = case.hooks(Event.PRE, Event.FAILED)
    assert [event for event in EVENTS if hooks.is_there(event)] == [Event.PRE, Event.FAILED]


@pytest.mark.parametrize("event", EVENTS)
async def test_event_without_a_hook_runs_nothing_even_when_other_hooks_fail(case: Case, event: Event) -> None:
    others = set(EVENTS) - {event}
    case.fail(*EVENTS)
    await case.hooks(*others).run(event, ABOUT)
    assert case.ran() == []


@pytest.mark.parametrize("event", EVENTS)
async def test_call_runs_the_hook_exactly_once(case: Case, event: Event) -> None:
    await case.hooks(event).run(event, ABOUT)
    assert case.ran() == [(event.value, "web", "refused")]


async def test_hooks_run_on_every_call_in_the_order_of_the_calls(case: Case) -> None:
    hooks = case.hooks(*EVENTS)
    for event, about in ((Event.PRE, ABOUT), (Event.DEPLOY, MAIL), (Event.DEPLOY, ABOUT), (Event.PRE, ABOUT)):
        await hooks.run(event, about)
    assert [found[:2] for found in case.ran()] == [
        ("pre", "web"), ("deploy", "mail"), ("deploy", "web"), ("pre", "web"),
    ]  # fmt: skip


async def test_hook_receives_all_lineages(case: Case) -> None:
    await case.hooks(Event.POST).run(Event.POST, Occasion(("web", "mail")))
    assert case.ran() == [("post", "web mail", "")]


@pytest.mark.parametrize("event", EVENTS)
async def test_failure_names_hook_and_certificate_and_quotes_the_output(case: Case, event: Event) -> None:
    hooks = case.hooks(*EVENTS)
    case.fail(event)
    with pytest.raises(HookError, match=rf"the hook '{event}' failed for web: .*{WORDS}"):
        await hooks.run(event, ABOUT)
    assert case.ran() == [(event.value, "web", "refused")]


async def test_failed_hook_runs_again_on_the_next_call(case: Case) -> None:
    hooks = case.hooks(Event.DEPLOY, Event.POST)
    case.fail(Event.DEPLOY)
    with pytest.raises(HookError):
        await hooks.run(Event.DEPLOY, ABOUT)
    await hooks.run(Event.POST, ABOUT)
    case.fail()
    await hooks.run(Event.DEPLOY, ABOUT)
    assert [event for event, *_ in case.ran()] == ["deploy", "post", "deploy"]
    assert hooks.is_there(Event.DEPLOY)


async def test_running_hook_can_be_cancelled_and_runs_again_on_the_next_call(case: Case) -> None:
    hooks = case.hooks(Event.PRE)
    case.hang(Event.PRE)
    task = asyncio.create_task(hooks.run(Event.PRE, ABOUT))
    await run_tasks_until(lambda: len(case.ran()) == 1)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    case.hang()
    await hooks.run(Event.PRE, MAIL)
    assert case.ran() == [("pre", "web", "refused"), ("pre", "mail", "")]


async def test_hanging_hook_does_not_delay_another_hook(case: Case) -> None:
    hooks = case.hooks(Event.PRE, Event.FAILED)
    case.hang(Event.PRE)
    task = asyncio.create_task(hooks.run(Event.PRE, ABOUT))
    await run_tasks_until(lambda: len(case.ran()) == 1)
    await hooks.run(Event.FAILED, MAIL)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
