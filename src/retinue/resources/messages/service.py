"""What the messages routes do."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from uuid import UUID

from litestar.types import Receive
from msgspec import UNSET

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.approvals import Approval
from retinue.domain.errors import FailedAnswer, FieldError, InvalidRequest, StreamBroken
from retinue.domain.events import TerminalEvent
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import START, Position
from retinue.domain.messages import Message
from retinue.domain.policy import OnDisconnect
from retinue.domain.runs import Run
from retinue.domain.usage import GenerationStats
from retinue.http.disconnects import watching
from retinue.http.pagination import Page, decode_cursor, invalid_cursor, page_of
from retinue.http.sse import Feed
from retinue.protocols.messages import WAITING
from retinue.resources.approvals.schemas import shown
from retinue.resources.messages.schemas import QUEUED, Answer, MessageCreate, StreamCreate
from retinue.runs.context import RunCreate
from retinue.runs.draft import text_digest
from retinue.runs.service import Accepted, RunService
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

    async def store(
        self, principal: Principal, conversation_id: UUID, body: MessageCreate, key: IdempotencyKey | None
    ) -> Message:
        """Append without an answer."""
        self._check_length(body.content)
        _refuse_choices(body)
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        return await self._runs.store_message(tenant_id, conversation_id, body.content, key)

    async def respond(
        self,
        principal: Principal,
        conversation_id: UUID,
        body: MessageCreate,
        key: IdempotencyKey | None,
        receive: Receive,
    ) -> Answer:
        """Append, run the employee, wait for the end or for the first pause, also for that of a run before it.

        Raises:
            FailedAnswer: the run failed; both messages are kept.
        """
        self._check_length(body.content)
        _refuse_reasoning_of_another(body)
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        request = RunCreate(
            content=body.content, reasoning=body.reasoning, on_busy=body.on_busy or "reject", key_id=principal.key_id
        )
        accepted = await self._runs.start(tenant_id, conversation_id, request, key)
        run = accepted.run
        on_gone = self._on_gone(run, body.on_disconnect or "continue")
        with watching(receive, on_gone) if on_gone else nullcontext():
            end = await self._end_of(run)
        if isinstance(end, e.RunFailed):
            raise FailedAnswer(
                code=end.code, title=end.title, status=end.status, detail=end.detail, retryable=end.retryable
            )
        async with self._database.unit(tenant_id, read_only=True) as unit:
            message = await unit.messages.get(run.message_id)
            approvals = await unit.approvals.of_run(run.id) if isinstance(end, e.RunPaused) else ()
        return _queued(accepted, message) if end is None else _answer(accepted, message, end, approvals)

    async def _end_of(self, run: Run) -> TerminalEvent | e.RunPaused | None:
        """Raises: NotFound, if the conversation is deleted meanwhile; StreamBroken."""
        try:
            return await self._runs.wait(run)
        except StreamBroken:
            await self._runs.get(run.tenant_id, run.id)
            raise

    async def stream(
        self,
        principal: Principal,
        conversation_id: UUID,
        body: StreamCreate,
        key: IdempotencyKey | None,
        place: tuple[UUID, Position] | None,
    ) -> Feed:
        """Start a run and follow it, or go on with a run after `place`.

        A request that names a last event is a client's reconnect: it never starts a run. The place before a
        conversation's first run is no event.
        """
        self._check_length(body.content)
        _refuse_reasoning_of_another(body)
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        if place is not None and place != (conversation_id, START):
            run, position = await self._known(tenant_id, conversation_id, place), place[1]
        else:
            request = RunCreate(
                content=body.content, reasoning=body.reasoning, on_busy=body.on_busy, key_id=principal.key_id
            )
            run, position = (await self._runs.start(tenant_id, conversation_id, request, key)).run, START
        follow = partial(self._runs.follow, tenant_id, run.id, position)
        return Feed(follow=follow, run_id=run.id, on_gone=self._on_gone(run, body.on_disconnect))

    async def _known(self, tenant_id: UUID, conversation_id: UUID, place: tuple[UUID, Position]) -> Run:
        """Raises: NotFound; InvalidRequest, `unknown_event_id`."""
        run = await self._runs.get_in(tenant_id, conversation_id, place[0])
        await self._runs.place(tenant_id, *place)
        return run

    def _on_gone(self, run: Run, policy: OnDisconnect) -> Callable[[], None] | None:
        return partial(self._runs.cancel_soon, run.tenant_id, run.id) if policy == "cancel" else None

    def _check_length(self, content: str) -> None:
        if len(content) > self._content_chars:
            detail = f"A message may have {self._content_chars} characters."
            raise InvalidRequest(detail, errors=(FieldError(pointer="/content", detail=detail),))


def _refuse_choices(body: MessageCreate) -> None:
    """Raises: InvalidRequest: something is chosen that only an answer has."""
    chosen = {"reasoning": body.reasoning, "on_busy": body.on_busy, "on_disconnect": body.on_disconnect}
    errors = tuple(
        FieldError(pointer=f"/{name}", detail="Needs an answer: set respond to true.")
        for name, value in chosen.items()
        if value is not None and value is not UNSET
    )
    if errors:
        raise InvalidRequest("A message that asks for no answer cannot choose how it is answered.", errors=errors)


def _refuse_reasoning_of_another(body: MessageCreate | StreamCreate) -> None:
    """Raises: InvalidRequest: the message may become part of a run that has chosen how it reasons."""
    if body.on_busy == "append" and body.reasoning is not None:
        detail = "Not with append: the active run answers as it began."
        raise InvalidRequest(detail, errors=(FieldError(pointer="/reasoning", detail=detail),))


def _queued(accepted: Accepted, message: Message) -> Answer:
    return Answer(
        run_id=accepted.run.id,
        user_message_id=accepted.message_id,
        message=message,
        status=QUEUED,
        finish_reason=None,
        usage=None,
        cost=None,
        generation_stats=GenerationStats(),
        tool_log=(),
        text_sha256=text_digest(message.content),
    )


def _answer(
    accepted: Accepted, message: Message, end: TerminalEvent | e.RunPaused, approvals: Sequence[Approval]
) -> Answer:
    """Of a pause it tells what the pause was about, even if somebody has decided meanwhile."""
    paused = end if isinstance(end, e.RunPaused) else None
    return Answer(
        run_id=accepted.run.id,
        user_message_id=accepted.message_id,
        message=message,
        status=message.status.value if paused is None else WAITING[paused.waiting_for],
        finish_reason=end.finish_reason,
        usage=end.usage,
        cost=end.cost,
        generation_stats=end.generation_stats,
        tool_log=end.tool_log,
        text_sha256=end.text_sha256,
        approvals=tuple(shown(each) for each in approvals if paused is not None and each.id in paused.approval_ids),
        tool_call_ids=() if paused is None else paused.tool_call_ids,
    )
