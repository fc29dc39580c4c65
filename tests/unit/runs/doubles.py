"""Stand-ins for what surrounds the engine: a provider that plays a script, and a database with bad weather."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.errors import StorageFailed, Unavailable
from retinue.domain.model_io import Capabilities, Finished, FinishReason, ModelRequest, ProviderEvent, TextPiece
from retinue.providers.base import Provider, Sink

DEADLINE = 10.0

Weather = Literal["fair", "away", "refused", "lost", "crash"]
"""`away`: no connection. `refused`: it fails on leaving, nothing is stored. `lost`: stored, but the answer does not
arrive. `crash`: a fault of ours."""
Step = ProviderEvent | tuple[ProviderEvent, ...] | Exception | Callable[[], Awaitable[Any]]


class StubProvider(Provider):
    """Plays one script per call: events are yielded, those of a tuple together, exceptions raised, functions awaited.

    It fails the test's run if it is called more often than there are scripts.
    """

    name: ClassVar[str] = "stub"

    def __init__(self, *calls: list[Step], pours: bool = False) -> None:
        """
        Args:
            pours: text goes to the sink where it may.
        """
        self._calls = deque(calls)
        self._pours = pours
        self.poured = 0
        self.requests: list[ModelRequest] = []
        self.open_streams = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(streams_reasoning=True, calls_tools=True, reports_usage=True)

    async def stream(
        self,
        request: ModelRequest,
        sink: Sink | None = None,
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        self.requests.append(request)
        self.open_streams += 1
        pour = None
        try:
            for step in self._calls.popleft():
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    await step()
                    continue
                events = step if isinstance(step, tuple) else (step,)
                if pour is None or not _is_text(events) or not pour(events):
                    yield events
                    pour = sink if self._pours else None
                else:
                    self.poured += 1
        finally:
            self.open_streams -= 1

    async def check(self, request: ModelRequest) -> None:
        raise NotImplementedError


def _is_text(events: Sequence[ProviderEvent]) -> bool:
    return all(isinstance(event, TextPiece) for event in events)


def says(*words: str, reason: FinishReason = FinishReason.STOP) -> list[Step]:
    return [*(TextPiece(word) for word in words), Finished(reason)]


IMPATIENT_TURNS = 50


async def until(condition: Callable[[], bool]) -> None:
    """Give others their turns until something is so; soon also the database, which has a thread of its own."""
    async with asyncio.timeout(DEADLINE):
        for turn in count():
            if condition():
                return
            await asyncio.sleep(0 if turn < IMPATIENT_TURNS else 0.0005)


class Gate:
    """A point at which a script waits; the test sees that it got there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.opened.wait()

    async def wait_until_reached(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.reached.wait()


class FirstGate(Gate):
    """Stops only the first who comes."""

    async def __call__(self) -> None:
        if not self.reached.is_set():
            await super().__call__()


class ChangeableDatabase(Database):
    """The real database; each writing unit meets the next weather of `forecast`, and fair weather after that."""

    forecast: deque[Weather]
    units: int
    """Writing units that were asked for."""
    hold: Gate | None
    """Where the next writing units wait before they begin."""

    @classmethod
    def connect(cls, url: str, **options: Any) -> Self:
        database = super().connect(url, **options)
        database.forecast, database.units, database.hold = deque(), 0, None
        return database

    def unit(
        self, tenant_id: UUID, *, read_only: bool = False, is_durable: bool = False
    ) -> AbstractAsyncContextManager[Unit]:
        unit = super().unit(tenant_id, read_only=read_only, is_durable=is_durable)
        return unit if read_only else self._in_weather(unit)

    @asynccontextmanager
    async def _in_weather(self, unit: AbstractAsyncContextManager[Unit]) -> AsyncGenerator[Unit, None]:
        self.units += 1
        if self.hold is not None:
            await self.hold()
        weather = self.forecast.popleft() if self.forecast else None
        if weather == "away":
            raise Unavailable
        async with unit as opened:
            if weather in {"refused", "crash"}:
                vars(opened)["end_with"] = opened._executor.perform  # nothing is committed before the end
            yield opened
            if weather == "refused":
                raise StorageFailed
            if weather == "crash":
                raise ZeroDivisionError
        if weather == "lost":
            raise Unavailable
