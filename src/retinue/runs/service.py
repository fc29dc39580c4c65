"""What the edge asks of the engine: store a message, start a run, follow it, stop it."""

from collections.abc import Sequence
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from uuid import UUID

import msgspec

from retinue.coordination.base import Signals
from retinue.db.session import Database, Unit
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.events import TERMINAL_EVENTS, RunPaused, TerminalEvent
from retinue.domain.idempotency import IdempotencyKey, IdempotencyRecord
from retinue.domain.limits import Asker, Limits
from retinue.domain.messages import Message
from retinue.domain.runs import Run, RunStatus
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.admission import (
    Admission,
    Admitted,
    Appended,
    Queued,
    Started,
    busy,
    lock_open_conversation,
)
from retinue.runs.cancellation import Cancellation
from retinue.runs.context import RunCreate
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.errands import Errands
from retinue.runs.first_rows import user_message
from retinue.runs.follow import Follower
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.tokens import TokenMeter
from retinue.runs.sessions import Sessions
from retinue.runs.supervisor import Supervisor
from retinue.runs.turnstile import Turnstile

MAX_USERS = 10_000
"""Conversations whose users are remembered."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is stored and will be answered."""

    run: Run
    """Its answer: a run of its own, or the one that it was appended to."""
    message_id: UUID


