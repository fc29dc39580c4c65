"""An engine that answers what a test tells it to, and remembers what it was asked."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from retinue.coordination.base import Sink
from retinue.domain import events as e
from retinue.domain.errors import NotFound
from retinue.domain.events import RecordedEvent, TerminalEvent
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import START, Position, new_id, now
from retinue.domain.messages import Message, Role
from retinue.domain.runs import Run, RunStatus
from retinue.runs.context import RunCreate
from retinue.runs.follow import ConversationPlace
from retinue.runs.service import Accepted
from tests.support.runs import end_fields, recorded, run_started


def a_run(tenant: str, conversation: str, employee: str, **fields: Any) -> Run:
    return Run(
        id=fields.pop("id", new_id()),
        tenant_id=UUID(tenant),
        conversation_id=UUID(conversation),
        employee_id=UUID(employee),
        user_message_id=new_id(),
        message_id=fields.pop("message_id", new_id()),
        status=fields.pop("status", RunStatus.RUNNING),
        attempt=1,
        position=1,
        created_at=now(),
        **fields,
    )


class FakeRuns:
    """The engine's methods. Each run says "Hi" and completes."""

    def __init__(self) -> None:
        self.known: dict[UUID, Run] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.is_told = False
        """Whether nothing follows the position that is asked for."""
        self.last_event_id: str | None = None
        """Where a reader of a conversation is before it has read anything."""
        self.breaks: Exception | None = None
        """What becomes of a request that waits for an end."""

    def add(self, run: Run) -> Run:
        self.known[run.id] = run
        return run

    async def get(self, tenant_id: UUID, run_id: UUID) -> Run:
        run = self.known.get(run_id)
        if run is None or run.tenant_id != tenant_id:
            raise NotFound
        return run

    async def get_in(self, tenant_id: UUID, conversation_id: UUID, run_id: UUID) -> Run:
        run = await self.get(tenant_id, run_id)
        if run.conversation_id != conversation_id:
            raise NotFound
        return run

    async def list(
        self, tenant_id: UUID, conversation_id: UUID, *, limit: int, after: UUID | None, status: RunStatus | None
    ) -> Sequence[Run]:
        self.asked.append(("list", limit, after, status))
        runs = [run for run in self.known.values() if run.tenant_id == tenant_id]
        runs = [run for run in runs if run.conversation_id == conversation_id and status in {None, run.status}]
        return [run for run in runs if after is None or run.id > after][:limit]

    async def cancel(self, tenant_id: UUID, run_id: UUID) -> Run:
        return await self.get(tenant_id, run_id)

    async def cancel_conversation(self, tenant_id: UUID, conversation_id: UUID) -> Sequence[Run]:
        return await self.list(tenant_id, conversation_id, limit=99, after=None, status=None)

    async def place(self, tenant_id: UUID, run_id: UUID, position: Position) -> bool:
        await self.get(tenant_id, run_id)
        self.asked.append(("place", run_id, position))
        return self.is_told

    async def read(self, tenant_id: UUID, run_id: UUID, after: Position, limit: int) -> Sequence[RecordedEvent]:
        await self.get(tenant_id, run_id)
        return [event for event in events_of(run_id) if event.position > after][:limit]

    async def follow(
        self,
        tenant_id: UUID,
        run_id: UUID,
        after: Position = START,
        sink: Sink | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        self.asked.append(("follow", tenant_id, run_id, after))
        yield [event for event in events_of(run_id) if event.position > after]

    async def conversation_place(
        self, tenant_id: UUID, conversation_id: UUID, after: tuple[UUID, Position] | None
    ) -> ConversationPlace:
        self.asked.append(("follow_conversation", tenant_id, conversation_id, after))
        return ConversationPlace(ordinal=0, last_event_id=self.last_event_id)

    async def follow_conversation(
        self,
        tenant_id: UUID,  # noqa: ARG002
        conversation_id: UUID,  # noqa: ARG002
        start: ConversationPlace,  # noqa: ARG002
        sink: Sink | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        for run_id in self.known:
            yield events_of(run_id)

    async def store_message(
        self, tenant_id: UUID, conversation_id: UUID, content: str, key: IdempotencyKey | None
    ) -> Message:
        self.asked.append(("store", content, key))
        return a_message(tenant_id, conversation_id, content)

    async def start(
        self, tenant_id: UUID, conversation_id: UUID, request: RunCreate, key: IdempotencyKey | None
    ) -> Accepted:
        self.asked.append(("start", request, key))
        run = a_run(str(tenant_id), str(conversation_id), str(new_id()))
        run = self.add(msgspec.structs.replace(run, conversation_id=conversation_id))
        return Accepted(run=run, message_id=run.user_message_id)

    async def wait(self, run: Run) -> TerminalEvent:
        self.asked.append(("wait", run.id))
        if self.breaks is not None:
            raise self.breaks
        return e.RunCompleted(**end_fields("Hi", event_count=3))

    def cancel_soon(self, tenant_id: UUID, run_id: UUID) -> None:
        self.asked.append(("cancel_soon", tenant_id, run_id))


def events_of(run_id: UUID) -> list[RecordedEvent]:
    told = (run_started(), e.TextDelta(delta="Hi"), e.RunCompleted(**end_fields("Hi", event_count=3)))
    return recorded(told, run_id=run_id)


def a_message(tenant_id: UUID, conversation_id: UUID, content: str) -> Message:
    return Message(
        id=new_id(),
        tenant_id=tenant_id,
        conversation_id=conversation_id,
        position=1,
        role=Role.USER,
        content=content,
        created_at=now(),
        updated_at=now(),
    )
