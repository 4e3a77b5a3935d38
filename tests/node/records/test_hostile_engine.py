"""An engine that sends anything: it is unavailable, and neither takes memory nor keeps honest records away."""

import asyncio
import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from stand.processes import PROJECT
from tests.engines import records_at
from tests.fakes import FakeClock
from tests.played_engine import Replies, array, bulk, played_engine
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import ConflictError, RecordsError, UnavailableError
from wellkeeper_node.records.engine_connection import MOST_BYTES
from wellkeeper_node.records.engine_values import pack

VALUE: Final = b"x" * 700
HONEST: Final = pack(Stored("bundle/www", VALUE))
MEBIBYTE: Final = 1024 * 1024

ODD_REPLIES: Final = {
    "a value without an end": b"$1000000000\r\n" + b"x" * 2 * MOST_BYTES,
    "a line without an end": b"+" + b"x" * 2 * MOST_BYTES,
    "an array without an end": b"*1000000000\r\n" + b":1\r\n" * MEBIBYTE * 3,
    "another type": b"%1\r\n+a\r\n+b\r\n",
    "not RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length that is not a number": b"$x\r\n",
    "the end": b"$5\r\nab",
}


@pytest.mark.parametrize("reply", ODD_REPLIES.values(), ids=ODD_REPLIES)
async def test_odd_reply_makes_it_unavailable(reply: bytes, tmp_path: Path, clock: FakeClock) -> None:
    async with played_engine(tmp_path / "e", lambda _: reply) as address:
        records = records_at(address, clock, call_seconds=1)
        tracemalloc.start()
        try:
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(records.get("bundle/www"), 60)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await records.close()
    assert most - len(reply) < 5 * MOST_BYTES


# In a process of its own: after a RecursionError, coverage measures nothing more.
DEEP_ARRAY: Final = """
import asyncio, sys
from pathlib import Path
from tests.engines import records_at
from tests.fakes import FakeClock
from tests.played_engine import played_engine
async def ask():
    async with played_engine(Path(sys.argv[1]), lambda _: b"*1\\r\\n" * 100_000) as address:
        records = records_at(address, FakeClock())
        try:
            await records.get("bundle/www")
        except Exception as error:
            print(type(error).__name__)
        await records.close()
asyncio.run(ask())
"""


