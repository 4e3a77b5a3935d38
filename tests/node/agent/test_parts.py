"""The small parts of an agent: inbox, numbers of reports, manifests, pending work, hooks, the file for `status`."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import OTHER_FLEET_KEY, PAIR, TIME, A, message
from tests.fleet import manifest_of as made_manifest
from tests.node.agent.made import JTI
from tests.relay.messages import FLEET_KEYS, signed
from tests.unprivileged import as_unprivileged_user
from wellkeeper_client.record_state import Stored
from wellkeeper_node.agent.fitting import shortened
from wellkeeper_node.agent.hook import DeployHook
from wellkeeper_node.agent.inbox import Inbox
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.agent.numbers import ReportNumbers
from wellkeeper_node.agent.pending import Pending
from wellkeeper_node.agent.progress import LoggedProgress
from wellkeeper_node.agent.report import CertificateReport, CertificateState, PublicationReport, Report
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.bundles.kept import Kept, ManifestFile
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import FleetError
from wellkeeper_node.model import Flip, Installed, ReadBack

WEB = Installed("web", "v1", reading.read_certificate(PAIR.chain_pem))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def inbox(clock: FakeClock) -> Inbox:
    return Inbox("web2", FLEET_KEYS, clock)


def stored(key: str, number: int = 1, **changes: object) -> Stored:
    return Stored(key, signed(key, number, issued_at=TIME, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["node/web2", "wrap/web2/web", f"publication/{JTI}"])
def test_inbox_takes_what_is_new(inbox: Inbox, key: str) -> None:
    assert [inbox.take(stored(key, number)) is not None for number in (2, 1, 3)] == [True, False, True]


def test_inbox_takes_a_wrap_that_was_made_again_and_nothing_else(inbox: Inbox) -> None:
    for key, is_taken in (("wrap/web2/web", True), ("node/web2", False)):
        assert inbox.take(stored(key)) is not None
        assert (inbox.take(stored(key, seconds=601)) is not None) is is_taken


def test_inbox_forgets_publications_that_have_expired_for_long(inbox: Inbox, clock: FakeClock) -> None:
    assert inbox.take(stored("node/web2")) is not None
    for number in range(3):
        later = signed(f"publication/{number:022}", issued_at=int(clock.timestamp()))
        assert inbox.take(Stored(f"publication/{number:022}", later)) is not None
        clock.advance(2 * 3600)
    assert len(inbox) == 2


@pytest.mark.parametrize(
    ("one", "why"),
    [
        pytest.param(stored("node/web2", by=OTHER_FLEET_KEY), "is not trusted", id="forged"),
        pytest.param(stored("node/web3"), "it is for another node", id="foreign"),
        pytest.param(stored("wrap/web3/web"), "it is for another node", id="foreign wrap"),
        pytest.param(Stored("wrap/web2/b", stored("wrap/web2/a").value), "it is the record 'wrap/web2/a'", id="moved"),
        pytest.param(Stored("node/web2", b"junk"), "not a compact JWS", id="junk"),
    ],
)
def test_inbox_ignores_what_it_cannot_trust(
    inbox: Inbox, caplog: pytest.LogCaptureFixture, one: Stored, why: str
) -> None:
    assert [inbox.take(one) for _ in range(2)] == [None, None]
    assert caplog.text.count(why) == 1


def test_inbox_ignores_expired_publications_and_forgets_them(inbox: Inbox, clock: FakeClock) -> None:
    one = stored(f"publication/{JTI}")
    assert inbox.take(one) is not None
    clock.advance(6000)
    assert inbox.take(one) is None
    assert inbox.take(stored("node/web2")) is not None
    assert inbox.take(stored("node/web2", 2)) is not None


async def test_numbers_rise_across_restarts_and_changes_of_the_clock(folder: Path, clock: FakeClock) -> None:
    numbers = ReportNumbers(folder, clock)
    found = [await numbers.next(), await numbers.next()]
    assert found == [TIME * 1000, TIME * 1000 + 1]
    clock.step(-3600)
    found.append(await ReportNumbers(folder, clock).next())
    clock.step(7200)
    found.append(await ReportNumbers(folder, clock).next())
    assert found == sorted(set(found))
    assert found[-1] == (TIME + 3600) * 1000


@pytest.mark.parametrize("damage", [b"", b"\0\0\0", b"junk", b"-5", b"9" * 30, b"9" * 5000])
async def test_numbers_start_from_the_clock_when_their_file_is_damaged(
    folder: Path, clock: FakeClock, damage: bytes
) -> None:
    (folder / "report_number").write_bytes(damage)
    assert await ReportNumbers(folder, clock).next() == TIME * 1000


async def test_numbers_go_on_when_the_disk_is_full(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = ReportNumbers(folder / "missing", clock)
    assert await numbers.next() < await numbers.next()
    assert "cannot write" in caplog.text


async def test_manifest_that_cannot_be_written_is_taken_later(folder: Path) -> None:
    (folder / "manifest.lock").mkdir()
    manifests = Manifests(ManifestFile(folder / "manifest.jws", FLEET_KEYS), FakeClock(), lambda: None)
    await manifests.open()
    assert manifests.newer(0) is None
    assert await manifests.take(message(made_manifest()))
    assert not manifests.is_taken
    assert "manifest.lock" in (manifests.concern or "")
    (folder / "manifest.lock").rmdir()
    await manifests.retry()
    assert (manifests.is_taken, manifests.concern) == (True, None)
    assert manifests.manifest is not None


class SlowFile(ManifestFile):
    """A file whose first writer continues only after another one, or after a while."""

    def __init__(self, path: Path, first: bytes) -> None:
        super().__init__(path, FLEET_KEYS)
        self._first = first
        self._written, self._overtaken = threading.Event(), threading.Event()

    def take(self, message: bytes) -> Kept:
        if message != self._first:
            self._written.wait()
        kept = super().take(message)
        self._written.set()
        if message == self._first:
            self._overtaken.wait(0.2)
        self._overtaken.set()
        return kept


async def test_highest_manifest_stays_in_force_when_two_relays_send_different_ones(folder: Path) -> None:
    older, newer = (message(made_manifest(), number=number) for number in (1, 2))
    manifests = Manifests(SlowFile(folder / "manifest.jws", older), FakeClock(), lambda: None)
    await asyncio.gather(manifests.take(older), manifests.take(newer))
    assert manifests.manifest is not None
    assert manifests.manifest.number == 2


async def test_newer_manifest_is_offered_instead_of_none_an_older_one_or_junk(folder: Path) -> None:
    manifests = Manifests(ManifestFile(folder / "manifest.jws", FLEET_KEYS), FakeClock(), lambda: None)
    older, kept, newer = (message(made_manifest(), number=number) for number in (1, 2, 3))
    await manifests.take(kept)
    assert not await manifests.take(kept)
    assert not await manifests.take(older)
    offered = [manifests.newer(manifests.number_of(one)) for one in (b"", b"junk", older, kept, newer)]
    assert [one.value if one else None for one in offered] == [kept, kept, kept, None, None]


async def test_pending_keeps_what_to_go_back_to_and_the_hooks(folder: Path) -> None:
    pending = Pending(folder, has_hook=True)
    assert await pending.flip("web", "b") is None
    await pending.record_flip(Flip("web", "a", "a"))
    await pending.record_flip(Flip("web", "a", "b"))
    await pending.record_flip(Flip("web", "b", "c"))
    again = Pending(folder, has_hook=True)
    assert await again.flip("web", "c") == Flip("web", "a", "c")
    await again.record_reloaded(["web", "mail"])
    assert await again.flip("web", "c") is None
    assert await Pending(folder, has_hook=True).hooks() == ("web",)
    await again.record_hook("web")
    assert await Pending(folder, has_hook=True).hooks() == ()


async def test_pending_keeps_all_certificates_that_change_at_the_same_time(folder: Path) -> None:
    pending, names = Pending(folder, has_hook=True), [f"c{number}" for number in range(20)]
    await asyncio.gather(*(pending.record_flip(Flip(name, None, "b")) for name in names))
    again = Pending(folder, has_hook=True)
    assert [await again.flip(name, "b") for name in names] == [Flip(name, None, "b") for name in names]
    await asyncio.gather(*(pending.record_reloaded([name]) for name in names))
    assert set(await Pending(folder, has_hook=True).hooks()) == set(names)


async def test_damaged_file_of_pending_work_counts_as_none(folder: Path) -> None:
    (folder / "pending.json").write_text("[]")
    pending = Pending(folder, has_hook=False)
    assert await pending.hooks() == ()
    await pending.record_flip(Flip("web", None, "b"))
    await pending.record_reloaded(["web"])
    assert await pending.hooks() == ()


async def test_deploy_hook_gets_the_certificate_and_no_secrets(folder: Path) -> None:
    script = folder / "hook"
    script.write_text(f"#!/bin/sh\nenv >{folder}/env\necho done\n")
    script.chmod(0o755)
    await DeployHook((str(script),), {"PATH": "/usr/bin:/bin", "SECRET": "x"}).run(WEB, "/live/web")
    found = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
    assert found["WELLKEEPER_CERTIFICATE"] == "web"
    assert found["RENEWED_DOMAINS"] == found["WELLKEEPER_IDENTIFIERS"] == str(A)
    assert found["RENEWED_LINEAGE"] == found["WELLKEEPER_LIVE"] == "/live/web"
    assert "SECRET" not in found


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        pytest.param(("/bin/sh", "-c", "echo no; exit 3"), "'/bin/sh' exited with status 3: no", id="with output"),
        pytest.param(("/bin/sh", "-c", "exit 3"), "'/bin/sh' exited with status 3", id="silent"),
        pytest.param(("/does/not/exist",), "'/does/not/exist' does not exist", id="missing"),
    ],
)
async def test_deploy_hook_that_fails_is_an_error(argv: tuple[str, ...], why: str) -> None:
    with pytest.raises(FleetError) as caught:
        await DeployHook(argv, {}).run(WEB, "/live/web")
    assert (caught.value.what, caught.value.why) == ("the deploy hook for web failed", why)


async def test_status_file_has_the_last_report(folder: Path) -> None:
    status = StatusFile("web2", folder)
    assert await status.read() is None
    shown = Shown(Report("1.2.3", 5.0), {"10.0.0.1:8404": "Connection refused"})
    await status.write(shown)
    assert await status.read() == shown


async def test_status_file_that_cannot_be_used_is_an_error(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "status.json").mkdir()
    status = StatusFile("web2", folder)
    for _ in range(2):
        await status.write(Shown(Report("1.2.3", 5.0), {}))
    assert caplog.text.count("cannot write") == 1
    with pytest.raises(FleetError, match="cannot read"):
        await status.read()


async def test_status_file_of_root_needs_root(folder: Path) -> None:
    status = StatusFile("web2", folder)
    await status.write(Shown(Report("1.2.3", 5.0), {}))
    (folder / "status.json").chmod(0)
    with as_unprivileged_user(), pytest.raises(FleetError) as caught:
        await status.read()
    assert caught.value.lines[1:] == ("permission denied", "Run the command as root.")


def test_report_is_shortened_by_what_matters_least() -> None:
    good, bad = (ReadBack("web2", "http://a/", "127.0.0.1:80", 200, cause) for cause in (None, "no"))
    publications = {"a": PublicationReport(is_held=True, read_backs=(good, bad)), "b": PublicationReport(is_held=False)}
    certificates = {
        "served": CertificateReport(1, "ab" * 32, CertificateState.SERVED),
        "refused": CertificateReport(1, "ab" * 32, CertificateState.REFUSED),
    }
    found = list(shortened(Report("1.2.3", 5.0, publications=publications, certificates=certificates)))
    assert found[1].publications["a"].read_backs == (bad,)
    assert [list(one.certificates) for one in found] == [["served", "refused"]] * 2 + [["refused"], [], [], [], []]
    assert [len(one.publications) for one in found] == [2, 2, 2, 2, 1, 0, 0]
    assert [one.concern is None for one in found] == [True, True, True, False, False, False, False]
    assert [one.is_done("served", 1) for one in found] == [True, True, True, True, True, True, False]
    assert not any(one.is_done("served", 2) or one.is_done("refused", 1) for one in found)


def test_progress_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    progress = LoggedProgress()
    progress.started("web", "reload")
    progress.finished("web", "reload", 0.5, "new workers")
    progress.failed("web", "reload", 0.5, "no")
    progress.note("web", "a note")
    assert "web: reload done after 0.500 s: new workers" in caplog.text
    assert "web: a note" in caplog.text
