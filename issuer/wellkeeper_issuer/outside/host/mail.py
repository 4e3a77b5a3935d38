"""Notify by mail, with smtplib on a daemon thread, which never delays the exit.

Imported only when mail is configured. A repeat has the same Message-ID, by which mail servers and readers drop it.
"""

import asyncio
import logging
import re
import smtplib
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Literal

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.host import smtp
from wellkeeper_issuer.outside.host.bundles import tls_context
from wellkeeper_issuer.outside.host.echoes import masked
from wellkeeper_issuer.outside.host.secret_files import read_secret
from wellkeeper_issuer.records import Notice
from wellkeeper_node.network_errors import words
from wellkeeper_node.wording import format_time, with_reload

_log = logging.getLogger(__name__)

_SHOWN: Final = 200
# RFC 5321, section 4.5.3.2: a server may take ten minutes to accept a mail. Who gives up earlier sends it again.
_WHOLE_SECONDS: Final = 600.0
# The first code of a permanent failure.
_PERMANENT: Final = 500
# Not every server takes 8-bit text, and smtplib announces none.
_ASCII: Final = policy.default.clone(cte_type="7bit")

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Mail:
    """Implements `ports.people.Target`. `host` is this machine's name.

    Each answer may take `timeout_seconds`, only that to the mail itself longer.
    """

    name: str
    events: frozenset[Notice]
    server: tuple[str, int]
    security: Security
    sender: str
    recipients: tuple[str, ...]
    host: str
    user: str | None = None
    password_file: Path | None = None
    ca_bundle: Path | None = None
    timeout_seconds: float = 60.0
    whole_seconds: float = _WHOLE_SECONDS

    def wants(self, notice: Notice) -> bool:
        return notice in self.events

    async def send(self, message: Message) -> None:
        password = await read_secret(self.password_file) if self.password_file else ""
        mail = to_mail(message, self)
        try:
            async with asyncio.timeout(self.whole_seconds):
                await _on_thread(lambda: self._deliver(mail, password))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._error(message, error, tuple(self._sent_as(password))) from error

    def _sent_as(self, password: str) -> Iterator[str]:
        """Yield the password in the forms that AUTH has, which a server may repeat."""
        yield password
        if password:
            yield from (b64encode(f"{user}{password}".encode()).decode() for user in ("", f"\0{self.user}\0"))

    def _deliver(self, mail: EmailMessage, password: str) -> None:
        context = None if self.security == "none" else tls_context(self.ca_bundle)
        server = self._connected(context)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, password)
            _wait_at_most(self.whole_seconds, server)
            refused = server.send_message(mail)
            # The mail is accepted, whatever the server says now.
            with suppress(smtplib.SMTPException, OSError):
                _wait_at_most(self.timeout_seconds, server)
                server.quit()
        finally:
            server.close()
        for recipient, (code, text) in refused.items():
            # The others have it: another try would be a second mail for them.
            _log.error("mail to %s was refused: %s", recipient, _answer(code, text, tuple(self._sent_as(password))))

    def _connected(self, context: ssl.SSLContext | None) -> smtplib.SMTP:
        host, port = self.server
        if self.security == "tls":
            return smtp.BoundedSmtpOverTls(host, port, timeout=self.timeout_seconds, context=context)
        return smtp.BoundedSmtp(host, port, timeout=self.timeout_seconds)

    def _error(self, message: Message, error: Exception, secrets: Sequence[str]) -> HookError:
        host, port = self.server
        # The server permanently refused the content, as spam filters do; others may pass.
        is_of_one = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT
        kind_of_error = RefusedError if is_of_one else HookError
        return kind_of_error(
            f"cannot notify by the mail server {host}:{port} of {message.name}",
            _why(error, secrets),
            with_reload("If its settings are wrong, correct them under [[notifications.mail]]."),
        )


def to_mail(message: Message, about: Mail) -> EmailMessage:
    """Return the mail: what happened, what to do, where and when."""
    mail = EmailMessage(_ASCII)
    mail["Subject"] = f"[{about.host}] {message.title}"
    mail["From"], mail["To"] = about.sender, ", ".join(about.recipients)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.id}@{re.sub('[^A-Za-z0-9.-]', '-', about.host)}>"
    # RFC 3834: nobody's out-of-office message answers.
    mail["Auto-Submitted"] = "auto-generated"
    sentence = message.sentence
    lines = [f"{sentence[:1].upper()}{sentence[1:]}", ""]
    if message.command:
        lines += [f"What to do, on {about.host}:", f"  {message.command}", ""]
    lines += [f"Host: {about.host}", f"Time: {format_time(message.at)}"]
    mail.set_content("\n".join(lines) + "\n")
    return mail


def _wait_at_most(seconds: float, server: smtplib.SMTP) -> None:
    if server.sock is not None:
        server.sock.settimeout(seconds)


def _why(error: Exception, secrets: Sequence[str]) -> str:
    """Return the server's own words, without the secrets."""
    # smtplib reports silence as a connection that was closed.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return _answer(code, text, secrets)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error, secrets)
    if isinstance(error, UnicodeError):  # its text has a character of the password
        return "its user or password has characters that are not ASCII"
    if isinstance(error, ssl.SSLError | smtplib.SMTPException):  # they have numbers of their own, or the server's words
        return _shown(str(error), secrets)
    return words(error)


def _answer(code: int, text: bytes | str, secrets: Sequence[str]) -> str:
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"it answered with {code}: {_shown(decoded, secrets)}"


def _shown(text: str, secrets: Sequence[str]) -> str:
    """Return the text in one short line; a secret that was shortened first could not be masked."""
    return one_line(masked(text, "", secrets), _SHOWN)


async def _on_thread(work: Callable[[], None]) -> None:
    """Run it on a thread that ends by itself; raises what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        failed = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failed = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish, failed)

    threading.Thread(target=run, name="mail", daemon=True).start()
    await done
