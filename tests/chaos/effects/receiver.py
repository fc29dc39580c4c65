"""What the tools of these tests reach: counts what arrives, and holds whoever a test wants to stand still."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from retinue.domain.ids import new_id
from tests.support.upstream import wire


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A request that has arrived with all of its body."""

    path: str
    marker: str
    key: str
    """Its idempotency key."""
    pid: int
    """Of the process that sent it."""
    receipt: str
    """What it is answered with: under one key always the same on `/idempotent`, elsewhere a new one each time."""
    at: float = field(default_factory=time.monotonic)


@dataclass(kw_only=True)
class Gate:
    """Where one call is to stand still."""

    skip: int = 0
    """So many pass before one is held. After that one, all pass."""
    pid: int | None = None
    """The process that stands here, or stood here."""
    was_left: bool = False
    """Whether whoever stood here has gone away by himself, because it took too long."""
    is_open: asyncio.Event = field(default_factory=asyncio.Event)


class Receiver:
    """Loopback HTTP on a loop of its own; to be used from any thread.

    `POST /write`, `/idempotent` and `/read` are deliveries, `POST /gate` only asks whether to go on. Bodies are
    `{"marker": …, "point": …, "pid": …}`; a delivery passes the gate `received`.
    """

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.begun: list[tuple[str, int]] = []
        """Markers of the calls that were begun, with the processes that began them."""
        self.faults: list[str] = []
        self._gates: dict[tuple[str, str], Gate] = {}
        self._receipts: dict[str, str] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(self._protocol, "127.0.0.1", 0, backlog=1024)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def arm(self, point: str, marker: str, *, skip: int = 0) -> Gate:
        """Hold the next call with this marker that comes to this point."""
        gate = self._gates[point, marker] = Gate(skip=skip)
        return gate

    def release(self) -> None:
        """Open all gates; calls that come to them from now on pass."""
        gates, self._gates = list(self._gates.values()), {}
        for gate in gates:
            self._loop.call_soon_threadsafe(gate.is_open.set)

    def of(self, marker: str) -> list[Delivery]:
        """What has arrived of one call."""
        return [delivery for delivery in list(self.deliveries) if delivery.marker == marker]

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = wire.WatchedReader()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return asyncio.StreamReaderProtocol(reader, accept)

    async def _serve(self, reader: wire.WatchedReader, writer: asyncio.StreamWriter) -> None:
        try:
            if incoming := await wire.read_request(reader):
                answer = msgspec.json.encode(await self._answer(incoming, reader))
                head = wire.head(200, {"Content-Length": str(len(answer)), "Content-Type": "application/json"})
                writer.write(head + answer)
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked was killed
        except Exception as error:
            self.faults.append(repr(error))
        finally:
            writer.close()

    async def _answer(self, incoming: wire.Incoming, reader: wire.WatchedReader) -> Any:
        body = msgspec.json.decode(incoming.body)
        if incoming.path == "/gate":
            if body["point"] == "before":
                self.begun.append((body["marker"], body["pid"]))
            await self._pass(body["point"], body, reader)
            return {}
        key = incoming.headers["idempotency-key"]
        delivery = Delivery(
            path=incoming.path,
            marker=body["marker"],
            key=key,
            pid=body["pid"],
            receipt=self._receipts.setdefault(key, str(new_id())) if incoming.path == "/idempotent" else str(new_id()),
        )
        self.deliveries.append(delivery)
        await self._pass("received", body, reader)
        return {"receipt": delivery.receipt}

    async def _pass(self, point: str, body: Any, reader: wire.WatchedReader) -> None:
        gate = self._gates.get((point, body["marker"]))
        if gate is None or gate.pid is not None:
            return
        if gate.skip:
            gate.skip -= 1
            return
        gate.pid = body["pid"]
        waits = [asyncio.create_task(event.wait()) for event in (gate.is_open, reader.closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        gate.was_left = not gate.is_open.is_set()


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver in a thread of its own; stopped at the end."""
    receiver = Receiver()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.run_until_complete(receiver.start())
        thread = threading.Thread(target=loop.run_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            asyncio.run_coroutine_threadsafe(receiver.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
