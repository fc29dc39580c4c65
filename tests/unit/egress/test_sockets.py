"""Connections of the event loop's own transports, over real sockets, on both kinds of loop."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop

from retinue.egress.sockets import Sockets, SocketStream
from tests.unit.egress.certificates import self_signed

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
LOOPS = pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
MakeLoop = Callable[[], asyncio.AbstractEventLoop]
PATIENCE = 10.0


def run(make_loop: MakeLoop, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(asyncio.wait_for(work, PATIENCE))


@asynccontextmanager
async def connected(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[SocketStream]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    stream = await Sockets().connect("127.0.0.1", port, timeout=PATIENCE)
    assert isinstance(stream, SocketStream)
    try:
        yield stream
    finally:
        stream.close()
        server.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@LOOPS
def test_what_is_sent_is_read_in_pieces_of_any_size_and_then_nothing(make_loop: MakeLoop) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(3)) * 4)
        await writer.drain()
        writer.close()

    async def work() -> None:
        async with connected(serve) as stream:
            await stream.write(b"abc")
            read = [await stream.read(5)]
            while read[-1]:
                read.append(await stream.read(5))
            assert b"".join(read) == b"abcabcabcabc"
            assert max(map(len, read)) <= 5
            assert await stream.read(5) == b""

    run(make_loop, work())


@LOOPS
def test_a_server_that_sends_faster_than_is_read_has_to_wait(make_loop: MakeLoop) -> None:
    size = 64 * 2**20

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(size))
        await writer.drain()
        writer.close()

    async def work() -> None:
        async with connected(serve) as stream:
            total = len(await stream.read(1))
            while data := await stream.read(65_536):
                total += len(data)
                assert stream._incoming._size <= 2**20
            assert total == size

    run(make_loop, work())


@LOOPS
def test_silence_and_a_server_that_does_not_read_take_as_long_as_they_may(make_loop: MakeLoop) -> None:
    async def work() -> None:
        has_waited = asyncio.Event()

        async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await has_waited.wait()
            writer.transport.abort()

        async with connected(silent) as stream:
            with pytest.raises(httpx2.ReadTimeout):
                await stream.read(1, 0.01)
        async with connected(deaf) as stream:
            with pytest.raises(httpx2.WriteTimeout):
                await stream.write(bytes(64 * 2**20), 0.01)
            has_waited.set()

    run(make_loop, work())


@LOOPS
def test_a_connection_that_is_reset_is_an_error_for_reader_and_writer(make_loop: MakeLoop) -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = writer.get_extra_info("socket").fileno()
        with socket.socket(fileno=socket.dup(number)) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def work() -> None:
        async with connected(reset) as stream:
            with pytest.raises(httpx2.ReadError):
                await stream.read(1)
            with pytest.raises(httpx2.WriteError):
                await stream.write(b"x")

    run(make_loop, work())


@LOOPS
def test_closing_waits_for_nobody_and_ends_it_for_both(make_loop: MakeLoop) -> None:
    async def work() -> None:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await reader.read()
            writer.close()
            ended.set()

        async with connected(serve) as stream:
            stream.close()
            await ended.wait()
            with pytest.raises(httpx2.WriteError):
                await stream.write(b"x")

    run(make_loop, work())


@LOOPS
def test_an_idle_connection_is_readable_as_soon_as_its_server_has_left(make_loop: MakeLoop) -> None:
    async def work() -> None:
        leave = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await leave.wait()
            writer.close()

        async with connected(serve) as stream:
            seen = [stream.is_readable]
            leave.set()
            while not stream.is_readable:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert seen == [False]
            assert await stream.read(1) == b""

    run(make_loop, work())


@LOOPS
def test_what_cannot_be_connected_to_in_time_or_at_all(make_loop: MakeLoop) -> None:
    async def work() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with pytest.raises(httpx2.ConnectError):
                await Sockets().connect("127.0.0.1", port, timeout=PATIENCE)
            with pytest.raises(httpx2.ConnectTimeout):
                await Sockets().connect("127.0.0.1", port, timeout=-1)

    run(make_loop, work())


@LOOPS
def test_tls_with_whom_is_trusted_and_with_nobody_else(make_loop: MakeLoop, tmp_path: Path) -> None:
    certificate = self_signed("site.example.com", tmp_path)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            writer.write(await reader.readexactly(3))
            await writer.drain()
            writer.close()

    async def work() -> None:
        async with connected(serve, own) as stream:
            await stream.start_tls(trusting, "site.example.com", PATIENCE)
            await stream.write(b"abc")
            assert await stream.read(9) == b"abc"
            assert stream._incoming.transport.get_extra_info("ssl_object") is not None
        for context, name in ((trusting, "other.example.com"), (ssl.create_default_context(), "site.example.com")):
            async with connected(serve, own) as stream:
                with pytest.raises(httpx2.ConnectError) as caught:
                    await stream.start_tls(context, name, PATIENCE)
                assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
                with pytest.raises(httpx2.WriteError):
                    await stream.write(b"abc")
        async with connected(silent) as stream:
            with pytest.raises(httpx2.ConnectTimeout):
                await stream.start_tls(trusting, "site.example.com", 0.01)

    run(make_loop, work())


@LOOPS
@pytest.mark.parametrize("is_read", [True, False])
def test_a_write_waits_until_there_is_room_or_nobody_to_read_it(make_loop: MakeLoop, is_read: bool) -> None:
    much = b"x" * 20_000_000

    async def work() -> None:
        full, read = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await full.wait()
            if is_read:
                read.set_result(await reader.readexactly(len(much)))
            writer.transport.abort()

        async with connected(serve) as stream:
            writing = asyncio.create_task(stream.write(much))
            await asyncio.sleep(0)
            assert not writing.done()
            full.set()
            if is_read:
                await writing
                assert await read == much
            else:
                with pytest.raises(httpx2.WriteError):
                    await writing

    run(make_loop, work())
