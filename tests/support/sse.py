"""Server-sent events as the strictest client would read them: LF only, no unknown fields, nothing left over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import msgspec

from tests.support.http1 import Response

PATIENCE = 120.0
"""Seconds that a stream may take for what is read at once; one that hangs fails the test instead of hanging it."""


class BadFrame(Exception):
    """The stream breaks the grammar that Retinue promises."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One event, or comments that were closed by a blank line."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: int | None = None
    comments: tuple[str, ...] = ()
    """Comments since the last event."""
    raw: bytes = b""

    @property
    def json(self) -> Any:
        """The data, which must be one JSON object."""
        assert self.data is not None, self
        value = msgspec.json.decode(self.data)
        assert isinstance(value, dict), self
        return value


@dataclass
class FrameParser:
    """Bytes in, frames out. What is not yet a frame stays in `rest`."""

    rest: bytes = b""
    _lines: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete.

        Raises:
            BadFrame: a CR, an unknown field, a second `data:` line, a field that is not followed by one blank.
        """
        if b"\r" in data:
            raise BadFrame(f"CR in {data!r}")
        *lines, self.rest = (self.rest + data).split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            if line:
                self._lines.append(line)
            else:
                frames.append(_frame(self._lines))
                self._lines = []
        return frames

    @property
    def leftover(self) -> list[bytes]:
        """Lines after the last frame, apart from comments."""
        lines = [*self._lines, self.rest] if self.rest else self._lines
        return [line for line in lines if not line.startswith(b":")]


def _frame(lines: list[bytes]) -> Frame:
    if not lines:
        raise BadFrame("a blank line that closes nothing")
    fields: dict[str, str] = {}
    comments: list[str] = []
    for line in lines:
        name, colon, value = line.decode("utf-8").partition(":")
        if not name:
            comments.append(value.removeprefix(" "))
            continue
        if name not in {"id", "event", "data", "retry"} or not colon or not value.startswith(" "):
            raise BadFrame(f"{line!r}")
        if name in fields:
            raise BadFrame(f"{name} twice in one frame")
        fields[name] = value[1:]
    return Frame(
        id=fields.get("id"),
        event=fields.get("event"),
        data=fields.get("data"),
        retry=int(fields["retry"]) if "retry" in fields else None,
        comments=tuple(comments),
        raw=b"\n".join(lines) + b"\n\n",
    )


class EventStream:
    """A response read as server-sent events. Iterate over it, or take a number of frames and go away."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.seen: list[Frame] = []
        """Every frame read so far, those of comments alone included."""
        self._parser = FrameParser()
        self._pieces = response.pieces()
        self._ready: list[Frame] = []

    async def __aenter__(self) -> "EventStream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.response.close()

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        while True:
            while self._ready:
                frame = self._ready.pop(0)
                self.seen.append(frame)
                if frame.data is not None:
                    return frame
            self._ready = self._parser.feed(await anext(self._pieces))

    async def take(self, count: int) -> list[Frame]:
        """The next frames that carry data; fewer if the stream ends."""
        frames: list[Frame] = []
        async with asyncio.timeout(PATIENCE):
            while len(frames) < count:
                try:
                    frames.append(await anext(self))
                except StopAsyncIteration:
                    break
        return frames

    async def until(self, event: str) -> Frame:
        """Read on to the next frame of this name.

        Raises:
            AssertionError: the stream ended before.
        """
        async with asyncio.timeout(PATIENCE):
            async for frame in self:
                if frame.event == event:
                    return frame
        raise AssertionError(f"the stream ended ({self.response.ending}) without {event}: {self.seen}")

    async def to_any_end(self) -> list[Frame]:
        """All further frames, however the stream ends; `response.ending` tells."""
        async with asyncio.timeout(PATIENCE):
            return [frame async for frame in self]

    async def rest(self) -> list[Frame]:
        """All further frames, to the end of the stream.

        Raises:
            AssertionError: the stream did not end with its terminating chunk, or with an unfinished frame.
        """
        frames = await self.to_any_end()
        self.check_end()
        return frames

    def check_end(self) -> None:
        assert self.response.ending == "complete", f"the stream was {self.response.ending} after {self.seen[-1:]}"
        assert not self._parser.leftover, self._parser.leftover

    async def disconnect(self, *, reset: bool = False) -> None:
        """Go away in the middle: with FIN, or with RST."""
        await (self.response.reset() if reset else self.response.close())
