"""Clients that post through crashes and remember what they were told."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import msgspec

from retinue.domain.ids import new_id
from tests.chaos.logs import Event, check_order, counting_text, events_of
from tests.chaos.world import follow, send
from tests.e2e.streams.runs import script
from tests.support.client import RetinueClient
from tests.support.sse import BadFrame, EventStream
from tests.support.upstream import Scenario, says

Kind = Literal["stream", "respond", "store"]
GONE = (ConnectionError, asyncio.IncompleteReadError, TimeoutError, AssertionError, BadFrame)
"""What a request meets whose server was killed; which of them is a matter of microseconds."""
LATER = ("idempotency_key_in_use", "unavailable", "shutting_down", "storage_failed", "stream_broken", "stream_moved")
"""Codes of answers that a client takes as a reason to try again."""


@dataclass(kw_only=True)
class Post:
    """One message that a client wants to be said once, and what came of it."""

    conversation: UUID
    marker: str
    kind: Kind
    on_busy: str
    scenario: Scenario
    key: str | None
    is_acknowledged: bool = False
    is_refused: bool = False
    """The last word of the server was no."""
    tries: int = 0
    run: str | None = None
    seen: list[Event] = field(default_factory=list)
    """Of a stream, over all its connections."""
    note: str = ""

    @property
    def content(self) -> str:
        return script(self.scenario)

    async def attempt(self, client: RetinueClient) -> None:
        """Post once; what goes wrong is remembered, not raised."""
        self.tries += 1
        try:
            await (self._stream(client) if self.kind == "stream" else self._post(client))
        except GONE as error:
            self.note = repr(error)

    async def _post(self, client: RetinueClient) -> None:
        body: dict[str, Any] = {"content": self.content}
        if self.kind == "respond":
            body |= {"respond": True, "on_busy": self.on_busy}
        headers = {} if self.key is None else {"idempotency-key": self.key}
        path = f"/conversations/{self.conversation}/messages"
        answer = await client.call("POST", path, body, headers=headers)
        self._judge(answer.status, answer.body)
        self.is_acknowledged |= answer.status == 200

    async def _stream(self, client: RetinueClient) -> None:
        response = await send(
            client, self.conversation, self.content, key=self.key, protocol="events", on_busy=self.on_busy
        )
        self._judge(response.status, b"" if response.status == 200 else await response.read())
        if response.status != 200:
            await response.close()
            return
        async with EventStream(response) as stream:
            await self._read(stream, is_replay=self.tries > 1)

    def _judge(self, status: int, body: bytes) -> None:
        self.note = f"{status} {body[:200].decode(errors='replace')}"
        code = "" if status == 200 else str(msgspec.json.decode(body)["code"])
        self.is_refused = status == 409 and code not in LATER
        if status != 200 and not self.is_refused and code not in LATER:
            raise RuntimeError(f"{self.marker}: {self.note}")

    async def _read(self, stream: EventStream, *, is_replay: bool) -> None:
        async for frame in stream:
            if frame.id is None:
                continue
            [event] = events_of([frame])
            self.is_acknowledged = True
            self.run = event.data["run_id"]
            if not self.seen or event.place > self.seen[-1].place:
                self.seen.append(event)
            elif not is_replay:
                raise RuntimeError(f"{self.marker}: {event.id} came after {self.seen[-1].id}")

    async def read_to_the_end(self, clients: Sequence[RetinueClient], rng: random.Random, *, within: float) -> None:
        """Resume as a client would, from the last event, until the run's end has come.

        Raises:
            TimeoutError: with what was read so far; it did not come in time.
        """
        if self.kind != "stream" or self.run is None:
            return
        try:
            async with asyncio.timeout(within):
                while not self.seen[-1].is_terminal:
                    await self._resume(rng.choice(list(clients)))
        except TimeoutError:
            places = [event.id.partition(":")[2] for event in self.seen[-3:]]
            raise TimeoutError(f"{self.marker} ({self.run}) stands at {places}; {self.note}") from None

    async def _resume(self, client: RetinueClient) -> None:
        assert self.run is not None
        try:
            stream = await follow(client, self.run, self.seen[-1].id)
            assert stream is not None, f"204 before the end, after {self.seen[-1].id}"
            async with stream:
                await self._read(stream, is_replay=False)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.note = repr(error)
            await asyncio.sleep(0.05)

    def check(self) -> None:
        """What one client has read, over all its connections, makes sense in itself."""
        if self.seen:
            check_order(self.seen)

    @property
    def text(self) -> str:
        return counting_text(self.seen)


def draw_post(rng: random.Random, conversation: UUID, marker: str) -> Post:
    kind: Kind = rng.choices(["stream", "respond", "store"], weights=[6, 3, 1])[0]  # type: ignore[assignment]
    on_busy = rng.choices(["enqueue", "append", "interrupt", "reject"], weights=[10, 4, 1, 1])[0]
    words = (f" w{number}" for number in range(rng.randint(5, 80)))
    scenario = says(marker, *words, between=rng.choice([0.0, 0.005, 0.02]))
    key = str(new_id()) if rng.random() < 0.6 else None
    return Post(conversation=conversation, marker=marker, kind=kind, on_busy=on_busy, scenario=scenario, key=key)
