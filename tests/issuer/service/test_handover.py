"""Handing a renewal over to the daemon without event loop and settings, over its real socket."""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_issuer.commands.terminal.progress import LineProgress
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.location import peek_state_dir
from wellkeeper_issuer.outside.daemon.socket import socket_path
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_issuer.service.handover import Handed, renew

HEAVY = ("asyncio", "pydantic", "ssl", "acme", "aiohttp", "cryptography", "idna", "rich")


async def handed_over(settings: Path, *names: str, mode: Mode = Mode.RETRY) -> tuple[Handed | None, str]:
    """Return what the daemon did, and the progress."""
    out = StringIO()
    return await asyncio.to_thread(renew, settings, names, mode, LineProgress(out)), out.getvalue()


@contextmanager
def answering(folder: Path, answer: bytes) -> Iterator[None]:
    """Answer the first request on the daemon's socket with these bytes, and close."""
    (folder / "state").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_path(folder / "state")))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as requests:
                requests.readline()
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


async def test_daemon_renews_and_reports(daemon: WorkerFactory) -> None:
    handed, progress = await handed_over(daemon.path, "b.example", mode=Mode.FORCED)
    assert handed is not None
    assert [(one.lineage, one.outcome) for one in handed.reports] == [("b.example", Outcome.SERVED)]
    assert not handed.is_reload_needed
    assert daemon.workers[0].modes == [Mode.FORCED]
    assert progress.partition(" ")[2] == "b.example: order      1.50 s  done\n"


@pytest.mark.parametrize("more", ["renewals_at_once = 3", "bogus = 1"], ids=["valid", "invalid"])
async def test_changed_settings_are_reported(daemon: WorkerFactory, more: str) -> None:
    daemon.write("a.example", "b.example", more=more)
    handed, _ = await handed_over(daemon.path)
    assert handed is not None
    assert handed.is_reload_needed


async def test_name_that_the_daemon_does_not_know_is_left_to_the_settings(daemon: WorkerFactory) -> None:
    assert (await handed_over(daemon.path, "new.example"))[0] is None
    assert daemon.workers[0].modes == []


async def test_without_a_daemon_there_is_nothing_to_hand_over_to(factory: WorkerFactory) -> None:
    assert (await handed_over(factory.path))[0] is None
    assert (await handed_over(factory.path.with_name("missing.toml")))[0] is None


@pytest.mark.parametrize(
    "text",
    [
        "state_dir = 5",
        "state_dir = 'relative'",
        "state_dir = [",
        f"x = {'[' * 20000}",
        "\udcff",
        f"state_dir = '/{'a' * 200}'",
    ],
    ids=["number", "relative", "syntax", "deeply nested", "encoding", "too long for a socket"],
)
async def test_settings_with_mistakes_are_left_to_the_whole_check(folder: Path, text: str) -> None:
    path = folder / "bad.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert (await handed_over(path))[0] is None


def test_default_state_directory_is_that_of_the_settings(folder: Path) -> None:
    path = folder / "empty.toml"
    path.write_text("")
    assert peek_state_dir(path) == Path("/var/lib/wellkeeper/issuer")


@pytest.mark.parametrize(
    "text",
    [
        'state_dir = "/s"\n[[certificates]]\nnames = ["a.example"]\n',
        'note = """\n[not a table\n"""\nstate_dir = "/s"\n',
        'cas = [\n  ["a"],\n]\nstate_dir = "/s"\n[nginx]\n',
        'state_dir = "/s"\n  [nginx]\nerror_log = 5',
    ],
    ids=["before a table", "after a string with a bracket", "after an array of arrays", "before an indented table"],
)
def test_state_directory_is_found_before_the_first_table(folder: Path, text: str) -> None:
    path = folder / "settings.toml"
    path.write_text(text)
    assert peek_state_dir(path) == Path("/s")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the daemon ended before it answered"),
        (b'{"certificate": "a", "event": "started", "stage": "order"}\n', "the daemon ended before it answered"),
        (b'{"result"', "the daemon ended before it answered"),
        (b"HTTP/1.1 400 Bad\n", "is not JSON"),
        (b'{"result": {"reports": [{"outcome": "new"}]}}\n', "cannot understand the daemon's answer"),
        (b'{"error": "no room", "why": "full", "remedy": "Wait."}\n', "no room: full. Wait."),
    ],
    ids=["nothing", "only an event", "cut short", "another protocol", "another version", "refusal"],
)
async def test_bad_answer_is_an_error(factory: WorkerFactory, folder: Path, answer: bytes, words: str) -> None:
    with answering(folder, answer), pytest.raises(DaemonError) as caught:
        await handed_over(factory.path)
    assert words in str(caught.value)


async def test_command_that_only_hands_over_loads_no_heavy_library(daemon: WorkerFactory) -> None:
    code = (
        "import sys; from wellkeeper_issuer.__main__ import main\n"
        f"try: main(['renew', 'b.example', '--config', {str(daemon.path)!r}])\n"
        f"except SystemExit: print([one for one in {HEAVY} if one in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert daemon.workers[0].modes == [Mode.RETRY]
    assert out.decode().splitlines()[-1] == "[]"


async def test_daemon_in_a_directory_that_others_may_write_is_not_asked(daemon: WorkerFactory) -> None:
    place = peek_state_dir(daemon.path)
    assert place is not None
    place.chmod(0o777)
    assert await handed_over(daemon.path, "b.example") == (None, "")
    place.chmod(0o700)
    assert daemon.workers[0].modes == []
