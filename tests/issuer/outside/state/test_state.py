"""The state as a whole: version, owner, readers, and forgetting a lineage."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.issuer.outside.states import ATTEMPT, CA, NOW, execute, names, record_everything
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_node.model import Identifier

FLEET = ("fleet_nodes", "fleet_reports", "fleet_missing_tokens", "fleet_invites", "fleet_uses")
OUTBOX = ("outbox", "outbox_troubles")


def to_version_9(path: Path) -> None:
    """Undo what version 10 added."""
    for table in OUTBOX:
        execute(path, f"DROP TABLE {table}")


def to_version_8(path: Path) -> None:
    """Undo what version 9 added to the tables of the fleet; web2 has used the invite."""
    execute(path, "DROP TABLE fleet_uses")
    execute(path, "UPDATE fleet_invites SET node = 'web2'")
    for column in ("is_ephemeral", "invite"):
        execute(path, f"ALTER TABLE fleet_nodes DROP COLUMN {column}")
    for column in ("uses", "is_ephemeral", "revoked_at"):
        execute(path, f"ALTER TABLE fleet_invites DROP COLUMN {column}")
    for column in ("signing_key", "sealing_key"):
        execute(path, f"ALTER TABLE fleet_invites ADD COLUMN {column} TEXT NOT NULL DEFAULT 's'")


def to_version_7(path: Path) -> None:
    """Undo what version 8 added; a veto was about all nodes."""
    for table in ("publications", "vetoes"):
        execute(path, f"DROP TABLE {table}")
    execute(path, "CREATE TABLE vetoes (lineage TEXT PRIMARY KEY, asks_at REAL NOT NULL) STRICT")
    execute(path, f"INSERT INTO vetoes VALUES ('web', {NOW.timestamp()})")  # noqa: S608 - a number


@pytest.mark.parametrize("version", [-1, 1, 3, 11], ids=["unknown", "first", "older", "newer"])
@pytest.mark.parametrize("may_write", [True, False], ids=["owner", "reader"])
async def test_file_of_another_version_is_refused_unchanged(folder: Path, version: int, *, may_write: bool) -> None:
    path = folder / "state.db"
    execute(path, f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(JournalError) as refused:
        await open_state(path, may_write=may_write).__aenter__()
    assert refused.value.what == f"cannot use {path}"
    assert refused.value.why.startswith(f"it has schema version {version}, ")
    assert path.read_bytes() == before


async def test_file_without_tables_reads_as_empty_until_its_owner_creates_them(folder: Path) -> None:
    path = folder / "state.db"
    path.touch()
    async with open_state(path, may_write=False) as state:
        assert await state.schedules.read_schedules() == {}
    assert path.read_bytes() == b""
    async with open_state(path, may_write=True) as state:
        await record_everything(state, "web")
    assert execute(path, "PRAGMA user_version") == [(10,)]


@pytest.mark.parametrize("may_write", [True, False], ids=["owner", "reader"])
async def test_file_of_the_last_release_keeps_its_rows(folder: Path, *, may_write: bool) -> None:
    path = folder / "state.db"
    async with open_state(path, may_write=True) as state:
        await record_everything(state, "web")
        before, failure = await state.schedules.read_schedule("web"), await state.schedules.read_failure("web")
    assert before is not None
    assert failure is not None
    execute(path, "ALTER TABLE schedules DROP COLUMN held_until")
    for column in ("identifiers", "refused", "refused_since"):
        execute(path, f"ALTER TABLE failures DROP COLUMN {column}")
    for column in ("authorization_urls", "finalize_url"):
        execute(path, f"ALTER TABLE attempts DROP COLUMN {column}")
    for table in ("checks", "fetch_counts", *FLEET):
        execute(path, f"DROP TABLE {table}")
    to_version_9(path)
    to_version_7(path)
    execute(path, "PRAGMA user_version = 4")
    async with open_state(path, may_write=may_write) as state:
        assert await state.schedules.read_schedule("web") == replace(before, held_until=None)
        nothing: frozenset[Identifier] = frozenset()
        unknown = replace(failure, identifiers=nothing, refused=nothing, refused_since=None)
        assert await state.schedules.read_failure("web") == unknown
        assert await state.deliveries.installed() == {"web"}
        assert await state.deliveries.checks() == {}
        assert await state.attempts.read_attempt("web") is not None
    assert execute(path, "PRAGMA user_version") == [(10 if may_write else 4,)]


@pytest.mark.parametrize("may_write", [True, False], ids=["owner", "reader"])
@pytest.mark.parametrize("version", [5, 6, 7, 8, 9])
async def test_file_of_a_version_before_keeps_its_rows(folder: Path, version: int, *, may_write: bool) -> None:
    path = folder / "state.db"
    async with open_state(path, may_write=True) as state:
        await record_everything(state, "web")
        before = await state.read_lineage("web")
    to_version_9(path)
    if 7 <= version < 9:
        to_version_8(path)
    lacking = {5: ("fetch_counts", *FLEET), 6: FLEET}
    for table in lacking.get(version, ()):
        execute(path, f"DROP TABLE {table}")
    if version <= 7:
        to_version_7(path)
    execute(path, f"PRAGMA user_version = {version}")
    async with open_state(path, may_write=may_write) as state:
        assert await state.read_lineage("web") == before
        assert (await state.fetch_counts.read_fetch_count(CA) is None) == (version == 5)
        assert await state.outbox.read_backlogs() == {}
        nodes, invites = (await state.fleet.read_nodes()).values(), (await state.fleet.read_invites()).values()
        assert [(one.name, one.invite) for one in nodes] == {
            7: [("web2", "id")],
            8: [("web2", "id")],
            9: [("web2", "")],
        }.get(version, [])
        assert [(one.node, one.uses, *one.used_by) for one in invites] == {
            7: [("web2", 1, "s")],
            8: [("web2", 1, "s")],
            9: [("web3", 1)],
        }.get(version, [])
        assert await state.publications.read_unneeded() == []
        assert await state.vetoes.read_vetoes("web") == {"" if version <= 7 else "n1": NOW}
    assert execute(path, "PRAGMA user_version") == [(10 if may_write else version,)]


async def test_reader_of_a_missing_file_reads_nothing_and_creates_nothing(folder: Path) -> None:
    for path in (folder / "state.db", folder / "missing" / "state.db"):
        async with open_state(path, may_write=False) as state:
            assert await state.schedules.read_schedules() == {}
            assert await state.deliveries.installed() == frozenset()
    assert names(folder) == set()


async def test_reader_does_not_wait_for_a_long_write(folder: Path, state: State) -> None:
    path = folder / "state.db"
    await state.attempts.record_attempt(ATTEMPT)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM attempts")
        async with open_state(path, may_write=False) as reader:
            assert await reader.attempts.read_attempt("web") == ATTEMPT
        other.execute("COMMIT")
    async with open_state(path, may_write=False) as reader:
        assert await reader.attempts.read_attempt("web") is None


async def test_reader_cannot_write(folder: Path, state: State) -> None:
    await state.attempts.record_attempt(ATTEMPT)
    async with open_state(folder / "state.db", may_write=False) as reader:
        with pytest.raises(JournalError, match="attempt to write a readonly database"):
            await reader.attempts.forget_attempt("web")
    assert await state.attempts.read_attempt("web") == ATTEMPT


async def test_lineage_is_forgotten_completely_and_others_are_kept(folder: Path, state: State) -> None:
    path = folder / "state.db"
    for lineage in ("web", "mail"):
        await record_everything(state, lineage)
    tables = [name for (name,) in execute(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: [row[1] for row in execute(path, f"PRAGMA table_info({name})")] for name in tables}
    of_lineages = [name for name in tables if "lineage" in columns[name] and name != "publications"]
    assert set(tables) - set(of_lineages) == {"uses", "fetch_counts", "publications", *OUTBOX, *FLEET}
    for _ in range(2):
        await state.forget_lineage("web")
    for name in of_lineages:
        assert execute(path, f"SELECT DISTINCT lineage FROM {name}") == [("mail",)], name  # noqa: S608 - of this file
    assert len(execute(path, "SELECT directory_url FROM uses")) == 2
