"""The certificates that clients of each node get, in --json of status and in why."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.fleet import entry
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.joined import REFUSED, SERVED, VALID, Join, joining, said
from tests.issuer.commands.statuses import schedule
from tests.json_docs import assert_documented
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_node.certificates import reading


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def join(program: Program, now: datetime) -> Join:
    return joining(program, now)


def test_json_has_what_clients_of_each_node_get(program: Program, join: Join, now: datetime) -> None:
    join("web2", report=replace(said(REFUSED), checked_at=now.timestamp() - 59.9))
    (node,) = program.run("status", "--json", "--nodes").json()["nodes"]
    assert abs(datetime.fromisoformat(node["checked_at"]) - (now - timedelta(minutes=1))) < timedelta(milliseconds=1)
    assert node["served_not_after"] == "2023-11-16T02:00:00+00:00"
    mail, web = node["serves"]
    assert mail == {
        "node": "web2",
        "name": "mail",
        "is_right": True,
        "state": "served",
        "newest": 3,
        "what": "newest",
        "number": 3,
        "version": entry().version.archive_name,
        "serial": None,
        "fingerprint_sha256": "ab" * 32,
        "not_after": (now + VALID).isoformat(),
        "since": None,
        "checked_at": node["checked_at"],
        "cause": None,
        "remedy": None,
    }
    assert (web["is_right"], web["state"], web["what"], web["number"]) == (False, "refused", "older", 2)
    assert (web["serial"], web["not_after"]) == ("0a1b", "2023-11-16T02:00:00+00:00")
    assert (web["since"], web["cause"], web["remedy"]) == ("2023-11-14T22:13:20+00:00", "nginx: [emerg] no", "Fix it.")


def test_why_has_a_line_for_each_node_where_the_certificate_is_not_right(program: Program, join: Join) -> None:
    text = program.config.read_text()
    program.config.write_text(f"{text}\n[[certificates]]\nname = 'web'\nidentifiers = ['web.example.org']")
    join("web2", report=said(REFUSED))
    join("web3", report=said(SERVED))
    lines = program.run("why", "web").out.splitlines()
    (line,) = [one for one in lines if one.startswith("Node ")]
    gets = "since 2023-11-14 22:13 UTC, clients get version 2, serial 0a1b, which expired at 2023-11-16 02:00 UTC"
    assert line == f"Node web2: {gets}: nginx: [emerg] no. Fix it."
    found = program.run("why", "web", "--json").json()
    assert_documented("why", found)
    assert [(one["node"], one["is_right"]) for one in found["nodes"]] == [("web2", False), ("web3", True)]


def test_expiry_of_a_version_that_is_not_live_is_read_from_the_archive(
    program: Program, join: Join, now: datetime
) -> None:
    pair, version = FakeCa(now).pair(dns("web")), entry().version.archive_name
    folder = program.certificates_dir / "archive/web" / version
    folder.mkdir(parents=True)
    (folder / "fullchain.pem").write_bytes(pair.chain_pem)
    join("web2", report=said(SERVED))

    async def renew() -> None:
        async with open_state(program.state_dir / "state.db", may_write=True) as state:
            for name in ("web", "mail"):
                await state.schedules.record_schedule(replace(schedule("later"), lineage=name))

    asyncio.run(renew())
    finished = program.run("status", "--json", "--nodes")
    (node,) = finished.json()["nodes"]
    assert "cannot read" not in finished.err
    leaf = reading.read_certificate(pair.chain_pem)
    assert [one["not_after"] for one in node["serves"] if one["name"] == "web"] == [leaf.not_after.isoformat()]
