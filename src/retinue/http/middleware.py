"""What every HTTP request passes before the application, and every response after it.

Wraps the whole application, not single routes: unknown paths and broken requests pass here too.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPDisconnectEvent, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from retinue.domain.audit import SYSTEM, acting
from retinue.domain.errors import AccessEnded, BadRequest, BodyTooLarge, RetinueError, StreamBroken, StreamMoved
from retinue.domain.ids import new_id
from retinue.http.afterwards import AFTERWARDS, REQUEST_ID, take_answer
from retinue.http.attendance import LEAVE
from retinue.http.body import LimitedBody
from retinue.http.counting import RequestCount
from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.http.problems import MEDIA_TYPE, encode_problem, headers_of, to_retinue_error
from retinue.http.rate_limit import RATE_HEADERS

_log = structlog.get_logger("retinue.http")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class EdgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a request before anything reads it."""

    body_bytes: int = 1_048_576
    body_depth: int = 64
    """Nesting of arrays and objects."""
    body_seconds: float = 30.0
    """Until the whole body is there."""


class Edge:
    """Request id, body bounds, security headers, HEAD, and a problem document for whatever nobody caught."""

    def __init__(self, app: ASGIApp, limits: EdgeLimits) -> None:
        self._app = app
        self._limits = limits

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, send) if scope["type"] != ScopeType.HTTP else self._serve(scope, receive, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        count = RequestCount(scope["method"])
        request_id, refusal = self._inspect(scope)
        answer = _Answer(send, request_id, scope, count)
        state = self._begun(scope, request_id.decode())
        # A server may serve several requests of a connection in one context.
        before = acting.set(SYSTEM)
        try:
            if refusal is not None:
                raise refusal
            if answer.is_head:
                scope["method"] = "GET"
                receive = answer.until_headers
            elif scope["method"] in _WITH_BODY:
                receive = LimitedBody(receive, self._limits.body_bytes, self._limits.body_seconds)
            await self._app(scope, receive, answer)
            if later := take_answer(state):
                answer.is_alone = True
                await later(scope, receive, answer)
        except Exception as exc:
            if not answer.has_begun:
                await _send_problem(answer, to_retinue_error(exc), scope["path"])
            # Once a response has begun, breaking off is the only honest thing left. A server closes the connection
            # without the terminating chunk also when the application returns without having ended the body.
            elif broken := _deliberate(exc):
                tell = _log.info if isinstance(broken, StreamMoved | AccessEnded) else _log.warning
                tell(broken.code, path=scope["path"])
            else:
                raise
        finally:
            acting.reset(before)
            count.ended(scope.get("path_template"))
            if leave := state.get(LEAVE):
                leave()

    def _begun(self, scope: HTTPScope, request_id: str) -> dict[str, Any]:
        """The request's state, in which everybody finds what holds for all of it."""
        state: dict[str, Any] = scope.setdefault("state", {})
        state[REQUEST_ID] = request_id
        state[AFTERWARDS] = None
        state["max_depth"] = self._limits.body_depth
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        return state

    def _inspect(self, scope: HTTPScope) -> tuple[bytes, RetinueError | None]:
        """The request id, and the reason to refuse what can be refused by its headers alone."""
        request_id: bytes = b""
        refusal: RetinueError | None = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = value if _REQUEST_ID.fullmatch(value) else b""
            elif name == b"content-length":
                if not value.isdigit() or len(value) > 18 or int(value) > self._limits.body_bytes:
                    refusal = BodyTooLarge(f"A body may have {self._limits.body_bytes} bytes.")
            elif name == b"transfer-encoding" and any(other == b"content-length" for other, _ in scope["headers"]):
                refusal = _ambiguous_framing()
        return request_id or str(new_id()).encode(), refusal


class _Answer:
    """`send`, with the headers of every response; drops the body of an answer to HEAD."""

    __slots__ = (
        "_count",
        "_headers_sent",
        "_request_id",
        "_scope",
        "_send",
        "has_begun",
        "has_ended",
        "is_alone",
        "is_head",
    )

    def __init__(self, send: Send, request_id: bytes, scope: HTTPScope, count: RequestCount) -> None:
        self._send = send
        self._request_id = request_id
        self._scope, self._count = scope, count
        self.is_head = scope["method"] == "HEAD"
        self.has_begun = False
        self.has_ended = False
        self.is_alone = False
        """Nobody looks at the request any more."""
        self._headers_sent = asyncio.Event() if self.is_head else None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            message["headers"] = self._complete(message.get("headers", ()))
            self._count.answer_began(message["status"], message["headers"], self._scope.get("path_template"))
            await self._send(message)
            if self.is_alone:
                # Servers keep both for as long as the answer takes.
                self._scope["headers"], message["headers"] = [], []
            if self._headers_sent is not None:
                self.has_ended = True
                self._headers_sent.set()
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        elif not self.has_ended:
            await self._send(message)

    async def until_headers(self) -> ReceiveMessage:
        """`receive` for HEAD, which has no body to read: tells a stream to stop as soon as its headers are out."""
        assert self._headers_sent is not None
        await self._headers_sent.wait()
        return HTTPDisconnectEvent(type="http.disconnect")

    def _complete(self, given: Any) -> list[tuple[bytes, bytes]]:
        headers = [(name, _with_head(value) if name.lower() == b"allow" else value) for name, value in given]
        headers.append((b"x-request-id", self._request_id))
        headers.extend(SECURITY_HEADERS)
        headers.extend(self._scope["state"].pop(RATE_HEADERS, ()))
        if not any(name.lower() == b"cache-control" for name, _ in headers):
            headers.append(NO_STORE)
        return headers


def _deliberate(error: BaseException | None) -> StreamBroken | None:
    """The StreamBroken that the error is or was caused by; Litestar wraps what comes after a response's start."""
    while error is not None and not isinstance(error, StreamBroken):
        error = error.__cause__
    return error


def _with_head(allow: bytes) -> bytes:
    methods = {method.strip() for method in allow.split(b",")}
    return b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))


def _ambiguous_framing() -> BadRequest:
    """A proxy that counts by the other one would take the rest of the body for a request of its own (RFC 9112, 6.1)."""
    return BadRequest("A body has a length or comes in chunks, not both.", headers={"connection": "close"})


async def _send_problem(send: Send, error: RetinueError, path: str) -> None:
    body = encode_problem(error, path)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers_of(error).items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
