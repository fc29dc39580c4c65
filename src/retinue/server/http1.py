"""HTTP/1.1 and nothing else.

Breaking a stream off is how a client learns that it has no end. On HTTP/2 Hypercorn leaves a stream open for ever whose
application returns in its middle, so an upgrade is not offered and the preface of HTTP/2 is refused. A proxy in front
may speak HTTP/2 to its clients.
"""

from typing import Any

import hypercorn.protocol
from h11 import Request
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H11Protocol

HTTP_VERSION_NOT_SUPPORTED = 505


class Http1Protocol(H11Protocol):
    async def _check_protocol(self, event: Request) -> None:
        """Ignores `Upgrade: h2c`, as RFC 9110 allows."""
        if event.http_version == b"2.0":
            await self._send_error_response(HTTP_VERSION_NOT_SUPPORTED)
            await self.send(Closed())

    async def _create_stream(self, request: Request) -> None:
        """The preface is refused, and no request: the application does not get to see it."""
        if request.http_version != b"2.0":
            await super()._create_stream(request)


def install() -> None:
    """Have Hypercorn speak this."""
    made_by: Any = hypercorn.protocol
    made_by.H11Protocol = Http1Protocol
