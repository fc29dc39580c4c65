"""The strict reader of event streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support import http1
from tests.support.sse import BadFrame, EventStream, Frame, FrameParser

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ONE = b'id: a:1-1\nevent: token\ndata: {"content": "h\xc3\xa9"}\n\n'
TWO = b": ping\nid: a:1-2\nevent: message_end\ndata: {}\n\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[EventStream]:
    """A stream of exactly these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        response = await http1.request(f"{host}:{port}", "GET", "/")
        async with EventStream(response) as stream:
            yield stream


async def read_all(answer: bytes) -> None:
    async with serving(answer) as stream:
        await stream.rest()


@pytest.mark.parametrize("split", [1, 2, 7, 1000])
def test_frames_survive_any_split(split: int) -> None:
    parser = FrameParser()
    body = ONE + TWO
    frames = [frame for at in range(0, len(body), split) for frame in parser.feed(body[at : at + split])]
    assert frames == [
        Frame(id="a:1-1", event="token", data='{"content": "hé"}', raw=ONE),
        Frame(id="a:1-2", event="message_end", data="{}", comments=("ping",), raw=TWO),
    ]
    assert frames[0].json == {"content": "hé"}
    assert parser.leftover == []


@pytest.mark.parametrize(
    "body",
    [
        b"data: {}\r\n\r\n",
        b"data: a\ndata: b\n\n",
        b"data:{}\n\n",
        b"\n",
        b"foo: bar\n\n",
        b"data: {}\n\n\n",
        b"data\n\n",
    ],
)
def test_what_breaks_the_grammar_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        FrameParser().feed(body)


def test_an_unfinished_frame_is_left_over() -> None:
    parser = FrameParser()
    assert parser.feed(b": bye\ndata: {}\nid: 1") == []
    assert parser.leftover == [b"data: {}", b"id: 1"]


async def test_a_whole_stream() -> None:
    async with serving(HEAD + chunk(ONE) + chunk(TWO + b": bye\n") + END) as stream:
        assert [frame.id for frame in await stream.take(1)] == ["a:1-1"]
        assert [frame.id for frame in await stream.rest()] == ["a:1-2"]
        assert stream.response.ending == "complete"
        assert bytes(stream.response.body) == ONE + TWO + b": bye\n"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + chunk(ONE),
        HEAD + chunk(ONE) + b"ff\r\nhalf",
        HEAD + chunk(ONE) + b"0\r\n",
        HEAD + chunk(ONE + b"data: {}\n") + END,
        b"HTTP/1.1 200 OK\r\n\r\n" + ONE,
    ],
)
async def test_an_end_that_is_none_is_noticed(answer: bytes) -> None:
    async with serving(answer) as stream:
        with pytest.raises(AssertionError):
            await stream.rest()
        assert stream.seen[0].id == "a:1-1"


async def test_waiting_for_a_frame_that_never_comes_fails() -> None:
    async with serving(HEAD + chunk(ONE) + END) as stream:
        with pytest.raises(AssertionError, match="without message_end"):
            await stream.until("message_end")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        HEAD + b"1\r\nab\r\n",
    ],
)
async def test_bad_framing_is_refused(answer: bytes) -> None:
    with pytest.raises(http1.BadFraming):
        await read_all(answer)