class RunService:
    """Stores messages, starts, reads and cancels runs."""

    def __init__(
        self,
        *,
        database: Database,
        admission: Admission,
        supervisor: Supervisor,
        dispatcher: Dispatcher,
        cancellation: Cancellation,
        follower: Follower,
        signals: Signals,
        errands: Errands,
        turnstile: Turnstile,
        sessions: Sessions,
        limits: LimitsBook,
        tokens: TokenMeter,
        idempotency_seconds: float,
    ) -> None:
        self._database = database
        self._admission = admission
        self._supervisor = supervisor
        self._dispatcher = dispatcher
        self._cancellation = cancellation
        self._signals = signals
        self._errands = errands
        self._idempotency_seconds = idempotency_seconds
        self._turnstile = turnstile
        self._sessions = sessions
        self._limits = limits
        self._tokens = tokens
        self._users: dict[tuple[UUID, UUID], str] = {}
        self.follow = follower.follow
        self.follow_conversation = follower.follow_conversation
        self.conversation_place = follower.conversation_place
        self.place = follower.place
        self.read = follower.read
        self.cancel = cancellation.cancel
        self.cancel_conversation = cancellation.cancel_conversation
        self.cancel_tenant = cancellation.cancel_tenant

    async def store_message(
        self, tenant_id: UUID, conversation_id: UUID, content: str, key: IdempotencyKey | None = None
    ) -> Message:
        """Append a user's message without asking for an answer. With a key that was used before: the first one's.

        Raises:
            NotFound: no such conversation.
            Conflict: `conversation_closed`, `session_expired`, or `conversation_busy` while a run writes its answer or
                waits.
            RateLimited: the conversation gets too many messages.
            InvalidRequest: `idempotency_key_reused`.
        """
        async with self._turnstile.through(conversation_id), self._database.unit(tenant_id) as unit:
            if key and (earlier := await unit.idempotency.claim(key, keep_seconds=self._idempotency_seconds)):
                await unit.conversations.get(conversation_id)  # what was deleted is not told again
                return msgspec.json.decode(earlier.answer or b"null", type=Message)
            conversation = await lock_open_conversation(unit, conversation_id)
            if (await self._sessions.check(unit, conversation)).is_busy:
                raise busy(await unit.runs.active(conversation_id) or (await unit.runs.queued(conversation_id))[0])
            message = user_message(conversation, content, await unit.conversations.advance(conversation_id, 1))
            await unit.messages.add(message)
            if key:
                await unit.idempotency.keep(key, answer=msgspec.json.encode(message))
        return message

    async def start(
        self, tenant_id: UUID, conversation_id: UUID, request: RunCreate, key: IdempotencyKey | None = None
    ) -> Accepted:
        """Store the user's message and see to its answer.

        When this returns, the message is committed, and so is the run that answers it, which can be followed: a new
        one, one that waits for others (`enqueue`, `interrupt`), or the active one (`append`). With a key that was used
        before it is the first request's run, and nothing new is stored. Nothing is stored if it raises.

        Raises:
            NotFound: no such conversation.
            Conflict: `conversation_closed`, `session_expired`, `conversation_busy`, `queue_full`,
                `provider_not_configured`, `provider_not_usable`, `employee_deleted`, `employee_busy` or
                `price_unknown`.
            BudgetExceeded: a budget has nothing left for the answer.
            RateLimited: the conversation gets too many messages; `token_rate_limited`; or `too_many_runs`, unless the
                run may be queued.
            InvalidRequest: `message_exceeds_context`, `idempotency_key_reused`.
            SecretUnreadable: the provider's key cannot be opened.
            Unavailable: `shutting_down` or `too_many_runs`.
        """
        await self._tokens.refuse_if_empty(
            Asker(tenant_id=tenant_id, key_id=request.key_id), lambda: self._user_of(tenant_id, conversation_id)
        )
        limits = await self._limits.of(tenant_id)
        async with self._turnstile.through(conversation_id):
            admitted = await self._admit(tenant_id, conversation_id, request, key, limits)
        if isinstance(admitted, Accepted):
            return admitted
        self._spread(admitted)
        return Accepted(run=admitted.run, message_id=admitted.message_id)

    async def _admit(
        self,
        tenant_id: UUID,
        conversation_id: UUID,
        request: RunCreate,
        key: IdempotencyKey | None,
        limits: Limits,
    ) -> Admitted | Accepted:
        with ExitStack() as places:
            async with self._database.unit(tenant_id) as unit:
                if key and (earlier := await unit.idempotency.claim(key, keep_seconds=self._idempotency_seconds)):
                    return await _accepted_before(unit, earlier)
                self._supervisor.refuse_if_draining()
                # Only what starts here and now needs a place here.
                take_place = partial(places.enter_context, self._supervisor.admit(tenant_id))
                admitted = await self._admission.admit(unit, conversation_id, request, take_place, limits, key=key)
            if isinstance(admitted, Started):
                self._supervisor.start(admitted.runner)
        return admitted

    async def _user_of(self, tenant_id: UUID, conversation_id: UUID) -> str:
        """Never changes, and is asked for again with every message. Of a conversation that was deleted meanwhile it is
        told too: whoever needs the conversation finds out.

        Raises:
            NotFound.
        """
        if (known := self._users.get((tenant_id, conversation_id))) is not None:
            return known
        async with self._database.unit(tenant_id, read_only=True) as unit:
            user = (await unit.conversations.get(conversation_id)).user_id
        if len(self._users) >= MAX_USERS:
            self._users.clear()
        self._users[tenant_id, conversation_id] = user
        return user

    async def wait(self, run: Run) -> TerminalEvent | RunPaused | None:
        """Wait for a run's end, or for its next pause; the caller may go away, the run does not mind.

        Returns:
            None where that may take as long as a person takes: the run is queued behind one that waits for a person.

        Raises:
            StreamBroken: see `Follower.follow`.
        """
        async with aclosing(self.follow(run.tenant_id, run.id, leaves_queue=True)) as batches:
            async for events in batches:
                if isinstance(last := events[-1].event, (*TERMINAL_EVENTS, RunPaused)):
                    return last
        return None

    async def get(self, tenant_id: UUID, run_id: UUID) -> Run:
        """Raises: NotFound."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.runs.get(run_id)

    async def get_in(self, tenant_id: UUID, conversation_id: UUID, run_id: UUID) -> Run:
        """A run of a conversation.

        Raises:
            NotFound: no such run, or it is another conversation's.
        """
        run = await self.get(tenant_id, run_id)
        if run.conversation_id != conversation_id:
            raise NotFound("There is no such run in this conversation.")
        return run

    async def list(
        self,
        tenant_id: UUID,
        conversation_id: UUID,
        *,
        limit: int,
        after: UUID | None = None,
        status: RunStatus | None = None,
    ) -> Sequence[Run]:
        """A conversation's runs, oldest first.

        Raises:
            NotFound: no such conversation.
        """
        async with self._database.unit(tenant_id, read_only=True) as unit:
            await unit.conversations.get(conversation_id)
            return await unit.runs.list(conversation_id, limit=limit, after=after, status=status)

    def tell(self, tenant_id: UUID, conversation_id: UUID) -> None:
        """Have those who follow a conversation look at it: it was changed or deleted."""
        self._signals.send(Signal(SignalKind.CONVERSATION, tenant_id, conversation_id))

    def tell_tenant_deleted(self, tenant_id: UUID) -> None:
        """Have every process stop what it does for a tenant that does not exist any more."""
        self._signals.send(Signal(SignalKind.TENANT, tenant_id, tenant_id))

    def cancel_soon(self, tenant_id: UUID, run_id: UUID) -> None:
        """Cancel a run for a client that has gone away; nobody waits. A process that stops hands it over instead."""
        if not self._supervisor.is_draining:
            self._errands.send(self._cancel_anyway(tenant_id, run_id), "cancel")

    async def _cancel_anyway(self, tenant_id: UUID, run_id: UUID) -> None:
        with suppress(Conflict, NotFound):  # it has ended meanwhile, which is as good
            await self.cancel(tenant_id, run_id)

    def _spread(self, admitted: Admitted) -> None:
        """Tell whoever has to know, after the commit."""
        run = admitted.run
        match admitted:
            case Started():
                self.tell(run.tenant_id, run.conversation_id)
            case Queued(interrupted=interrupted):
                self._signals.send(Signal(SignalKind.QUEUE, run.tenant_id, run.conversation_id))
                if interrupted is not None:
                    self._cancellation.interrupt(interrupted)
                if interrupted is None:
                    self.tell(run.tenant_id, run.conversation_id)  # a run that waited for a person may have ended
                if not self._supervisor.runs_in(run.conversation_id):
                    # What it waits for may have ended meanwhile.
                    self._errands.send(self._dispatcher.start_next(run.tenant_id, run.conversation_id), "start-next")
            case Appended():
                pass


async def _accepted_before(unit: Unit, record: IdempotencyRecord) -> Accepted:
    assert record.run_id is not None, "a kept record of this route names its run"
    assert record.answer is not None, "and its message"
    run = await unit.runs.get(record.run_id)
    return Accepted(run=run, message_id=UUID(record.answer.decode()))
