"""Notifications by mail, to a real SMTP server."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.smtp import PASSWORD, USER, Mailbox, smtp_server
from tests.tls_server import tls_of
from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.host.mail import Mail, to_mail
from wellkeeper_issuer.records import Notice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILED = Message("id-1", Notice.FAILURE, "www", "no answer from the CA to the order: …", NOW)
MAIL = Mail(
    name="admin",
    events=frozenset({Notice.FAILURE}),
    server=("127.0.0.1", 1),
    security="none",
    sender="wellkeeper@example.org",
    recipients=("a@example.org", "b@example.org"),
    host="node_1",
)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with smtp_server() as running:
        yield running


def to(mailbox: Mailbox) -> Mail:
    return replace(MAIL, server=("127.0.0.1", mailbox.port))


async def failure_of(mail: Mail) -> str:
    with pytest.raises(HookError) as caught:
        await mail.send(FAILED)
    return str(caught.value)


async def test_mail_says_what_happened_what_to_do_and_where(mailbox: Mailbox) -> None:
    await to(mailbox).send(FAILED)
    (got,) = mailbox.got
    assert mailbox.recipients == ["a@example.org", "b@example.org"]
    assert got["Subject"] == "[node_1] cannot renew www"
    assert (got["From"], got["To"]) == ("wellkeeper@example.org", "a@example.org, b@example.org")
    assert got["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert got["Message-ID"] == "<id-1@node-1>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().replace("\r\n", "\n") == (
        "Cannot renew certificate www: no answer from the CA to the order: …\n"
        "\n"
        "What to do, on node_1:\n"
        "  sudo wellkeeper why www\n"
        "\n"
        "Host: node_1\n"
        "Time: 2026-03-01 12:00 UTC\n"
    )


@pytest.mark.parametrize("notice", list(Notice))
def test_every_notice_has_a_subject_and_a_text(notice: Notice) -> None:
    mail = to_mail(Message("1", notice, "", "", NOW), MAIL)
    assert str(mail["Subject"]).startswith("[node_1] ")
    assert mail.get_content().endswith("Host: node_1\nTime: 2026-03-01 12:00 UTC\n")


async def test_starttls_and_login(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    async with smtp_server(tls_of(tmp_path)) as mailbox:
        mail = replace(to(mailbox), security="starttls", user=USER, password_file=password)
        assert "certificate verify failed" in await failure_of(mail)
        mail = replace(mail, ca_bundle=tmp_path / "ca.pem")
        await mail.send(FAILED)
        assert (len(mailbox.got), mailbox.logins) == (1, [USER])
        password.write_text("wrong\n")
        assert "it answered with 535: " in await failure_of(mail)
        assert "it answered with 530: " in await failure_of(replace(mail, user=None, password_file=None))


async def test_password_that_is_not_ascii_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pässword\n")
    async with smtp_server(tls_of(tmp_path)) as mailbox:
        mail = replace(to(mailbox), security="starttls", user=USER, password_file=tmp_path / "password")
        shown = await failure_of(replace(mail, ca_bundle=tmp_path / "ca.pem"))
    assert "www: its user or password has characters that are not ASCII. If" in shown


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    async with smtp_server(tls_of(tmp_path), is_implicit=True) as mailbox:
        await replace(to(mailbox), security="tls", ca_bundle=tmp_path / "ca.pem").send(FAILED)
        assert len(mailbox.got) == 1


async def test_server_without_starttls_gets_nothing(mailbox: Mailbox) -> None:
    assert "STARTTLS extension not supported by server" in await failure_of(replace(to(mailbox), security="starttls"))
    assert mailbox.got == []


async def test_refusal_is_reported_in_the_words_of_the_server(mailbox: Mailbox) -> None:
    mailbox.answer = "554 looks like spam"
    assert await failure_of(to(mailbox)) == (
        f"cannot notify by the mail server 127.0.0.1:{mailbox.port} of the failure of www: it answered with 554: looks "
        "like spam. If its settings are wrong, correct them under [[notifications.mail]], then run 'wellkeeper reload' "
        "if a daemon runs."
    )


@pytest.mark.parametrize(("answer", "is_of_one"), [("554 looks like spam", True), ("451 try again later", False)])
async def test_refusal_of_one_mail_is_not_one_of_all(mailbox: Mailbox, answer: str, *, is_of_one: bool) -> None:
    mailbox.answer = answer
    with pytest.raises(HookError) as caught:
        await to(mailbox).send(FAILED)
    assert isinstance(caught.value, RefusedError) == is_of_one


async def test_mail_needs_no_extension_of_the_server(mailbox: Mailbox) -> None:
    """RFC 6152: without BODY=8BITMIME, which smtplib does not send, a mail has only ASCII."""
    await to(mailbox).send(FAILED)
    (got,) = mailbox.got
    assert "…" in got.get_content()
    assert got["Content-Transfer-Encoding"] in {"base64", "quoted-printable"}


async def test_server_that_repeats_the_password_does_not_reveal_it(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    sent = [b64encode(one.encode()).decode() for one in (PASSWORD, f"\0{USER}\0{PASSWORD}")]
    mailbox.answer = f"554 wrong: {PASSWORD} {' '.join(sent)}"
    given = replace(to(mailbox), password_file=tmp_path / "password")
    assert "it answered with 554: wrong: … … " in await failure_of(given)
    mailbox.answer = f"554 {'x' * 190} {PASSWORD}"  # shown in part
    assert PASSWORD[:3] not in await failure_of(given)


async def test_refusal_of_one_recipient_does_not_reveal_the_password(
    mailbox: Mailbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    mailbox.unknown_answer = f"550 not with {PASSWORD}"
    given = replace(to(mailbox), password_file=tmp_path / "password")
    await replace(given, recipients=("a@example.org", "unknown@example.org")).send(FAILED)
    assert "mail to unknown@example.org was refused: it answered with 550: not with …" in caplog.messages


async def test_endless_login_does_not_reveal_the_password(tmp_path: Path) -> None:
    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while words := (await reader.readline()).split():
            writer.write(b"250-hello\r\n250 AUTH PLAIN\r\n" if words[0] == b"ehlo" else b"334 %s\r\n" % words[-1])
        writer.close()

    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    async with await asyncio.start_server(repeat, "127.0.0.1", 0) as server:
        mail = replace(MAIL, server=server.sockets[0].getsockname(), user=USER, password_file=tmp_path / "password")
        assert "infinite loop. Last response: (334, b'…'). If" in await failure_of(mail)


async def test_refused_recipient_is_reported(mailbox: Mailbox) -> None:
    unknown = replace(to(mailbox), recipients=("unknown@example.org",))
    assert "it answered with 550: no such user" in await failure_of(unknown)


async def test_mail_that_one_recipient_got_is_not_sent_again(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    await replace(to(mailbox), recipients=("a@example.org", "unknown@example.org")).send(FAILED)
    assert mailbox.recipients == ["a@example.org"]
    assert "mail to unknown@example.org was refused: it answered with 550: no such user" in caplog.messages


async def test_refused_connection_is_reported() -> None:
    assert "of www: Connection refused. " in await failure_of(MAIL)


async def test_endless_answer_is_given_up() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b"220-more\r\n" * 1_000)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        mail = replace(MAIL, server=server.sockets[0].getsockname(), timeout_seconds=60.0)
        assert "its answers are too long. If" in await failure_of(mail)


async def test_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = replace(MAIL, server=silent.getsockname(), timeout_seconds=0.1)
        assert "it did not answer in time. If its settings" in await failure_of(mail)
        mail = replace(MAIL, server=silent.getsockname(), whole_seconds=0.1)
        assert "it did not answer in time. If its settings" in await failure_of(mail)


async def test_mail_that_is_accepted_slowly_is_sent_once(mailbox: Mailbox) -> None:
    mailbox.data_seconds = 5
    await replace(to(mailbox), timeout_seconds=4).send(FAILED)
    assert len(mailbox.got) == 1


async def test_mail_is_sent_whatever_the_server_says_afterwards(mailbox: Mailbox) -> None:
    mailbox.quit_answer = "421 too busy"
    await to(mailbox).send(FAILED)
    assert len(mailbox.got) == 1


def test_mail_wants_its_events() -> None:
    assert (MAIL.wants(Notice.FAILURE), MAIL.wants(Notice.JOINED)) == (True, False)
