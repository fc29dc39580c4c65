"""HTTP/1.1 and nothing else, with heads of a bounded size.

Breaking a stream off is how a client learns that it has no end. On HTTP/2 Hypercorn leaves a stream open for ever whose
application returns in its middle, so an upgrade is not offered and the preface of HTTP/2 is refused. A proxy in front
may speak HTTP/2 to its clients. Nor is there a WebSocket here: a wish for one is overlooked, as RFC 9110 allows, and
the request answered as what it is besides.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any, Protocol
from urllib.parse import unquote

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState, TaskGroup

from retinue.domain.errors import HeadersTooLarge, RequestTimeout, RetinueError, VersionNotSupported
from retinue.http.headers import SECURITY_HEADERS
from retinue.http.outlet import OUTLET
from retinue.observability.metrics import METRICS, UNKNOWN
from retinue.server.answering import FRAMING, chunked_head
from retinue.server.config import ServerConfig
from retinue.server.heads import answer, error_for
from retinue.server.outlet import ChunkOutlet
from retinue.server.turn import Turn

_VERSIONS = (b"1.1", b"1.0")
_ANSWERABLE = (h11.IDLE, h11.SEND_RESPONSE)
_END = h11.EndOfMessage()


class Line(TaskGroup, Protocol):
    """What a connection is to its protocol, besides Hypercorn's idea of it."""

    def new_outlet(self, is_whole: Callable[[], bool]) -> ChunkOutlet: ...


class Http1Protocol(H11Protocol):
    config: ServerConfig
    task_group: Line
    connection: h11.Connection
    is_refused = False
    """The connection ends, whatever else its client has to say."""
    _is_head_method = False
    _is_chunked = False
    _outlet: ChunkOutlet | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.can_read: Turn = Turn()

    @property
    def is_in_head(self) -> bool:
        """Whether the beginning of a request has come, and not all of its head."""
        return self.connection.their_state is h11.IDLE and bool(self.connection.trailing_data[0])

    @property
    def is_cut_short(self) -> bool:
        """Whether the connection ends, if it does now, before its client has said everything."""
        return self.is_refused or self.connection.their_state is h11.SEND_BODY

    async def handle(self, event: Event) -> None:
        if not self.is_refused or isinstance(event, Closed):
            await super().handle(event)

    async def stream_send(self, event: StreamEvent) -> None:
        if type(event) is Body and self._is_chunked and event.data:
            # As h11 writes it, in one piece instead of three.
            await self.send(RawData(data=b"%x\r\n%b\r\n" % (len(event.data), event.data)))
        elif type(event) is Response:
            await self._send_head(event)
        elif type(event) is EndBody:
            if self._outlet is not None:
                self._outlet.end()
            await self._send_h11_event(_END)
        else:
            await super().stream_send(event)

    async def _send_head(self, response: Response) -> None:
        """With the security headers also where Hypercorn itself answers for an application that does not; and with the
        truth about the connection, which is closed after an answer that did not wait for all of the body.
        """
        given = {name.lower() for name, _ in response.headers}
        headers = [*response.headers, *(header for header in SECURITY_HEADERS if header[0] not in given)]
        if self.connection.their_state is h11.SEND_BODY:
            headers.append((b"connection", b"close"))
            given.add(b"connection")
        self._is_chunked = self.connection.their_http_version == b"1.1" and b"content-length" not in given
        if self._is_chunked and given.isdisjoint(FRAMING) and self._goes_on():
            await self._send_chunked_head(response.status_code, headers)
        else:
            await super().stream_send(replace(response, headers=headers))
        if self._is_chunked and self._outlet is not None:
            self._outlet.open()

    async def _send_chunked_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """For an answer of which nobody but h11 decides how it is framed (RFC 9112, 6.3 and 7.1)."""
        headers += self.config.response_headers("h11")
        try:
            head = chunked_head(self.connection, status, headers)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
        else:
            await self.send(RawData(data=head))

    def _goes_on(self) -> bool:
        """Whether the connection may be used for another request, as far as Hypercorn is concerned."""
        return self.keep_alive_requests < self.config.keep_alive_max_requests

    async def refuse_slow(self) -> None:
        limit = self.config.head_limits.seconds
        await self._refuse(RequestTimeout(f"The headers must arrive within {limit:g} seconds."))

    async def _check_protocol(self, event: h11.Request) -> None:
        self._is_head_method = event.method == b"HEAD"
        if event.http_version not in _VERSIONS:
            await self._refuse(VersionNotSupported("HTTP/1.1 is spoken here."))
        elif error := self.config.head_limits.refusal(event):
            path = unquote(event.target.split(b"?", 1)[0].decode("ascii"))
            await self._refuse(error, path if isinstance(error, HeadersTooLarge) else "")

    async def _create_stream(self, request: h11.Request) -> None:
        """What is refused never gets to the application, nor does a wish for another protocol."""
        if self.is_refused:
            return
        self._offer_outlet()
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=[header for header in request.headers if header[0] != b"upgrade"],
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=ConnectionState({OUTLET: self._outlet}),
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    def _offer_outlet(self) -> None:
        """Not to HEAD, which has no body."""
        self._outlet = None if self._is_head_method else self.task_group.new_outlet(self._has_heard_all)

    def _has_heard_all(self) -> bool:
        return self.connection.their_state is not h11.SEND_BODY

    async def _close_stream(self) -> None:
        """Either side has ended it."""
        if self._outlet is not None:
            self._outlet.close()
        await super()._close_stream()

    async def _send_error_response(self, status_code: int) -> None:
        """The parser gives up."""
        error = error_for(status_code)
        if status_code == HeadersTooLarge.status and self.connection.our_state is h11.IDLE:
            error = self.config.head_limits.refusal_of_part(self.connection.trailing_data[0])
        await self._refuse(error)

    async def _refuse(self, error: RetinueError, path: str = "") -> None:
        """Answer, if nothing was answered yet, and close."""
        self.is_refused = True
        if self.connection.our_state in _ANSWERABLE:
            is_of_request = self.connection.our_state is h11.SEND_RESPONSE
            METRICS.request_answered(UNKNOWN, None, error.status, 0.0)
            headers, body = answer(error, path)
            complete = list(chain(headers, self.config.response_headers("h11")))
            await self._send_h11_event(h11.Response(status_code=error.status, headers=complete))
            if not (self._is_head_method and is_of_request):
                await self._send_h11_event(h11.Data(data=body))
            await self._send_h11_event(_END)
        await self.send(Closed())
