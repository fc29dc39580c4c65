"""Answers that begin when the application has returned: what they hold, and how they end."""

import gc
import weakref
from typing import Any

import pytest
from litestar.types import ASGIApp
from structlog.testing import capture_logs

from retinue.domain.errors import RateLimited, StreamBroken
from retinue.http.afterwards import AFTERWARDS, REQUEST_ID, afterwards
from retinue.http.attendance import LEAVE
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.outlet import OUTLET


class Request:
    """What an application makes of a scope."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope


class Application:
    """Returns an answer like a route, and is seen to have returned."""

    def __init__(self, answer: ASGIApp) -> None:
        self._answer = answer
        self.has_returned = False
        self.request: Any = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        self.request = weakref.ref(request)
        scope["state"]["of the framework"] = request
        await afterwards(self._answer)(scope, receive, send)
        self.has_returned = True


def scope_of() -> Any:
    state = {OUTLET: None, "new_outlet": None}
    return {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"x")], "state": state}


class Sent:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status


async def nothing() -> Any:
    raise NotImplementedError


async def test_nothing_of_the_request_is_held_while_the_answer_is_sent() -> None:
    seen: list[Any] = []

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["headers"], "who may read the answer is decided by them"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gc.collect()
        seen.extend([application.has_returned, application.request(), scope["headers"], set(scope["state"])])
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    application, scope, sent = Application(answer), scope_of(), Sent()
    scope["state"][LEAVE] = lambda: seen.append("left")
    await Edge(application, EdgeLimits())(scope, nothing, sent)
    assert seen == [True, None, [], {OUTLET, REQUEST_ID, LEAVE}, "left"]
    assert sent.status == 200


async def test_where_nobody_looks_for_it_it_is_sent_at_once() -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        assert not application.has_returned
        await send({"type": "http.response.start", "status": 200, "headers": []})

    application, sent = Application(answer), Sent()
    await application(scope_of(), nothing, sent)
    assert sent.status == 200


async def test_an_answer_that_fails_before_it_began_is_a_problem() -> None:
    async def answer(*_: Any) -> None:
        raise RateLimited

    sent = Sent()
    await Edge(Application(answer), EdgeLimits())(scope_of(), nothing, sent)
    assert sent.status == 429


@pytest.mark.parametrize("error", [StreamBroken(), ZeroDivisionError()], ids=repr)
async def test_an_answer_that_fails_later_is_broken_off(error: Exception) -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    sent, edge = Sent(), Edge(Application(answer), EdgeLimits())
    with capture_logs() as lines:
        if isinstance(error, StreamBroken):
            await edge(scope_of(), nothing, sent)
            assert [line["event"] for line in lines] == [error.code]
        else:
            with pytest.raises(ZeroDivisionError):
                await edge(scope_of(), nothing, sent)
    assert [message["type"] for message in sent.messages] == ["http.response.start"]


async def test_an_answer_of_the_application_itself_is_none_of_these() -> None:
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["state"][AFTERWARDS] is None
        await send({"type": "http.response.start", "status": 204, "headers": []})
        assert scope["headers"]

    sent = Sent()
    await Edge(application, EdgeLimits())(scope_of(), nothing, sent)
    assert sent.status == 204
