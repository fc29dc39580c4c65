"""The headers that every answer has, from every route that exists and from those that do not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from litestar.routes import HTTPRoute

from retinue.app import Application
from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.observability.redaction import Redactor
from retinue.settings import load
from tests.e2e.contract.wire import RawAnswer, exchange, parse
from tests.e2e.streams.talk import open_stream
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

EXPECTED = {name.decode(): value.decode() for name, value in (*SECURITY_HEADERS, NO_STORE)}


class Ask(NamedTuple):
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def of(self, server: ForkedServer) -> RawAnswer:
        lines = [f"{self.method} {self.target} HTTP/1.1", f"host: {server.address}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        head = "\r\n".join([*lines, f"content-length: {len(self.body)}"])
        data = head.encode() + b"\r\n\r\n" + self.body
        [answer] = parse(exchange(server.address, data), is_head=self.method == "HEAD")
        return answer


def routes(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Every path of the application with its methods, as they are registered."""
    database = {"RETINUE_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'none.db'}"}
    for route in Application(load(environ=database), Redactor()).litestar.routes:
        assert isinstance(route, HTTPRoute), route
        yield route.path_format, {method for handler in route.route_handlers for method in handler.http_methods}


def everything(folder: Path, key: str) -> Iterator[Ask]:
    """Each route by each of its methods, by one that it does not have, with a key and without, well formed and not."""
    keyed, json = ("x-api-key", key), ("content-type", "application/json")
    for template, methods in routes(folder):
        target = re.sub(r"\{[^}]+\}", str(UUID(int=7)), template)
        for method in methods | {"HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}:
            yield Ask(method, target)
            yield Ask(method, target, (keyed, json), b"{}" if method in {"POST", "PUT", "PATCH"} else b"")
            yield Ask(method, target + "?unknown=1", (keyed, json))
            yield Ask(method, target, (keyed, json), b"nonsense" if method == "POST" else b"")
    for target in ("/", "/nowhere", "/docs", "/api/v1", "/%ff", "*", "/" + "a" * 9000):
        yield from (Ask(method, target, (keyed,)) for method in ("GET", "HEAD", "OPTIONS", "POST", "BREW"))


def test_every_answer_has_them(alone: ForkedServer, tmp_path: Path) -> None:
    assert alone.key is not None
    statuses = set()
    for ask in everything(tmp_path, alone.key):
        data = ask.of(alone)
        statuses.add(data.status)
        found = {name: data.headers.get(name) for name in EXPECTED}
        assert found == EXPECTED, (ask, data)
        assert data.headers["x-request-id"], ask
    assert {200, 204, 400, 401, 404, 405, 414, 422} <= statuses


def test_each_of_them_comes_once(alone: ForkedServer) -> None:
    for target in ("/api/v1/health", "/nowhere", "/" + "a" * 9000):
        data = f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
        head = exchange(alone.address, data).partition(b"\r\n\r\n")[0].lower()
        for name in EXPECTED:
            assert head.count(b"\r\n%b: " % name.encode()) == 1, (target, name)


async def test_streams_have_them_and_are_passed_on_at_once(alone: ForkedServer) -> None:
    client = RetinueClient(alone.address, alone.key)
    conversation = await client.hire()
    async with await open_stream(client, conversation.id) as response:
        assert response.status == 200
        for name, value in EXPECTED.items():
            assert response.header(name) == value, name
        assert response.header("x-accel-buffering") == "no"
        assert response.header("content-type") == "text/event-stream; charset=utf-8"


def test_nothing_is_a_page(alone: ForkedServer, tmp_path: Path) -> None:
    """No documentation page that would load scripts from somebody else's server, nor any other page."""
    assert alone.key is not None
    asks = [Ask("GET", path, (("accept", "text/html"),)) for path in ("/", "/docs", "/schema", "/redoc", "/swagger")]
    asks += [Ask("GET", ask.target, (*ask.headers, ("accept", "text/html"))) for ask in everything(tmp_path, alone.key)]
    for ask in asks:
        answer = ask.of(alone)
        kind = answer.headers.get("content-type", "application/json")
        assert kind in {"application/json", "application/problem+json"}, (ask, kind)
        assert b"<script" not in answer.body
        assert b"<html" not in answer.body.lower()
