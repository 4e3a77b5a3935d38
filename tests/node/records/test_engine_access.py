"""Access to an engine: TLS, users with few rights, addresses that are public."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from redis.exceptions import RedisError

from stand.certificates import ServerCertificate, make_server_certificate
from stand.key_value import KeyValueServer, Server, as_options, tls_lines
from stand.ports import free_port
from tests.engines import CALL_SECONDS, Follower, records_at, until
from tests.fakes import FakeClock
from tests.played_engine import array, bulk, played_engine
from wellkeeper_client.record_state import version_of
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import RecordRefusedError, UnavailableError
from wellkeeper_node.records.engine import EngineAddress, open_records, parse_engine
from wellkeeper_node.records.engine_connection import Access, EngineConnection
from wellkeeper_node.records.engine_errors import unavailable
from wellkeeper_node.records.valkey import ValkeyRecords, open_engine

# docs/design/0032-engine.md says the same.
USERS: Final = (
    "user default off\n"
    "user issuer on >geheim ~{wk}:* resetchannels &{wk}:* -@all +auth +select +ping +subscribe +publish +eval +evalsha"
    " +getrange +sscan +get +set +del +exists +sadd +srem +srandmember +pexpire\n"
    "user node on >heimlich %R~{wk}:* %W~{wk}:report/* resetchannels &{wk}:* -@all +auth +select +ping +subscribe"
    " +publish +getrange +sscan +watch +multi +exec +set\n"
)
WRONG: Final = "Check the user and the password of the engine"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


@pytest.fixture
def made(tmp_path: Path) -> ServerCertificate:
    return make_server_certificate(tmp_path / "tls", ("localhost",))


@pytest.fixture
async def port(tmp_path: Path, made: ServerCertificate, stack: AsyncExitStack) -> int:
    """Start a Redis with two users, which listens with TLS, and without at the port after."""
    path, found = tmp_path / "users.acl", free_port()
    path.write_text(USERS)
    options = ("--aclfile", str(path), *as_options(tls_lines(made, found)))
    await stack.enter_async_context(KeyValueServer("redis", tmp_path / "engine", *options, has_port=False))
    return found


def opened(stack: AsyncExitStack, address: str, user: str, password: str, node: str = "") -> ValkeyRecords:
    found = open_engine(parse_engine(address), user, password, FakeClock(), node=node, call_seconds=CALL_SECONDS)
    stack.push_async_callback(found.close)
    return found


async def test_users_with_few_rights_do_all_over_tls(port: int, made: ServerCertificate, stack: AsyncExitStack) -> None:
    address = f"rediss://localhost:{port}/1?ca={made.ca_bundle}"
    issuer = opened(stack, address, "issuer", "geheim")
    node = opened(stack, address.replace("//", "//node@"), "", "heimlich", "web1")
    lease = await issuer.acquire("issuer", 60)
    assert lease is not None
    assert await issuer.extend(lease, 60)
    async with Follower(node, Kind.BUNDLE, Kind.WRAP) as follower, Follower(issuer, *Kind) as all_records:
        for key in ("bundle/www", "wrap/web1/www", "node/web1"):
            await issuer.put(key, b"1", lease=lease, expires_at=FakeClock().timestamp() + 60)
        await node.put("report/web1", b"1", expires_at=FakeClock().timestamp() + 60)
        await until(lambda: len(follower.seen) == 2 and len(all_records.seen) == 4)
        await issuer.delete("wrap/web1/www", expected=version_of(b"1"), lease=lease)
        await until(lambda: follower.removed == ["wrap/web1/www"])
    assert follower.failures + all_records.failures == []
    with pytest.raises(
        RecordRefusedError, match=r"refused manifest/fleet: .* Copy the lines that 'wellkeeper engine acl' prints"
    ):
        await node.put("manifest/fleet", b"1")
    with pytest.raises(RecordRefusedError, match="Copy the lines that 'wellkeeper engine acl' prints"):
        await node.acquire("node", 60)


async def test_wrong_password_ca_or_protocol_is_named(
    port: int, made: ServerCertificate, stack: AsyncExitStack, tmp_path: Path
) -> None:
    other = make_server_certificate(tmp_path / "other", ("localhost",)).ca_bundle
    tls = f"rediss://localhost:{port}"
    for address, password, why in (
        (f"{tls}?ca={made.ca_bundle}", "wrong", WRONG),
        (f"{tls}?ca={made.ca_bundle}", "", WRONG),
        (f"{tls}?ca={other}", "geheim", r"certificate verify failed: .* Add its CA to the address"),
        (tls, "geheim", "certificate verify failed"),
        (f"rediss://127.0.0.1:{port}?ca={made.ca_bundle}", "geheim", "IP address mismatch"),
        (f"{tls}?ca=/none.pem", "geheim", "No such file"),
        (f"redis://localhost:{port}", "geheim", "Check that a Valkey or Redis server runs"),
    ):
        records = opened(stack, address, "issuer" if password else "", password)
        with pytest.raises(UnavailableError, match=why):
            await records.get("bundle/www")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("DENIED Redis is running in protected mode because", "Write 'user default off' into the engine's ACL file"),
        ("ERR DB index is out of range", "End the address with a database that the engine has"),
        ("MASTERDOWN Link with MASTER is down", "Set the address of the engine's primary"),
        ("MOVED 7 10.0.0.2:6379", "Use a server that is not part of a cluster"),
        ("LOADING Redis is loading", "Wait until it has loaded its data"),
    ],
)
async def test_refusal_at_once_has_a_remedy(said: str, remedy: str, tmp_path: Path, clock: FakeClock) -> None:
    async with played_engine(tmp_path / "e", lambda _: f"-{said}\r\n".encode()) as address:
        records = records_at(address, clock)
        with pytest.raises(UnavailableError, match=remedy):
            await records.acquire("issuer", 60)
        await records.close()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "Renew the engine's certificate"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert", "Set 'tls-auth-clients no'"),
        ("Connection reset by peer", "with TLS if the address begins with rediss://"),
    ],
)
def test_fault_of_tls_has_a_remedy(said: str, remedy: str) -> None:
    assert remedy in unavailable("the engine", OSError(1, said), 1).remedy


@pytest.mark.parametrize("server", ["redis", "valkey"])
async def test_command_that_a_script_may_not_call_is_a_right_that_is_missing(
    server: Server, tmp_path: Path, stack: AsyncExitStack
) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user issuer on >geheim ~* &* +@all -set\n")
    running = KeyValueServer(server, tmp_path / "engine", "--aclfile", str(path), has_port=False)
    await stack.enter_async_context(running)
    records = opened(stack, f"unix:{running.socket}", "issuer", "geheim")
    for call in (records.acquire("issuer", 60), records.put("bundle/www", b"1")):
        with pytest.raises(RecordRefusedError, match="Copy the lines that 'wellkeeper engine acl' prints"):
            await call


async def test_user_without_rights_to_read_is_refused(
    port: int, made: ServerCertificate, stack: AsyncExitStack
) -> None:
    records = opened(stack, f"rediss://localhost:{port}?ca={made.ca_bundle}&prefix=other", "node", "heimlich")
    for call in (records.get("bundle/www"), anext(records.follow(Kind.BUNDLE)), records.put("report/web1", b"1")):
        with pytest.raises(
            (UnavailableError, RecordRefusedError), match="Copy the lines that 'wellkeeper engine acl' prints"
        ):
            await call


async def test_name_with_a_public_address_is_refused_without_tls(clock: FakeClock, stack: AsyncExitStack) -> None:
    # Numbers are resolved without asking anyone.
    address = EngineAddress("redis://engine", "redis", (("134744072", 6379),))
    records = open_engine(address, "", "", clock)
    stack.push_async_callback(records.close)
    with pytest.raises(UnavailableError, match=r"134744072 has the public address 8\.8\.8\.8"):
        await records.get("bundle/www")


class TwoAddresses(EngineConnection):
    """A connection to a host with two addresses: at `first` nothing may listen, and at `port` perhaps something."""

    first, port = 1, 0

    async def addresses(self) -> Sequence[tuple[str, int]]:
        return [("127.0.0.1", self.first), ("127.0.0.1", self.port)]


async def test_next_address_of_a_host_is_tried(stack: AsyncExitStack, tmp_path: Path) -> None:
    running = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "engine"))
    access = Access(parse_engine("redis://engine"), "", "", CALL_SECONDS, CALL_SECONDS)
    connection = TwoAddresses(access, "engine")
    with pytest.raises(RedisError, match="Connect call failed"):
        await connection.connect()  # type: ignore[no-untyped-call]
    connection.port = running.port
    await connection.connect()  # type: ignore[no-untyped-call]
    assert await connection.ask(("PING",)) == [b"PONG"]
    await connection.disconnect(nowait=True)


async def test_silent_address_of_a_host_leaves_time_for_the_next(
    port: int, made: ServerCertificate, stack: AsyncExitStack
) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await stack.enter_async_context(await asyncio.start_server(never_answer, "127.0.0.1", 0))
    address = parse_engine(f"rediss://localhost?ca={made.ca_bundle}")
    connection = TwoAddresses(Access(address, "issuer", "geheim", CALL_SECONDS, 1), "localhost")
    connection.first, connection.port = silent.sockets[0].getsockname()[1], port
    async with asyncio.timeout(CALL_SECONDS):
        await connection.connect()  # type: ignore[no-untyped-call]
    assert await connection.ask(("PING",)) == [b"PONG"]
    await connection.disconnect(nowait=True)


async def test_sentinels_that_do_not_answer_are_named(clock: FakeClock) -> None:
    records = open_records(parse_engine("redis+sentinel://127.0.0.1:1/fleet"), "", "", clock)
    with pytest.raises(UnavailableError, match=r"no Sentinel names .* 'fleet': 127\.0\.0\.1:1: Error 111"):
        await records.get("bundle/www")
    await records.close()


async def played_sentinel(stack: AsyncExitStack, reply: bytes) -> int:
    """Start one that replies this; return its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"fleet\r\n")
        writer.write(reply)
        await reader.read()
        writer.close()

    server = await stack.enter_async_context(await asyncio.start_server(answer, "127.0.0.1", 0))
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_sentinel_that_names_a_former_primary_is_not_the_last_one_asked(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    running = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "engine"))
    gone, there = (array(bulk(b"127.0.0.1"), bulk(b"%d" % port)) for port in (free_port(), running.port))
    nowhere = array(bulk(b"a" * 70), bulk(b"6379"))
    ports = [await played_sentinel(stack, reply) for reply in (gone, nowhere, there)]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    records = opened(stack, f"redis+sentinel://{','.join(hosts)}/fleet", "", "")
    assert await records.get("bundle/www") is None
    former = opened(stack, f"redis+sentinel://{','.join(hosts[:2])}/fleet", "", "")
    with pytest.raises(UnavailableError, match="Connect call failed"):
        await former.get("bundle/www")


