"""Reads the body of a CA's reply in pieces: within a time in all, and up to a size. Blocking.

The read time-out of a socket begins anew with every byte; a reply that trickles would hold its thread for ever.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from wellkeeper_node.ports import Clock

# Of the whole request: what connecting and waiting for the first byte took is part of it.
_LONGEST: Final = timedelta(seconds=90)
# A chain of three certificates with a hundred names has 10 KiB.
_LARGEST_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 65_536


class BodyError(Exception):
    """The reply was given up; not seen outside this module and its neighbours."""


def read_body(response: requests.Response, clock: Clock) -> None:
    """`response.content` is whole afterwards. Raises BodyError, and what requests does when the line breaks."""
    deadline = clock.monotonic() + (_LONGEST - response.elapsed).total_seconds()
    try:
        # As `Response.content` does; there is no public way to hand it over.
        response._content = b"".join(_pieces(response, clock, deadline))  # noqa: SLF001
    except HTTPError as error:
        raise requests.ConnectionError(error, request=response.request) from error
    except BodyError:
        response.close()  # with the connection: the rest of the body would come first
        raise


def _pieces(response: requests.Response, clock: Clock, deadline: float) -> Iterator[bytes]:
    left = _LARGEST_BYTES
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        left -= len(piece)
        if left < 0:
            raise BodyError(f"the CA's answer is longer than {_LARGEST_BYTES // 1024} KiB")
        if clock.monotonic() > deadline:
            raise BodyError(f"no answer from the CA within {_LONGEST.seconds} s: it trickles")
        yield piece