def test_deep_array_makes_it_unavailable(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", DEEP_ARRAY, str(tmp_path / "e")]
    result = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("UnavailableError\n", "")


class Engine:
    """An honest engine, but for what is overridden: `replies` are those of commands by name."""

    def __init__(self, **replies: Replies) -> None:
        self._replies = replies

    def __call__(self, command: Sequence[bytes]) -> bytes:
        name = command[0].decode().lower().replace("-", "_")
        if name in self._replies:
            return self._replies[name](command)
        match name:
            case "subscribe":
                return b"".join(array(bulk(b"subscribe"), bulk(one), b":1\r\n") for one in command[1:])
            case "ping":
                return array(bulk(b"pong"), bulk(b""))
            case "sscan":
                return array(bulk(b"0"), array(bulk(b"www") if command[1].endswith(b"bundle/") else bulk(b"web1")))
            case _:
                return bulk(HONEST if command[1].endswith(b"bundle/www") else b"")


async def snapshot(replies: Replies, folder: Path, clock: FakeClock, *kinds: Kind) -> list[str]:
    """Return the keys of a snapshot."""
    keys: list[str] = []
    async with played_engine(folder / "e", replies) as address:
        records = records_at(address, clock)
        try:
            async with aclosing(records.follow(*kinds)) as updates:
                async for update in updates:
                    keys += [one.key for one in update.records]
                    if update.is_whole:
                        break
        finally:
            await records.close()
    return keys


async def test_junk_is_left_out_and_honest_records_arrive(tmp_path: Path, clock: FakeClock) -> None:
    junk = [b"", b"..", b"a/b", b"\xff\xfe", b"x" * 600, b"not-there", b"www"]

    def names(command: Sequence[bytes]) -> bytes:
        return array(bulk(b"7" if command[2] == b"0" else b"0"), array(*map(bulk, junk)))

    def values(command: Sequence[bytes]) -> bytes:
        if command[1].endswith(b"not-there"):
            return b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
        return bulk(HONEST)

    assert await snapshot(Engine(sscan=names, getrange=values), tmp_path, clock, Kind.BUNDLE) == ["bundle/www"] * 2


@pytest.mark.parametrize(
    ("replies", "name", "why"),
    [
        (
            {"getrange": lambda _: bulk(HONEST.replace(b" =\n", b" y\n", 1))},
            "bundle/www",
            "it is not a record, or its form is unknown",
        ),
        (
            {"sscan": lambda _: array(bulk(b"0"), array(bulk(b"..")))},
            "bundle/",
            "it contains a name that is not a record's",
        ),
    ],
)
async def test_warning_says_what_was_ignored_and_what_to_do(
    replies: dict[str, Replies], name: str, why: str, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert await snapshot(Engine(**replies), tmp_path, clock, Kind.BUNDLE) == []
    (found,) = caplog.messages
    assert f"has other entries among the records: {name}: {why}. They are ignored." in found
    assert f"upgrade this host. Otherwise change the engine's passwords, then delete {{wk}}:{name} and" in found


@pytest.mark.parametrize("kind", [Kind.WRAP, Kind.REPORT, Kind.NODE])
async def test_value_that_is_no_record_counts_as_absent(kind: Kind, tmp_path: Path, clock: FakeClock) -> None:
    for number, value in enumerate(
        (b"junk", b"junk\n", b"a b\nc", HONEST + b"x", HONEST[1:], HONEST + b"x" * MEBIBYTE)
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert await snapshot(Engine(getrange=lambda _, value=value: bulk(value)), folder, clock, kind) == []  # type: ignore[misc]


@pytest.mark.parametrize(
    "scanned", [bulk(b"0"), array(bulk(b"0")), array(bulk(b"0"), bulk(b"a")), array(bulk(b"0"), array(b":1\r\n"))]
)
async def test_directory_that_is_none_makes_it_unavailable(scanned: bytes, tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(UnavailableError, match="unexpected reply"):
        await snapshot(Engine(sscan=lambda _: scanned), tmp_path, clock, Kind.BUNDLE)


@pytest.mark.parametrize(
    ("reply", "why"),
    [(b"-WRONGTYPE Operation\r\n", "Another program uses these keys"), (b":1\r\n", "unexpected reply")],
)
@pytest.mark.parametrize("honest", [0, 1])
async def test_epoch_that_is_none_makes_it_unavailable(
    reply: bytes, why: str, honest: int, tmp_path: Path, clock: FakeClock
) -> None:
    asked = itertools.count()

    def values(command: Sequence[bytes]) -> bytes:
        if command[1].endswith(b"epoch"):
            return bulk(b"first") if next(asked) < honest else reply
        return bulk(HONEST)

    with pytest.raises(UnavailableError, match=why):
        await snapshot(Engine(getrange=values), tmp_path, clock, Kind.BUNDLE)


async def test_directory_without_an_end_makes_it_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(UnavailableError, match="a directory has no end"):
        await snapshot(Engine(sscan=lambda _: array(bulk(b"7"), array())), tmp_path, clock, Kind.BUNDLE)


async def test_other_reply_to_a_script_makes_it_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    async with played_engine(tmp_path / "e", lambda _: b":1\r\n") as address:
        records = records_at(address, clock)
        with pytest.raises(UnavailableError, match="unexpected reply 1"):
            await records.put("bundle/www", VALUE)
        await records.close()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"*-1\r\n", ConflictError),
        (b"-EXECABORT Transaction discarded because of: OOM\r\n", UnavailableError),
        (array(b"+OK\r\n", b":1\r\n"), None),
    ],
)
async def test_report_is_refused_if_another_one_came_meanwhile(
    reply: bytes, error: type[RecordsError] | None, tmp_path: Path, clock: FakeClock
) -> None:
    engine = Engine(exec=lambda _: reply, watch=lambda _: b"+OK\r\n", multi=lambda _: b"+OK\r\n")
    async with played_engine(tmp_path / "e", engine) as address:
        records = records_at(address, clock)
        if error is None:
            await records.put("report/web1", VALUE)
        else:
            with pytest.raises(error):
                await records.put("report/web1", VALUE)
        await records.close()


async def test_follower_notices_that_only_its_news_ended(tmp_path: Path, clock: FakeClock) -> None:
    async with played_engine(tmp_path / "e", Engine(ping=lambda _: b"")) as address:
        records = records_at(address, clock)
        async with aclosing(records.follow(Kind.BUNDLE)) as updates:
            await anext(updates)
            with pytest.raises(UnavailableError, match="did not answer"):
                await anext(updates)
        await records.close()


async def test_messages_that_name_no_wanted_key_are_ignored(tmp_path: Path, clock: FakeClock) -> None:
    odd = [b"", b"\xff", b"bundle/", b"wrap/web1/www", b"x" * 1000]
    messages = [array(bulk(b"message"), bulk(b"c"), bulk(one)) for one in odd]

    def ping(_: Sequence[bytes]) -> bytes:
        last = array(bulk(b"message"), bulk(b"c"), bulk(b"bundle/gone"))
        return b"".join([array(bulk(b"pong"), bulk(b"")), bulk(b"junk"), array(b":1\r\n"), *messages, last])

    async with played_engine(tmp_path / "e", Engine(ping=ping)) as address:
        records = records_at(address, clock)
        async with aclosing(records.follow(Kind.BUNDLE)) as updates:
            await anext(updates)
            assert (await anext(updates)).removed == ("bundle/gone",)
        await records.close()


async def test_negative_length_after_a_pause_does_not_make_the_follower_read_the_same_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    first, second = b"*300000\r\n", b"$-22\r\n"  # which leads back before itself

    def subscribed(command: Sequence[bytes]) -> bytes:
        return Engine()(command) + first + second + b"$-7\r\n"

    async with played_engine(tmp_path / "e", Engine(subscribe=subscribed)) as address:
        records = records_at(address, clock)
        async with aclosing(records.follow(Kind.BUNDLE)) as updates:
            await anext(updates)
            with pytest.raises(UnavailableError, match="it sent the length -22"):
                await anext(updates)
        await records.close()
