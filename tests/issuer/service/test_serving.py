"""Requests to a daemon, and its switch to new settings."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import run_tasks_until
from tests.issuer.commands.workers import REHEARSED_AT, WorkerFactory
from wellkeeper_issuer.errors import DaemonError, JournalError, SettingsError
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_issuer.service.report_wire import decode_rehearsal, decode_report

Events = list[Mapping[str, Any]]


def ignore(_message: Mapping[str, Any]) -> None: ...


async def test_worker_runs_until_the_service_ends(factory: WorkerFactory) -> None:
    async with factory.service():
        (worker,) = factory.workers
        await run_tasks_until(lambda: worker.is_running)
        assert worker.lineages == ["a.example", "b.example"]
    assert (worker.is_running, factory.open_count) == (False, 0)


async def test_renewal_reports_progress_and_result(factory: WorkerFactory) -> None:
    events: Events = []
    async with factory.service() as service:
        answer = await service.renew({"names": ["b.example"], "mode": "forced"}, events.append)
    assert factory.workers[0].modes == [Mode.FORCED]
    (report,) = map(decode_report, answer["reports"])
    assert (report.lineage, report.outcome) == ("b.example", Outcome.SERVED)
    assert events == [
        {"certificate": "b.example", "stage": "order", "event": "started"},
        {"certificate": "b.example", "stage": "order", "event": "finished", "seconds": 1.5, "detail": "done"},
    ]


async def test_without_names_all_due_certificates_are_renewed(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        answer = await service.renew({}, ignore)
    assert [one["lineage"] for one in answer["reports"]] == ["a.example", "b.example"]
    assert factory.workers[0].modes == [Mode.SCHEDULED]


async def test_clients_receive_events_of_their_certificates_and_shared_ones(factory: WorkerFactory) -> None:
    events: Events = []
    async with factory.service() as service:
        worker = factory.workers[0]
        worker.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, events.append))
        await worker.is_asked.wait()
        factory.broadcast.note("b.example", "about another certificate")
        factory.broadcast.note("2 certificates", "of several")
        factory.broadcast.failed("a.example", "order", 0.5, "no")
        worker.is_free.set()
        await asked
        factory.broadcast.note("a.example", "too late")
    assert [one.get("detail") for one in events] == [None, "of several", "no", "done"]


async def test_keys_are_taken_by_another_worker(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        assert await service.handlers["take keys"]({}, ignore) == {}
        assert (len(factory.workers), factory.open_count) == (2, 1)


async def test_keys_are_taken_once_all_requests_ended_and_later_ones_wait(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        first = factory.workers[0]
        first.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, ignore))
        await first.is_asked.wait()
        taking = asyncio.create_task(service.take_keys({}, ignore))
        await asyncio.sleep(0)
        later = asyncio.create_task(service.renew({"names": ["a.example"], "mode": "retry"}, ignore))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(factory.workers) == 1
        first.is_free.set()
        await asyncio.gather(asked, taking, later)
        assert (first.modes, factory.workers[1].modes) == ([Mode.SCHEDULED], [Mode.RETRY])


async def test_client_that_goes_away_while_keys_wait_holds_up_nothing(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        first = factory.workers[0]
        first.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, ignore))
        await first.is_asked.wait()
        taking = asyncio.create_task(service.take_keys({}, ignore))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait([taking])
        first.is_free.set()
        await asyncio.gather(asked, service.renew({}, ignore))
    assert len(factory.workers) == 1


async def test_rehearsal_reports_progress_and_results(factory: WorkerFactory) -> None:
    events: Events = []
    async with factory.service() as service:
        answer = await service.rehearse({"names": ["b.example"]}, events.append)
    assert [decode_rehearsal(one) for one in answer["rehearsals"]] == [
        Rehearsal("b.example", REHEARSED_AT, False, "by letsencrypt")
    ]
    assert [(event["certificate"], event["stage"], event["event"]) for event in events] == [
        ("b.example", "publish", "finished")
    ]


@pytest.mark.parametrize(("more", "every"), [("", None), ("[rehearsal]\nevery_days = 7", timedelta(days=7))])
async def test_automatic_rehearsals_follow_the_settings(
    factory: WorkerFactory, more: str, every: timedelta | None
) -> None:
    factory.write("a.example", more=more)
    lineages, found = factory.make().kept()
    assert (found, [one.name for one in lineages]) == (every, ["a.example"] if every else [])


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            {"names": ["c.example"]},
            r"the daemon does not know the certificate 'c\.example': it has read /.*/issuer\.toml without it\. Run",
        ),
        ({"names": "a.example"}, "names must be a list of strings, not 'a.example'"),
        ({"names": [5]}, r"names must be a list of strings, not \[5\]"),
        ({"without": "web2"}, "without must be a list of strings, not 'web2'"),
        ({"mode": "now"}, "mode must be one of scheduled, retry, forced, revoked, not 'now'"),
    ],
)
async def test_invalid_request_is_refused(factory: WorkerFactory, request_: dict[str, Any], words: str) -> None:
    async with factory.service() as service:
        with pytest.raises((SettingsError, DaemonError), match=words):
            await service.renew(request_, ignore)
    assert factory.workers[0].modes == []


async def test_failed_pass_is_answered_and_the_daemon_continues(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        worker = factory.workers[0]
        worker.failing = JournalError("disk full")
        with pytest.raises(JournalError, match="disk full"):
            await service.renew({}, ignore)
        await run_tasks_until(lambda: worker.is_running)


async def test_new_certificates_do_not_disturb_work_in_progress(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        worker = factory.workers[0]
        worker.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, ignore))
        await worker.is_asked.wait()
        factory.write("b.example", "c.example")
        answer = await service.reload({}, ignore)
        assert answer == {"path": str(factory.path), "count": 2, "new": ["c.example"], "gone": ["a.example"]}
        assert worker.lineages == ["b.example", "c.example"]
        assert not asked.done()
        worker.is_free.set()
        await asked
    assert len(factory.workers) == 1
    assert factory.reported == ["reloading", "manages 2 certificates"]


@pytest.mark.parametrize(
    "more",
    ["renewals_at_once = 3", "[nginx]\nreload = 'command'", "ca = 'google'", "[hooks]\npre = ['x']"],
)
async def test_other_changed_settings_make_a_new_worker(factory: WorkerFactory, more: str) -> None:
    async with factory.service() as service:
        factory.write("a.example", more=more)
        await service.reload({}, ignore)
        first, second = factory.workers
        await run_tasks_until(lambda: second.is_running)
        assert (first.is_running, factory.open_count, second.lineages) == (False, 1, ["a.example"])
        await service.renew({}, ignore)
        assert (first.modes, second.modes) == ([], [Mode.SCHEDULED])
    assert factory.open_count == 0


async def test_certificate_of_another_ca_makes_a_new_worker(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        factory.write("a.example")
        with factory.path.open("a") as file:
            file.write("\nca = 'google'\n")
        await service.reload({}, ignore)
    assert len(factory.workers) == 2


async def test_requested_work_ends_before_its_worker_is_replaced(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        first = factory.workers[0]
        first.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, ignore))
        await first.is_asked.wait()
        factory.write("a.example", more="renewals_at_once = 3")
        reloading = asyncio.create_task(service.reload({}, ignore))
        await run_tasks_until(lambda: len(factory.workers) == 2)
        later = asyncio.create_task(service.renew({"names": ["a.example"], "mode": "retry"}, ignore))
        await asyncio.sleep(0)
        assert first.is_running
        assert not reloading.done()
        first.is_free.set()
        await asyncio.gather(asked, reloading, later)
        assert (first.modes, factory.workers[1].modes) == ([Mode.SCHEDULED, Mode.RETRY], [])


async def test_bad_settings_keep_the_old_ones_with_the_reason(
    factory: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async with factory.service() as service:
        factory.write("a.example", more="bogus = 1")
        with pytest.raises(SettingsError, match=r"issuer\.toml:3: unknown key 'bogus'"):
            await service.reload({}, ignore)
        assert factory.workers[0].is_running
        assert [one["lineage"] for one in (await service.renew({}, ignore))["reports"]] == ["a.example", "b.example"]
    assert "new settings rejected, keeping the current ones: " in caplog.text
    assert "(fix it, then run 'wellkeeper reload')" in caplog.text
    assert "unknown key 'bogus'" in caplog.text


async def test_unusable_settings_keep_the_old_ones(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        factory.write("c.example", more="renewals_at_once = 3")
        factory.refusal = SettingsError("no such group")
        with pytest.raises(SettingsError, match="no such group"):
            await service.reload({}, ignore)
        assert [one.is_running for one in factory.workers] == [True]
        assert [one["lineage"] for one in (await service.renew({}, ignore))["reports"]] == ["a.example", "b.example"]
        factory.refusal = None
        await service.reload({}, ignore)
        assert [one["lineage"] for one in (await service.renew({}, ignore))["reports"]] == ["c.example"]


async def test_another_state_dir_needs_a_restart(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        factory.write("a.example", state_dir="elsewhere")
        with pytest.raises(
            SettingsError, match=r"cannot change state_dir to '.*/elsewhere' while the daemon runs: it uses .*/state\."
        ):
            await service.reload({}, ignore)


async def test_status_shows_renewals_in_progress(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        worker = factory.workers[0]
        worker.is_free.clear()
        asked = asyncio.create_task(service.renew({"names": ["a.example"]}, ignore))
        await worker.is_asked.wait()
        found = await service.status({}, ignore)
        assert (found["count"], found["under_way"]) == (2, {"a.example": "order"})
        worker.is_free.set()
        await asked
        assert (await service.status({}, ignore))["under_way"] == {}


async def test_status_has_the_result_of_the_daily_checks(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        factory.checked = {"checked_at": "2026-03-01T13:00:00+00:00", "findings": [{"check": "clock"}]}
        found = await service.status({}, ignore)
        assert {key: found[key] for key in factory.checked} == factory.checked


async def test_only_unconfigured_certificates_are_forgotten(factory: WorkerFactory) -> None:
    async with factory.service() as service:
        await service.forget({"names": ["c.example"]}, ignore)
        with pytest.raises(DaemonError, match=r"cannot forget a\.example: it is still in the settings\. Remove it"):
            await service.forget({"names": ["a.example"]}, ignore)
    assert factory.forgotten == ["c.example"]


async def test_certificate_in_progress_is_forgotten_afterwards(factory: WorkerFactory) -> None:
    events: Events = []
    async with factory.service() as service:
        async with factory.workers[0].slot("c.example"):
            factory.broadcast.started("c.example", "finalize")
            forgetting = asyncio.create_task(service.forget({"names": ["c.example"]}, events.append))
            await run_tasks_until(lambda: bool(events))
            await asyncio.sleep(0)
            assert (forgetting.done(), factory.forgotten) == (False, [])
        assert await forgetting == {"names": ["c.example"]}
    assert factory.forgotten == ["c.example"]
    assert [one["detail"] for one in events] == ["in progress, will be forgotten when done"]


async def test_unusable_first_settings_end_the_service(factory: WorkerFactory) -> None:
    factory.refusal = SettingsError("no keys")
    with pytest.raises(SettingsError, match="no keys"):
        await factory.make().run()
