"""What the head of a request may be: its first line and its headers, before anything reads them."""

import re
from itertools import chain

import h11
import msgspec

from retinue.domain.errors import (
    BadRequest,
    CodingNotSupported,
    HeadersTooLarge,
    RetinueError,
    TargetTooLong,
)
from retinue.domain.ids import new_id
from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.http.problems import MEDIA_TYPE, encode_problem

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_PUNCTUATION = 4
"""Of each header line: a colon, a blank, and the end of the line."""
_FIRST_LINE = 64
"""For the method, the version and what stands between them."""


class HeadLimits(msgspec.Struct, frozen=True, kw_only=True):
    target_bytes: int = 8192
    headers: int = 100
    header_bytes: int = 16_384
    """Names and values together."""
    seconds: float = 10.0
    """From its first byte to its last."""

    @property
    def total_bytes(self) -> int:
        """No head that is allowed is longer."""
        return _FIRST_LINE + self.target_bytes + self.header_bytes + _PUNCTUATION * (self.headers + 1)

    def refusal(self, request: h11.Request) -> RetinueError | None:
        """Why this head is too much, or not understood by everybody alike, if it is."""
        if request.method != request.method.upper():
            # The parser takes `head` for another method than HEAD, and what is behind it does not (RFC 9110, 9.1).
            return BadRequest("Methods are written in capital letters.")
        if len(request.target) > self.target_bytes:
            return self._too_long()
        headers = request.headers.raw_items()
        if len(headers) > self.headers:
            return HeadersTooLarge(f"A request may have {self.headers} headers.")
        if sum(map(len, chain.from_iterable(headers))) > self.header_bytes:
            return self._too_large()
        if _CONTROL.search(b" ".join([value for _, value in headers])):
            return BadRequest("There are control characters in a header.")
        return None

    def refusal_of_part(self, received: bytes) -> RetinueError:
        """Why the beginning of a head that has no end is too much."""
        return self._too_large() if b"\n" in received else self._too_long()

    def _too_long(self) -> RetinueError:
        return TargetTooLong(f"Path and query may have {self.target_bytes} bytes together.")

    def _too_large(self) -> RetinueError:
        return HeadersTooLarge(f"The headers of a request may have {self.header_bytes} bytes together.")


def error_for(status: int) -> RetinueError:
    """The error for a status that the parser hints at."""
    if status == CodingNotSupported.status:
        return CodingNotSupported()
    return BadRequest("This is not HTTP as it should be.")


def answer(error: RetinueError, path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer that no application has a part in; the connection ends with it."""
    body = encode_problem(error, path)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", str(new_id()).encode()),
        *SECURITY_HEADERS,
        NO_STORE,
    ]
    return headers, body
