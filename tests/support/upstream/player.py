"""Plays a scenario's steps to one connection."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from tests.support.upstream import wire
from tests.support.upstream.recording import RecordedRequest
from tests.support.upstream.scenario import Cut, Hold, Pause, Scenario, Stall
from tests.support.upstream.steps import Frame, Step

PATIENCE = 0.25
"""Seconds from which on a delay also watches for the peer to close."""


class Gone(Exception):
    """The peer closed the connection."""


class Player:
    """One answer. `play` returns whether the connection can carry another request."""

    def __init__(
        self,
        reader: wire.WatchedReader,
        writer: asyncio.StreamWriter,
        record: RecordedRequest,
        gates: Mapping[str, asyncio.Event],
    ) -> None:
        self.reader, self.writer, self.record = reader, writer, record
        self.gates = gates
        self.clock = asyncio.get_running_loop().time
        self.due = 0.0

    async def play(self, scenario: Scenario, steps: Iterable[Step]) -> bool:
        chunked = scenario.framing == "chunked"
        rest = iter(steps)
        delay = scenario.before_first
        self.due = self.clock()
        for step in rest:
            match step:
                case Frame():
                    if step.paced:
                        await self.wait(delay)
                        delay = scenario.between
                    await self.send(step.data, scenario.split, chunked=chunked)
                    self.record.frames_sent += 1
                case Pause():
                    await self.wait(step.seconds)
                case Hold():
                    await self.hold(self.gates[step.name])
                case Stall():
                    await self.reader.closed.wait()
                    raise Gone
                case Cut() if step.how == "clean" and not step.mid_frame:
                    break
                case Cut():
                    await self.cut(step, rest)
                    return False
        if chunked:
            self.writer.write(wire.END_OF_CHUNKS)
        await self.writer.drain()
        return chunked

    async def wait(self, delay: float) -> None:
        """Wait until `delay` after the last time it was due, so that long streams do not drift."""
        self.due = max(self.due + delay, self.clock() - delay)
        left = self.due - self.clock()
        if left <= 0:
            return
        if left < PATIENCE:
            await asyncio.sleep(left)
            return
        try:
            await asyncio.wait_for(self.reader.closed.wait(), left)
        except TimeoutError:
            return
        raise Gone

    async def hold(self, gate: asyncio.Event) -> None:
        """Wait for the gate to open, or for the peer to close."""
        waits = [asyncio.create_task(event.wait()) for event in (gate, self.reader.closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not gate.is_set():
            raise Gone
        self.due = self.clock()

    async def send(self, data: bytes, split: int | None, *, chunked: bool) -> None:
        if self.reader.closed.is_set() or self.writer.transport.is_closing():
            raise Gone
        size = split or len(data)
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self.writer.write(wire.chunk(part) if chunked else part)
            if split:
                await asyncio.sleep(0)
        await self.writer.drain()

    async def cut(self, step: Cut, rest: Iterator[Step]) -> None:
        if step.mid_frame:
            following = next((later.data for later in rest if isinstance(later, Frame)), b'data: {"choices": []}\n\n')
            self.writer.write(wire.half_chunk(following))
        await self.writer.drain()
        if step.how == "rst":
            wire.reset(self.writer)
        else:
            self.writer.close()
