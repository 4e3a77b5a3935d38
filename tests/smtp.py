"""A real SMTP server (aiosmtpd) on 127.0.0.1, which keeps what it accepts."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER: Final = "wellkeeper"
PASSWORD: Final = "opensesame"


class Mailbox:
    """A handler of aiosmtpd: `got` has the mails, `logins` who logged in.

    `answer` is that to each mail, after `data_seconds`.
    """

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[str] = []
        self.answer, self.quit_answer = "250 OK", "221 Bye"
        self.unknown_answer = "550 no such user"
        self.data_seconds = 0.0
        self.port = 0
        self.at_data: Callable[[], None] = lambda: None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: ANN401, N802 - of aiosmtpd
        if self.answer.startswith("250"):
            parsed = message_from_bytes(envelope.content, policy=default)
            assert isinstance(parsed, EmailMessage)
            self.got.append(parsed)
            self.recipients += envelope.rcpt_tos
        self.at_data()
        await asyncio.sleep(self.data_seconds)
        return self.answer

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: ANN401, N802 - of aiosmtpd
        return self.quit_answer

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: ANN401, N802 - of aiosmtpd
        if address.startswith("unknown@"):
            return self.unknown_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:  # noqa: ANN401
        assert isinstance(data, LoginPassword)
        is_known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(data.login.decode())
        return AuthResult(success=is_known, handled=False)


@asynccontextmanager
async def smtp_server(tls: ssl.SSLContext | None = None, *, is_implicit: bool = False) -> AsyncIterator[Mailbox]:
    """Run it on this event loop; with STARTTLS, it requires a login."""
    mailbox, has_starttls = Mailbox(), tls is not None and not is_implicit

    def connected() -> SMTP:
        return SMTP(
            mailbox,
            tls_context=tls if has_starttls else None,
            require_starttls=has_starttls,
            authenticator=mailbox.authenticate,
            auth_required=has_starttls,
            enable_SMTPUTF8=True,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls if is_implicit else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
