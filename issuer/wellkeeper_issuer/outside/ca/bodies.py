"""Read the body of a CA's reply, limited in size and total time. Blocking.

A socket's read time-out restarts with every byte, so a reply that trickles would occupy its thread forever.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from wellkeeper_node.ports import Clock

# Total time of a request, including connecting and waiting for the first byte.
_LONGEST: Final = timedelta(seconds=90)
# A chain of three certificates with a hundred names takes 10 KiB.
_LARGEST_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 65_536


class BodyError(Exception):
    """The reply was abandoned; never leaves this package."""


def read_body(response: requests.Response, clock: Clock) -> None:
    """Fill `response.content`. Raises BodyError, and what requests raises when the connection breaks."""
    deadline = clock.monotonic() + (_LONGEST - response.elapsed).total_seconds()
    try:
        # As `Response.content` does; requests has no public way to set it.
        response._content = b"".join(_pieces(response, clock, deadline))  # noqa: SLF001
    except HTTPError as error:
        raise requests.ConnectionError(error, request=response.request) from error
    except BodyError:
        response.close()  # closes the connection, too: the rest of the body is still on it
        raise


def _pieces(response: requests.Response, clock: Clock, deadline: float) -> Iterator[bytes]:
    left = _LARGEST_BYTES
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        left -= len(piece)
        if left < 0:
            raise BodyError(f"the reply is longer than {_LARGEST_BYTES // 1024} KiB")
        if clock.monotonic() > deadline:
            raise BodyError(f"the reply was not complete within {_LONGEST.seconds} s")
        yield piece
