"""What the messages routes do."""

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.errors import FailedAnswer, FieldError, InvalidRequest, NotFound
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, parse_event_id
from retinue.domain.messages import Message
from retinue.domain.runs import ACTIVE_STATUSES
from retinue.http.pagination import Page, decode_cursor, invalid_cursor, page_of
from retinue.resources.messages.schemas import Answer, MessageCreate, StreamCreate
from retinue.runs.context import RunCreate
from retinue.runs.service import RunService
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy


class MessageService:
    def __init__(self, *, database: Database, tenancy: Tenancy, runs: RunService, content_chars: int) -> None:
        self._database = database
        self._tenancy = tenancy
        self._runs = runs
        self._content_chars = content_chars

    async def list(
        self, principal: Principal, conversation_id: UUID, *, limit: int, cursor: str | None
    ) -> Page[Message]:
        """Raises: NotFound; InvalidRequest, `invalid_cursor`, also for the cursor of another list."""
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        last = decode_cursor(cursor)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            await unit.conversations.get(conversation_id)
            after = None if last is None else await unit.messages.find_position(conversation_id, last)
            if last is not None and after is None:
                raise invalid_cursor()
            messages = await unit.messages.list(conversation_id, limit=limit + 1, after=after)
        return page_of(messages, limit, lambda message: message.id)

    async def store(self, principal: Principal, conversation_id: UUID, body: MessageCreate) -> Message:
        """Append without an answer."""
        self._check_length(body.content)
        if body.reasoning is not None:
            detail = "Reasoning needs an answer: set respond to true."
            raise InvalidRequest(detail, errors=(FieldError(pointer="/reasoning", detail=detail),))
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        return await self._runs.store_message(tenant_id, conversation_id, body.content)

    async def respond(self, principal: Principal, conversation_id: UUID, body: MessageCreate) -> Answer:
        """Append, run the employee, wait for the end.

        Raises:
            FailedAnswer: the run failed; both messages are kept.
        """
        self._check_length(body.content)
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        run = await self._runs.start(
            tenant_id, conversation_id, RunCreate(content=body.content, reasoning=body.reasoning)
        )
        end = await self._runs.wait(run)
        if isinstance(end, e.RunFailed):
            raise FailedAnswer(
                code=end.code, title=end.title, status=end.status, detail=end.detail, retryable=end.retryable
            )
        async with self._database.unit(tenant_id, read_only=True) as unit:
            message = await unit.messages.get(run.message_id)
        return Answer(
            run_id=run.id,
            user_message_id=run.user_message_id,
            message=message,
            status=message.status.value,
            finish_reason=end.finish_reason,
            usage=end.usage,
            cost=end.cost,
            generation_stats=end.generation_stats,
            tool_log=end.tool_log,
            text_sha256=end.text_sha256,
        )

    async def stream(
        self, principal: Principal, conversation_id: UUID, body: StreamCreate, last_event_id: str | None
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Start a run and follow it, or go on with the run that `last_event_id` names.

        A request that carries a last event id is a client's reconnect: it never starts a run.
        """
        self._check_length(body.content)
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        if last_event_id:
            return await self._resume(tenant_id, conversation_id, last_event_id)
        run = await self._runs.start(
            tenant_id, conversation_id, RunCreate(content=body.content, reasoning=body.reasoning)
        )
        return self._runs.follow(tenant_id, run.id, START)

    async def _resume(
        self, tenant_id: UUID, conversation_id: UUID, last_event_id: str
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        run_id, position = parse_event_id(last_event_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            run = await unit.runs.find(run_id)
            if run is None or run.conversation_id != conversation_id:
                raise NotFound("There is no such run in this conversation.")
            is_over = run.status not in ACTIVE_STATUSES
            if position.attempt > run.attempt or (is_over and position > await unit.run_events.last_position(run_id)):
                raise InvalidRequest("The run has no such event.", code="unknown_event_id")
        return self._runs.follow(tenant_id, run_id, position)

    def _check_length(self, content: str) -> None:
        if len(content) > self._content_chars:
            detail = f"A message may have {self._content_chars} characters."
            raise InvalidRequest(detail, errors=(FieldError(pointer="/content", detail=detail),))
