"""One connection, many requests: what goes out, and when it is used again."""

from collections.abc import AsyncIterator
from unittest.mock import Mock

import httpx2
import pytest

from retinue.egress.http1 import _head
from retinue.egress.streams import Stream
from tests.unit.egress.internet import Internet, answer

URL = "http://site.example.com/"
PLACE = "site.example.com/"


class Wire(Internet):
    """Keeps every write as it was made."""

    def __init__(self, *pages: bytes) -> None:
        super().__init__({PLACE: pages[0] if pages else answer()})
        self.written: list[bytes] = []

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ASYNC109
        stream = await super().connect(host, port, timeout)
        write = stream.write

        async def noted(data: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
            self.written.append(data)
            if b" HTTP/1.1\r\n" in data:
                await write(data, timeout)

        stream.write = noted  # type: ignore[method-assign]
        return stream


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_request_leaves_in_one_piece() -> None:
    wire = Wire()
    async with wire.client() as client:
        await client.post(URL, content=b"{}", headers={"X-Mixed-Case": "a b"})
    [whole] = wire.written
    head, body = whole.split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST / HTTP/1.1"
    assert {b"Host: site.example.com", b"Content-Length: 2", b"X-Mixed-Case: a b"} <= set(lines)
    assert body == b"{}"


async def test_a_body_at_hand_can_leave_in_chunks_too() -> None:
    wire = Wire()
    async with wire.client() as client:
        await client.post(URL, content=b"{}", headers={"Transfer-Encoding": "chunked"})
    assert b"".join(wire.written).endswith(b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


async def test_a_body_of_unknown_length_leaves_in_chunks() -> None:
    wire = Wire()
    async with wire.client() as client:
        assert (await client.post(URL, content=in_pieces(b"one", b"", b"x" * 20))).text == "hello"
    assert b"Transfer-Encoding: chunked" in wire.written[0]
    assert b"".join(wire.written).endswith(b"\r\n\r\n3\r\none\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abc", b"def", b"g"), (b"abcdefg", b"h")])
async def test_a_body_is_as_long_as_its_head_says(pieces: tuple[bytes, ...]) -> None:
    wire = Wire()
    async with wire.client() as client:
        with pytest.raises(httpx2.LocalProtocolError):
            await client.post(URL, content=in_pieces(*pieces), headers={"Content-Length": "5"})
        with pytest.raises(httpx2.LocalProtocolError):
            await client.post(URL, content=b"".join(pieces), headers={"Content-Length": "5"})
        assert (await client.get(URL)).text == "hello"
    assert len(wire.dialled) == 3, "a request that was not sent to its end leaves no connection behind"


@pytest.mark.parametrize(
    "header",
    [
        (b"X-Key", b"a\r\nHost: evil"),
        (b"X-Key", b"a\nb"),
        (b"X-Key", b"a\rb"),
        (b"X-Key", b"a\x00b"),
        (b"X Key", b"a"),
        (b"X-Key:", b"a"),
        (b"", b"a"),
        (b"X\r\nY", b"a"),
    ],
)
async def test_no_value_becomes_a_header_of_its_own(header: tuple[bytes, bytes]) -> None:
    wire = Wire()
    async with wire.client() as client:
        with pytest.raises(httpx2.LocalProtocolError):
            await client.get(URL, headers=[header])
    assert wire.written == []


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", b"/ HTTP/1.1\r\nX: y\r\n"), ("GET", b"/a b"), ("GET", b""), ("GET / HTTP/1.1\r\n", b"/")],
)
def test_the_first_line_is_one_line(method: str, target: bytes) -> None:
    """httpx2 makes no such request; nothing here relies on that."""
    request = Mock(method=method, url=Mock(raw_path=target), headers=httpx2.Headers())
    with pytest.raises(httpx2.LocalProtocolError):
        _head(request)


async def test_a_connection_is_used_again() -> None:
    internet = Internet()
    async with internet.client() as client:
        for _ in range(3):
            assert (await client.get(URL)).text == "hello"
    assert len(internet.dialled) == 1


@pytest.mark.parametrize(
    "page",
    [
        answer("200 OK", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        answer() + b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
async def test_a_connection_that_is_over_is_not(page: bytes) -> None:
    internet = Internet({PLACE: page})
    async with internet.client() as client:
        for _ in range(2):
            assert (await client.get(URL)).text == "hello"
    assert len(internet.dialled) == 2


async def test_an_answer_that_was_not_read_costs_its_connection() -> None:
    internet = Internet({PLACE: answer(body=b"x" * 100_000)})
    async with internet.client() as client:
        async with client.stream("GET", URL) as response:
            assert len(await anext(response.aiter_raw())) < 100_000
        async with client.stream("GET", URL):
            pass
        await client.get(URL)
    assert len(internet.dialled) == 3


async def test_the_head_alone() -> None:
    internet = Internet({PLACE: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"})
    async with internet.client() as client:
        for _ in range(2):
            response = await client.head(URL)
            assert (response.headers["content-length"], response.content) == ("5", b"")


@pytest.mark.parametrize(
    ("chunks", "told", "error"),
    [
        (b"3\r\none\r\n3\r\nt", b"onet", httpx2.ReadError),
        (b"3\r\none\r\nwrong\r\n", b"one", httpx2.RemoteProtocolError),
    ],
)
async def test_what_came_before_the_trouble_is_told(chunks: bytes, told: bytes, error: type[Exception]) -> None:
    internet = Internet({PLACE: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks})
    came = bytearray()
    async with internet.client() as client, client.stream("GET", URL) as response:
        with pytest.raises(error):
            await _read(response, came)
    assert came == told


async def _read(response: httpx2.Response, into: bytearray) -> None:
    async for piece in response.aiter_raw():
        into += piece


class Refusing(Internet):
    """Answers before it has read anything, and reads nothing."""

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ASYNC109
        stream = await super().connect(host, port, timeout)
        write = stream.write

        async def broken(data: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
            await write(data, timeout)
            raise httpx2.WriteError("broken pipe")

        stream.write = broken  # type: ignore[method-assign]
        return stream


async def test_an_answer_counts_although_the_request_was_not_read() -> None:
    internet = Refusing({PLACE: answer("413 Content Too Large", body=b"too large")})
    async with internet.client() as client:
        response = await client.post(URL, content=b"x" * 1000)
    assert (response.status_code, response.text) == (413, "too large")


async def test_leaving_twice_gives_the_connection_back_once() -> None:
    internet = Internet()
    async with internet.client() as client:
        connection = await client._transport._pool.connection(httpx2.Request("GET", URL))  # type: ignore[attr-defined]
        response = await connection.ask(httpx2.Request("GET", URL))
        assert await response.aread() == b"hello"
        await response.stream.aclose()
        begun = [await client.send(client.build_request("GET", URL), stream=True) for _ in range(2)]
        assert [await one.aread() for one in begun] == [b"hello", b"hello"]
    assert len(internet.dialled) == 2
