"""A provider that plays a list of outcomes, and an observer that keeps the account in memory."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from retinue.domain.errors import ProviderError
from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent, UserTurn
from retinue.domain.runs import CallOutcome
from retinue.domain.usage import Usage
from retinue.providers.base import Provider, Sink

REQUEST = ModelRequest(model="m", system="", turns=(UserTurn("hi"),), max_output_tokens=9)
SILENCE = "silence"


class PlayedProvider(Provider):
    """Each call plays the next list: events are yielded, errors raised, `SILENCE` waits for ever."""

    name: ClassVar[str] = "played"

    def __init__(self, *calls: list[ProviderEvent | Exception | str]) -> None:
        self.calls = list(calls)
        self.begun = 0
        self.closed = 0
        self.farewell: asyncio.Event | None = None
        """What closing waits for."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(streams_reasoning=False, calls_tools=False, reports_usage=True)

    async def stream(
        self,
        request: ModelRequest,  # noqa: ARG002
        sink: Sink | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        played = self.calls[self.begun]
        self.begun += 1
        try:
            for item in played:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, str):
                    await asyncio.get_running_loop().create_future()
                else:
                    yield (item,)
        finally:
            self.closed += 1
            if self.farewell is not None:
                await self.farewell.wait()

    async def check(self, request: ModelRequest) -> None: ...


class Account:
    """A `CallObserver`. `opened` can be made to fail."""

    def __init__(self, watched: PlayedProvider | None = None) -> None:
        self.watched = watched
        self.connections_closed: list[int] = []
        """How many the watched provider had closed each time that an account was closed."""
        self.rows: list[str] = []
        self.usages: list[Usage | None] = []
        self.errors: list[ProviderError | None] = []
        self.refusal: Exception | None = None

    async def opened(self, tries: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.rows.append(f"opened {tries}")

    def closed(self, tries: int, *, outcome: CallOutcome, usage: Usage | None, error: ProviderError | None) -> None:
        if self.watched is not None:
            self.connections_closed.append(self.watched.closed)
        self.rows.append(f"{outcome} {tries}")
        self.usages.append(usage)
        self.errors.append(error)
