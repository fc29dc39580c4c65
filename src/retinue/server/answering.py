"""The head of an answer whose body goes out in chunks, as h11 writes it."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import starmap

import h11

FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding", b"host"})
"""Headers that h11 looks at, or puts somewhere else."""


def chunked_head(connection: h11.Connection, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """h11 checks and copies all headers of an answer three times. Here it is told the status alone, moves on to the
    body, and says how that is framed; most other lines were checked for an earlier answer.

    Args:
        headers: none of `FRAMING`.

    Raises:
        LocalProtocolError: a header that is none, and nothing was told to the connection; or it is not the time for an
            answer.
    """
    lines = b"".join(starmap(_line, headers))
    first, end, framing = connection.send(h11.Response(status_code=status, headers=[])).partition(b"\r\n")
    return b"".join((first, end, lines, framing))


@lru_cache(maxsize=512)
def _line(name: bytes, value: bytes) -> bytes:
    ((name, value),) = h11.Response(status_code=200, headers=[(name, value)]).headers.raw_items()
    return b"%b: %b\r\n" % (name, value)
