"""A restored issuer waits for the newest manifest of its nodes, and renews what was renewed after the backup once."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.played import Played, running
from tests.issuer.fleet.restores import MINUTES, Restoring, until_missing
from tests.relay.messages import FLEET_KEY
from wellkeeper_client import records
from wellkeeper_client.heartbeats import SILENT_SECONDS, Heartbeat, IssuerId
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.ports.fleet import Lost, Restore
from wellkeeper_issuer.records import Rule
from wellkeeper_node.certificates import reading
from wellkeeper_node.clock import SystemClock


async def test_nothing_is_sent_before_all_nodes_have_reported_and_the_relay_has_their_manifest(
    restoring: Restoring,
) -> None:
    fleet, (web2, web3) = await restoring.open(), restoring.nodes
    assert restoring.manifest is not None
    lacks = f"this host lacks its manifest {restoring.manifest.number}"
    async with running(fleet):
        await until_missing(fleet, "web2", "web3")
        await restoring.report(web2)
        await run_tasks_until(
            lambda: fleet.restored.waiting.missing == {"web2": lacks, "web3": "it has never reported"}
        )
        await restoring.report(web3)
        await run_tasks_until(lambda: fleet.restored.waiting.missing == {"web2": lacks, "web3": lacks})
        assert await restoring.relay.keys(Kind.NODE) == ["node/web2", "node/web3"]
        assert await restoring.relay.keys(Kind.HEARTBEAT) == ["heartbeat/issuer"]
        assert await restoring.relay.keys(Kind.MANIFEST) == await restoring.relay.keys(Kind.BUNDLE) == []
        await restoring.offer()
        await run_tasks_until(lambda: not fleet.restored.is_waiting)


async def caught_up(restoring: Restoring, fleet: Fleet) -> None:
    """Let the fleet catch up and send what it then does."""
    await restoring.offer()
    await restoring.report(*restoring.nodes)
    async with running(fleet):
        await run_tasks_until(lambda: fleet.feed.has("manifest/fleet") and fleet.feeds[0].filled.is_set())


async def test_issuer_that_another_one_replaced_continues_like_a_restored_one(restoring: Restoring) -> None:
    restoring.file.remove()
    fleet = await restoring.open()
    other = Heartbeat(IssuerId("b" * 22, "web9", 9), int(restoring.clock.now().timestamp()))
    assert restoring.manifest
    for node in restoring.nodes:
        beats = (records.sign(other.to_record(), FLEET_KEY),)
        await node.say(manifest=restoring.manifest.number, heartbeats=beats)
    async with running(fleet):
        await run_tasks_until(lambda: fleet.restored.is_waiting)
        await fleet.beat()
        with pytest.raises(DeferredError, match="several issuers feed this fleet"):
            fleet.others.permit()
        assert restoring.file.read() == Restore(restoring.clock.now())
        restoring.clock.advance(SILENT_SECONDS + 1)
        await restoring.offer()
        for node in restoring.nodes:
            await node.say(heartbeats=())
        await run_tasks_until(lambda: fleet.feed.has("manifest/fleet"))
    assert fleet.restored.lost == {"web": Lost(restoring.before, 2)}
    assert (await restoring.restored.listed())[0] == 2


async def test_nodes_keep_the_version_that_is_lost_here_and_it_is_due_once(restoring: Restoring) -> None:
    fleet = await restoring.open()
    await caught_up(restoring, fleet)
    assert restoring.manifest is not None
    number, name = await restoring.restored.listed()
    assert (number, name) == (2, restoring.manifest.lineages["web"].version.archive_name)
    assert (await restoring.restored.manifest()).lineages == restoring.manifest.lineages
    assert await restoring.relay.keys(Kind.BUNDLE) == []
    assert restoring.schedules.schedules["web"].rule is Rule.RESTORED
    assert restoring.schedules.schedules["web"].renew_at == restoring.clock.now()
    assert restoring.file.read() == Restore(restoring.clock.now(), {"web": Lost(restoring.before, 2)})
    await fleet.distribution.offer("web")  # nginx here was reloaded with the older one
    assert await restoring.restored.listed() == (number, name)

    version = await restoring.restored.install()
    await fleet.distribution.offer("web")
    assert await restoring.restored.listed() == (3, version)
    await fleet.beat()
    assert restoring.file.read() is None
    assert fleet.restored.lost == {}


async def test_leaf_that_was_revoked_after_the_backup_stays_unwanted(restoring: Restoring) -> None:
    disk = restoring.played.distribution.disk
    pair = await disk.archive.read("web", restoring.before)
    assert pair is not None
    leaf = reading.read_certificate(pair.chain_pem).fingerprint_sha256
    await restoring.played.certificates.never_restore("web", leaf)
    restoring.clock.advance(60)
    await restoring.played.distribution.refresh(["web"])
    restoring.newest, restoring.manifest = (
        await restoring.relay.get("manifest/fleet"),
        await restoring.played.manifest(),
    )
    assert restoring.manifest.disown == {"web": frozenset({leaf})}
    restoring.relay.restart()
    fleet = await restoring.open()
    await caught_up(restoring, fleet)
    assert (restoring.folder / f"certificates/archive/web/.revoked-{leaf}").exists()
    assert (await restoring.restored.manifest()).disown == {"web": frozenset({leaf})}


async def test_answer_of_a_ca_does_not_replace_the_time_for_good(restoring: Restoring) -> None:
    fleet = await restoring.open()
    before = restoring.schedules.schedules["web"]
    await caught_up(restoring, fleet)
    await restoring.schedules.record_schedule(before)
    again = await restoring.open()
    await again.beat()
    assert (await restoring.schedules.read_schedules())["web"].rule is Rule.RESTORED
    await restoring.schedules.record_schedule(replace(before, version="another"))
    await again.beat()
    assert (await restoring.schedules.read_schedules())["web"].rule is Rule.LIFETIME


async def test_certificate_that_is_not_sent_any_more_is_forgotten(restoring: Restoring) -> None:
    fleet = await restoring.open()
    await caught_up(restoring, fleet)
    fleet.serve([])
    await fleet.beat()
    assert restoring.file.read() is None


async def test_what_was_not_renewed_is_not_due(played: Played) -> None:
    restoring = Restoring(played, played.folder / "restored")
    await restoring.lose(renews=False)
    fleet = await restoring.open()
    await caught_up(restoring, fleet)
    assert restoring.schedules.schedules["web"].rule is Rule.LIFETIME
    assert await restoring.restored.listed() == (1, restoring.before)
    assert restoring.file.read() is None


async def test_version_that_the_backup_has_without_its_number_is_not_lost(restoring: Restoring) -> None:
    pair = await restoring.played.certificates.read_pair("web")
    assert restoring.manifest is not None
    fleet, name = await restoring.open(), restoring.manifest.lineages["web"].version.archive_name
    archive = restoring.folder / "certificates/archive/web"
    (restoring.played.folder / "certificates/archive/web" / name).rename(archive / name)
    await restoring.restored.certificates.switch("web", name)
    assert pair is not None
    await caught_up(restoring, fleet)
    assert await restoring.restored.listed() == (2, name)
    assert restoring.file.read() is None


async def test_wait_ends_after_the_limit_and_names_the_missing(
    restoring: Restoring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fleet, (web2, _) = await restoring.open(), restoring.nodes
    began = restoring.clock.now()
    await restoring.offer()
    await restoring.report(web2)
    async with running(fleet):
        await until_missing(fleet, "web3")
        await run_tasks_until(lambda: "missing: web3 (it has never reported)" in caplog.text)
        restoring.clock.step(MINUTES * 60 - 1)
        again = await restoring.open()
        assert again.restored.is_waiting
        assert again.restored.waiting.until == began + timedelta(minutes=MINUTES)
        restoring.clock.step(1)
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert "the wait after the restore is over without web3" in caplog.messages
    assert any("web was renewed after the backup: nodes keep version 2" in one for one in caplog.messages)


async def test_node_that_is_removed_is_not_waited_for(restoring: Restoring) -> None:
    fleet, (web2, _) = await restoring.open(), restoring.nodes
    await restoring.offer()
    await restoring.report(web2)
    async with running(fleet):
        await until_missing(fleet, "web3")
        await restoring.records.forget_node("web3")
        await run_tasks_until(lambda: not fleet.restored.is_waiting)


async def test_another_worker_may_end_the_wait(restoring: Restoring) -> None:
    fleet = await restoring.open()
    async with running(fleet):
        await until_missing(fleet, "web2", "web3")
        restoring.file.remove()
        await run_tasks_until(fleet.restored.is_over.is_set)
        await run_tasks_until(lambda: fleet.feed.has("manifest/fleet"))


async def test_nothing_is_ordered_or_sent_meanwhile(restoring: Restoring) -> None:
    fleet = await restoring.open()
    with pytest.raises(DeferredError) as error:
        fleet.restored.check(restoring.clock.now())
    until = restoring.clock.now() + timedelta(minutes=MINUTES)
    assert error.value.why == (
        f"after the restore, the issuer waits for the newest manifest of its nodes, until {until:%Y-%m-%d %H:%M:%S} UTC"
        " at the latest"
    )
    assert "set restore_wait_minutes = 0 under [fleet]" in error.value.remedy
    await fleet.refresh()
    await fleet.settle()
    await fleet.distribution.offer("web")
    assert not fleet.feed.has("manifest/fleet")
    async with running(fleet):
        await restoring.offer()
        await restoring.report(*restoring.nodes)
        await fleet.restored.until_over(SystemClock(), 300)
    fleet.restored.check(restoring.clock.now())


async def test_forged_or_older_manifest_changes_nothing(restoring: Restoring, caplog: pytest.LogCaptureFixture) -> None:
    fleet = await restoring.open()
    await restoring.report(*restoring.nodes)
    assert restoring.newest is not None
    await restoring.relay.put("manifest/fleet", restoring.newest.value[:-8] + b"AAAAAAAA", expected=None)
    async with running(fleet):
        await run_tasks_until(lambda: "ignored a manifest in the relay" in caplog.text)
        await until_missing(fleet, "web2", "web3")
        older = (restoring.folder / "manifest.jws").read_bytes()
        known = await restoring.relay.get("manifest/fleet")
        assert known is not None
        version = await restoring.relay.put("manifest/fleet", older, expected=known.version)
        await run_tasks_until(lambda: not fleet.distribution.is_outdated)
        assert fleet.restored.is_waiting
        await restoring.relay.put("manifest/fleet", restoring.newest.value, expected=version)
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert fleet.restored.lost == {"web": Lost(restoring.before, 2)}


async def test_clock_that_was_ahead_does_not_end_the_wait(restoring: Restoring, clock: FakeClock) -> None:
    restoring.file.write(Restore(clock.now() + timedelta(days=1)))
    await restoring.open()
    assert restoring.file.read() == Restore(clock.now())


async def test_report_from_before_the_restore_does_not_count(restoring: Restoring) -> None:
    first = await restoring.open()
    first.reports.take(restoring.nodes[0].signed(7))
    await first.record_reports()
    restoring.file.write(Restore())
    restoring.clock.advance(60)
    fleet = await restoring.open()
    async with running(fleet):
        await until_missing(fleet, "web2", "web3")
        assert fleet.restored.waiting.missing["web2"].startswith("not seen since 2026-")


async def test_file_that_cannot_be_read_is_logged_and_read_again(
    restoring: Restoring, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await restoring.open()
    path = next(restoring.folder.glob(".restored.json"))
    path.unlink()
    path.mkdir()
    async with running(fleet):
        await run_tasks_until(lambda: str(path) in caplog.text)
        path.rmdir()
        await run_tasks_until(fleet.restored.is_over.is_set)


async def test_issuer_that_was_not_restored_does_not_wait(played: Played) -> None:
    restoring = Restoring(played, played.folder)
    fleet = await restoring.open()
    assert not fleet.restored.is_waiting
    fleet.restored.check(restoring.clock.now())
    await fleet.restored.until_over(restoring.clock, 1e6)


async def test_long_list_of_missing_nodes_is_cut(restoring: Restoring) -> None:
    fleet = await restoring.open()
    for number in range(4, 10):
        await restoring.records.record_node(
            replace((await restoring.records.read_nodes())["web2"], name=f"web{number}")
        )
    async with running(fleet):
        await run_tasks_until(lambda: len(fleet.restored.waiting.missing) == 8)
    assert str(fleet.restored.waiting).endswith("web6 (it has never reported) and 3 more")
