"""smtplib's clients with a limit: a server could otherwise fill the memory with one endless answer."""

import smtplib
from typing import IO, Final

_MOST_BYTES: Final = 64 * 1024


class _Bounded:
    """The part of a file that smtplib uses."""

    def __init__(self, file: IO[bytes]) -> None:
        self.close = file.close
        self._file = file
        self._left = _MOST_BYTES

    def readline(self, size: int) -> bytes:
        line = self._file.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("its answers are too long")
        return line


class _Bounds(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:  # the first time, and after STARTTLS
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()


class BoundedSmtp(_Bounds):
    """An SMTP client."""


class BoundedSmtpOverTls(_Bounds, smtplib.SMTP_SSL):
    """An SMTP client with TLS from the first byte."""