async def test_sentinel_that_names_a_replica_is_not_the_last_one_asked(stack: AsyncExitStack, tmp_path: Path) -> None:
    primary = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "primary"))
    options = ("--replicaof", "127.0.0.1", str(primary.port))
    replica = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "replica", *options))
    places = (array(bulk(b"127.0.0.1"), bulk(b"%d" % one.port)) for one in (replica, primary))
    hosts = [f"127.0.0.1:{await played_sentinel(stack, reply)}" for reply in places]
    records = opened(stack, f"redis+sentinel://{','.join(hosts)}/fleet", "", "")
    assert await records.acquire("issuer", 60) is not None
    partitioned = opened(stack, f"redis+sentinel://{hosts[0]}/fleet", "", "")
    why = rf"127\.0\.0\.1:{replica.port}, which a Sentinel names as the primary of 'fleet', is a replica"
    with pytest.raises(UnavailableError, match=rf"{why}\. Run 'SENTINEL CKQUORUM fleet' in redis-cli at each Sentinel"):
        await partitioned.get("bundle/www")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"-ERR unknown command 'SENTINEL'\r\n", "unknown command 'SENTINEL'"),
        (b"-NOPERM no permissions\r\n", r"no permissions\. Correct --sentinel-user and --sentinel-password-file"),
        (b"", "it did not answer in time"),
        (array(bulk(b"127.0.0.1"), bulk(b"9" * 30)), "it names the port 99999"),
    ],
    ids=["another server", "without rights", "silent", "a port that is none"],
)
async def test_server_that_answers_instead_of_a_sentinel_is_named(
    stack: AsyncExitStack, reply: bytes, why: str
) -> None:
    port = await played_sentinel(stack, reply)
    address = parse_engine(f"redis+sentinel://127.0.0.1:{port}/fleet")
    records = open_engine(address, "", "", FakeClock(), call_seconds=0.25 if not reply else CALL_SECONDS)
    stack.push_async_callback(records.close)
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}: .*{why}"):
        await records.get("bundle/www")


def test_connection_shows_its_address_and_no_password() -> None:
    access = Access(parse_engine("redis://user@10.0.0.1"), "user", "geheim", 1, 1)
    assert repr(EngineConnection(access, "10.0.0.1", 6379)).endswith("EngineConnection(engine=redis://user@10.0.0.1)>")
