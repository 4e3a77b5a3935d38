"""Questions to name servers: every kind of reply, servers that do not answer, and a bounded time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from stand.ports import free_port
from tests.name_server import NameServer, Reply, answering, refusing, silent
from wellkeeper_issuer.outside.host.dns_client import DnsClient, Limits, system_servers
from wellkeeper_issuer.ports.dns import CaaRecord, DnsReply, Outcome, RecordType

NAME = "www.example"
QUICK = Limits(try_seconds=0.05, total_seconds=10)


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as running:
        yield running


@pytest.fixture
def client(server: NameServer) -> DnsClient:
    return DnsClient([server.address])


async def test_all_addresses_are_returned(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN A 192.0.2.1", f"{NAME}. 60 IN A 192.0.2.2")
    server.replies[f"{NAME}.", "AAAA"] = answering(f"{NAME}. 60 IN AAAA 2001:db8:0::1")
    assert set((await client.ask(NAME, RecordType.A)).addresses) == {"192.0.2.1", "192.0.2.2"}
    assert await client.ask(NAME, RecordType.AAAA) == DnsReply(Outcome.FOUND, ("2001:db8::1",))


async def test_caa_records_have_lower_case_tags_and_harmless_values(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "CAA"] = answering(
        f'{NAME}. 60 IN CAA 0 ISSUE "ca.example; a=b"', f'{NAME}. 60 IN CAA 128 iodef "a\\010b"'
    )
    found = await client.ask(NAME, RecordType.CAA)
    assert set(found.caa) == {CaaRecord(0, "issue", "ca.example; a=b"), CaaRecord(128, "iodef", "a b")}


async def test_aliases_in_one_reply_are_followed(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN CNAME to.example.", "to.example. 60 IN A 192.0.2.1")
    found = await client.ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FOUND, ("192.0.2.1",), target="to.example")


async def test_alias_without_its_target_is_asked_for(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN CNAME to.example.")
    server.replies["to.example.", "A"] = answering("to.example. 60 IN A 192.0.2.1")
    found = await client.ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FOUND, ("192.0.2.1",), target="to.example")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (refusing(dns.rcode.NXDOMAIN), DnsReply(Outcome.NO_NAME)),
        (answering(), DnsReply(Outcome.NO_DATA)),
    ],
    ids=["no such name", "no data"],
)
async def test_missing_name_and_missing_records_differ(
    server: NameServer, client: DnsClient, reply: Reply, found: DnsReply
) -> None:
    server.replies[f"{NAME}.", "A"] = reply
    assert await client.ask(NAME, RecordType.A) == found


async def test_alias_to_a_missing_name_is_named(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN CNAME gone.example.")
    assert await client.ask(NAME, RecordType.A) == DnsReply(Outcome.NO_NAME, target="gone.example")


async def test_loop_of_aliases_within_one_reply_is_named(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN CNAME b.example.", f"b.example. 60 IN CNAME {NAME}.")
    found = await client.ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FAILED, why=f"its CNAME records form a loop or a long chain: {NAME}")


async def test_loop_of_aliases_over_several_replies_is_named(server: NameServer, client: DnsClient) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN CNAME b.example.")
    server.replies["b.example.", "A"] = answering(f"b.example. 60 IN CNAME {NAME}.")
    found = await client.ask(NAME, RecordType.A)
    assert found.why == f"its CNAME records form a loop or a long chain: {NAME} -> b.example -> {NAME}"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (refusing(dns.rcode.SERVFAIL), "127.0.0.1 replied SERVFAIL"),
        (refusing(dns.rcode.SERVFAIL, "signature\nexpired"), "127.0.0.1 replied SERVFAIL (signature expired)"),
        (refusing(dns.rcode.REFUSED), "127.0.0.1 replied REFUSED"),
    ],
    ids=["servfail", "with an explanation", "refused"],
)
async def test_refusal_is_reported_in_the_words_of_the_server(
    server: NameServer, client: DnsClient, reply: Reply, why: str
) -> None:
    server.default = reply
    assert await client.ask(NAME, RecordType.A) == DnsReply(Outcome.FAILED, why=why)


async def test_answer_for_a_name_that_does_not_exist_makes_no_sense(server: NameServer, client: DnsClient) -> None:
    def reply(question: dns.message.Message) -> dns.message.Message:
        answer = answering(f"{NAME}. 60 IN A 192.0.2.1")(question)
        assert isinstance(answer, dns.message.Message)
        answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    server.default = reply
    found = await client.ask(NAME, RecordType.A)
    assert found.outcome is Outcome.FAILED
    assert found.why.startswith("a reply that makes no sense: The rcode is NXDOMAIN")


async def test_name_that_dns_cannot_have_is_not_asked_for(server: NameServer, client: DnsClient) -> None:
    found = await client.ask("a..example", RecordType.A)
    assert found.why == "it is not a name in DNS: A DNS label is empty."
    assert server.asked == []


async def test_truncated_reply_is_read_over_tcp(server: NameServer, client: DnsClient) -> None:
    server.is_truncating = True
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN A 192.0.2.1")
    assert (await client.ask(NAME, RecordType.A)).addresses == ("192.0.2.1",)
    assert [is_tcp for *_, is_tcp in server.asked] == [False, True]


async def test_connection_that_is_cut_is_reported(server: NameServer, client: DnsClient) -> None:
    server.is_truncating = True
    server.default = silent
    found = await client.ask(NAME, RecordType.A)
    assert found.outcome is Outcome.FAILED
    assert found.why.startswith("127.0.0.1: ")


async def test_reply_that_is_not_a_message_is_reported(server: NameServer, client: DnsClient) -> None:
    server.default = lambda _: b"junk"
    found = await client.ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FAILED, why="127.0.0.1: The DNS packet passed to from_wire() is too short.")


async def test_long_value_of_a_record_is_kept(server: NameServer, client: DnsClient) -> None:
    value = f"ca.example; accounturi=https://ca.example/{'a' * 200}"
    server.replies[f"{NAME}.", "CAA"] = answering(f'{NAME}. 60 IN CAA 0 issue "{value}"')
    assert [one.value for one in (await client.ask(NAME, RecordType.CAA)).caa] == [value]


async def test_question_is_asked_once_for_all_who_wait(server: NameServer, client: DnsClient) -> None:
    await asyncio.gather(*(client.ask(NAME, RecordType.A) for _ in range(3)))
    await client.ask(NAME, RecordType.A)
    assert server.asked == [(f"{NAME}.", "A", False)]


async def test_next_server_answers_for_one_that_is_silent_or_refuses(server: NameServer) -> None:
    server.replies[f"{NAME}.", "A"] = answering(f"{NAME}. 60 IN A 192.0.2.1")
    async with NameServer() as dumb, NameServer() as refuser:
        dumb.default, refuser.default = silent, refusing(dns.rcode.REFUSED)
        client = DnsClient([dumb.address, refuser.address, server.address], Limits(try_seconds=0.5))
        assert (await client.ask(NAME, RecordType.A)).addresses == ("192.0.2.1",)


async def test_silent_server_is_asked_twice_and_named(server: NameServer) -> None:
    server.default = silent
    found = await DnsClient([server.address], QUICK).ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FAILED, why="no answer from 127.0.0.1 within 0.05 s")
    assert len(server.asked) == 2


async def test_question_has_a_time_limit_in_all(server: NameServer) -> None:
    server.default = silent
    found = await DnsClient([server.address], Limits(total_seconds=0.05)).ask(NAME, RecordType.A)
    assert found == DnsReply(Outcome.FAILED, why="no answer within 0.05 s (127.0.0.1)")


async def test_servers_that_never_answer_are_not_asked_about_every_name(server: NameServer) -> None:
    server.default = silent
    client = DnsClient([server.address], Limits(0.05, 10, questions_at_once=2, silent_questions=2))
    found = await asyncio.gather(*(client.ask(f"{number}.example", RecordType.A) for number in range(20)))
    assert [one.why for one in found[:2]] == ["no answer from 127.0.0.1 within 0.05 s"] * 2
    # The third one may be sent before the second one has timed out.
    assert {one.why for one in found[3:]} == {"the name servers do not answer (127.0.0.1)"}


@pytest.mark.parametrize("host", ["127.0.0.1", "not.an.address", "fe80::1%nowhere"])
async def test_server_that_cannot_be_asked_is_named(host: str) -> None:
    found = await DnsClient([(host, free_port())], QUICK).ask(NAME, RecordType.A)
    assert found.outcome is Outcome.FAILED
    assert host in found.why


async def test_cancelled_question_ends_at_once_and_others_still_get_the_answer(server: NameServer) -> None:
    asked = asyncio.Event()

    def notice(_: dns.message.Message) -> None:
        asked.set()

    server.default = notice
    client = DnsClient([server.address], QUICK)
    first, second = (asyncio.create_task(client.ask(NAME, RecordType.A)) for _ in range(2))
    await asked.wait()
    first.cancel()
    server.default = answering(f"{NAME}. 60 IN A 192.0.2.1")
    await asyncio.wait([first])
    assert first.cancelled()
    assert not second.done()
    assert (await second).addresses == ("192.0.2.1",)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        (
            "# a comment\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions rotate\n",
            ["192.0.2.53", "2001:db8::53"],
        ),
        ("".join(f"nameserver 192.0.2.{number}\n" for number in range(5)), ["192.0.2.0", "192.0.2.1", "192.0.2.2"]),
        ("nameserver\nsearch example\n", ["127.0.0.1"]),
        (None, ["127.0.0.1"]),
    ],
    ids=["two", "five", "none", "no file"],
)
def test_servers_of_the_system_are_read(tmp_path: Path, text: str | None, servers: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    assert system_servers(path) == tuple((host, 53) for host in servers)
