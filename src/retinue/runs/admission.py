"""What becomes of a new message: a run, a place in the queue, or a part of the run that is active.

Everything here happens in one transaction, under the conversation's lock.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from retinue.db.changes import Change
from retinue.db.repositories.conversations import Place
from retinue.db.repositories.turns import Scene
from retinue.db.scripts import Script
from retinue.db.session import Unit
from retinue.domain.budgets import Spender
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import now
from retinue.domain.limits import Asker, Limits
from retinue.domain.messages import Message, MessageStatus
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.runs.context import RunContext, RunCreate
from retinue.runs.factory import RunnerFactory
from retinue.runs.first_rows import answer_of, new_run, queued_events, user_message
from retinue.runs.lease import clock
from retinue.runs.limiting.slots import full_among, too_many_runs
from retinue.runs.runner import Runner
from retinue.runs.sessions import Sessions
from retinue.runs.unrun import record_cancel, stop, withdraw


class Started(msgspec.Struct, frozen=True):
    run: Run
    message_id: UUID
    """The message that was stored."""
    runner: Runner


class Queued(msgspec.Struct, frozen=True):
    run: Run
    message_id: UUID
    interrupted: Run | None = None
    """The active run, if it has to make way."""


class Appended(msgspec.Struct, frozen=True):
    run: Run
    """The active run, which has taken the message."""
    message_id: UUID


Admitted = Started | Queued | Appended


class Admission:
    def __init__(self, factory: RunnerFactory, sessions: Sessions) -> None:
        self._factory = factory
        self._sessions = sessions

    async def admit(
        self,
        unit: Unit,
        conversation_id: UUID,
        request: RunCreate,
        take_place: Callable[[], object],
        limits: Limits,
        *,
        key: IdempotencyKey | None = None,
    ) -> Admitted:
        """Store the message and decide about it. It is the last that the unit does.

        Args:
            take_place: called before a run is started here; raises if there is no room for it.
            limits: those of the tenant that are in force.
            key: whose record is to say what came of it.

        Raises:
            NotFound: no such conversation.
            Conflict, BudgetExceeded, InvalidRequest, RateLimited, SecretUnreadable: see `RunService.start`.
        """
        scene = await unit.turns.enter(
            conversation_id,
            key_id=request.key_id,
            default_ttl_seconds=self._sessions.ttl_seconds,
            counts=limits.bounds_runs,
            max_history=self._factory.limits.history_messages,
        )
        conversation = scene.conversation
        refuse_if_closed(conversation)
        await self._sessions.require(unit, conversation, scene.session)
        active = await unit.runs.active(conversation.id) if scene.session.is_busy else None
        queued = await unit.runs.queued(conversation.id) if scene.session.is_busy else ()
        if active is None and not queued and _has_slot(scene, request, limits):
            take_place()
            return await self._start(unit, scene, request, key)
        admitted = await self._put_off(unit, scene, request, active, queued)
        if kept := _kept(unit, key, admitted.run, admitted.message_id):
            await unit.together(*kept)
        return admitted

    async def _put_off(
        self, unit: Unit, scene: Scene, request: RunCreate, active: Run | None, queued: Sequence[Run]
    ) -> Queued | Appended:
        """What cannot be answered at once."""
        match request.on_busy:
            case "reject":
                raise busy(active or queued[0])
            case "append" if active is not None and await unit.runs.append(active.id):
                return await self._append(unit, scene, request, active)
            case "interrupt":
                return await self._interrupt(unit, scene, request, active, queued)
            case _:
                run = await self._enqueue(unit, scene, request, len(queued))
                return Queued(run, run.user_message_id)

    async def _start(self, unit: Unit, scene: Scene, request: RunCreate, key: IdempotencyKey | None) -> Started:
        conversation = scene.conversation
        place = Place(conversation.message_count + 1, scene.session.now)
        context = await self._context(unit, scene, request.content, request, place)
        await refuse_if_overworked(unit, context.employee)
        question = user_message(conversation, request.content, place)
        run = new_run(conversation, question, request, RunStatus.RUNNING)
        run = msgspec.structs.replace(run, started_at=run.created_at)
        runner = self._factory.first(run, context, clock())
        await unit.end_with(self._storing(unit, scene, question, runner, key), missing="There is no such conversation.")
        return Started(run, question.id, runner)

    def _storing(
        self, unit: Unit, scene: Scene, question: Message, runner: Runner, key: IdempotencyKey | None
    ) -> Script[None]:
        conversation, run, lease = scene.conversation, runner.run, self._factory.lease
        first_call = yield from runner.booking_first_call(unit, is_tenant_locked=scene.used is not None)
        yield (
            unit.conversations.advancing(conversation.id, 2, at=question.created_at),
            unit.runs.adding(run, owner=lease.owner, lease_seconds=lease.seconds),
            unit.messages.adding(question, answer_of(conversation, run, MessageStatus.STREAMING)),
            *first_call,
            *_kept(unit, key, run, question.id),
        )

    async def _context(self, unit: Unit, scene: Scene, content: str, request: RunCreate, place: Place) -> RunContext:
        return await self._factory.context(
            unit, scene.conversation, content, request.options, position=place.position, cast=scene.cast
        )

    async def _interrupt(
        self, unit: Unit, scene: Scene, request: RunCreate, active: Run | None, queued: Sequence[Run]
    ) -> Queued:
        """What came to interrupt and has not even started is itself interrupted."""
        superseded = [run for run in queued if run.is_urgent]
        for run in superseded:
            await withdraw(unit, run, now())
        run = await self._enqueue(unit, scene, request, len(queued) - len(superseded), is_urgent=True)
        for withdrawn in superseded:
            await record_cancel(unit, withdrawn)
        return Queued(run, run.user_message_id, await stop(unit, active) if active else None)

    async def _append(self, unit: Unit, scene: Scene, request: RunCreate, run: Run) -> Appended:
        conversation = scene.conversation
        waiting = await unit.messages.appended(run.id)
        self._refuse_if_full(len(waiting))
        place = await unit.conversations.advance(conversation.id, 1)
        # They are taken together, so they have to fit together.
        together = "\n".join([*(message.content for message in waiting), request.content])
        context = await self._context(unit, scene, together, request, place)
        await _require_money(unit, conversation, request, context)
        message = user_message(conversation, request.content, place, MessageStatus.PENDING)
        await unit.messages.add(msgspec.structs.replace(message, run_id=run.id))
        return Appended(run, message.id)

    def _refuse_if_full(self, waiting: int) -> None:
        if waiting >= self._factory.limits.max_queued:
            detail = f"{waiting} messages wait in this conversation, and no more may."
            raise Conflict(detail, code="queue_full")

    async def _enqueue(
        self, unit: Unit, scene: Scene, request: RunCreate, waiting: int, *, is_urgent: bool = False
    ) -> Run:
        conversation = scene.conversation
        self._refuse_if_full(waiting)
        place = await unit.conversations.advance(conversation.id, 2)
        # What cannot be answered now is refused now, and not after it has waited.
        context = await self._context(unit, scene, request.content, request, place)
        await _require_money(unit, conversation, request, context)
        question = user_message(conversation, request.content, place, MessageStatus.PENDING)
        run = new_run(conversation, question, request, RunStatus.QUEUED)
        run = msgspec.structs.replace(run, is_urgent=is_urgent)
        await unit.runs.add(run, owner=None, lease_seconds=0)
        await unit.messages.add(question, answer_of(conversation, run, MessageStatus.PENDING))
        await unit.run_events.add(run.id, run.attempt, queued_events(run))
        return run


def _kept(unit: Unit, key: IdempotencyKey | None, run: Run, message_id: UUID) -> Sequence[Change[object]]:
    return [unit.idempotency.keeping(key, run_id=run.id, answer=str(message_id).encode())] if key else []


async def lock_open_conversation(unit: Unit, conversation_id: UUID) -> Conversation:
    """Raises: NotFound; Conflict, `conversation_closed`."""
    conversation = await unit.conversations.get_for_update(conversation_id)
    refuse_if_closed(conversation)
    return conversation


def refuse_if_closed(conversation: Conversation) -> None:
    """Raises: Conflict, `conversation_closed`."""
    if conversation.status is ConversationStatus.CLOSED:
        raise Conflict("This conversation is closed. Set its status to active to go on.", code="conversation_closed")


async def refuse_if_overworked(unit: Unit, employee: Employee) -> None:
    """Raises: Conflict, `employee_busy`."""
    if employee.max_concurrent_tasks is None:
        return
    await unit.employees.lock_for_start(employee.id)
    if await unit.employees.count_active_runs(employee.id) >= employee.max_concurrent_tasks:
        detail = f"{employee.name} works on {employee.max_concurrent_tasks} answers at once and no more."
        raise Conflict(detail, code="employee_busy")


async def _require_money(unit: Unit, conversation: Conversation, request: RunCreate, context: RunContext) -> None:
    """For what waits: nothing is reserved for it yet.

    Raises:
        BudgetExceeded: the money is spent, and nothing will come back.
        Conflict: `price_unknown`.
    """
    if context.pricing.is_free:
        return
    spender = Spender(
        tenant_id=conversation.tenant_id,
        employee_id=conversation.employee_id,
        user_id=conversation.user_id,
        key_id=request.key_id,
    )
    await unit.ledger.require_money(spender, context.first_quote)


def _has_slot(scene: Scene, request: RunCreate, limits: Limits) -> bool:
    """Whether one more run may be written now; if not, it can still be queued, unless the request says `reject`.

    Raises:
        RateLimited: `too_many_runs`.
    """
    if scene.used is None:
        return True
    conversation = scene.conversation
    asker = Asker(tenant_id=conversation.tenant_id, key_id=request.key_id, user_id=conversation.user_id)
    party = full_among(limits, asker, scene.used)
    if party is not None and request.on_busy == "reject":
        raise too_many_runs(limits, party)
    return party is None


def busy(run: Run) -> Conflict:
    does = f"waits for {_WAITS[run.waiting_for]}" if run.waiting_for else "is answering"
    return Conflict(f"Run {run.id} {does} in this conversation.", code="conversation_busy")


_WAITS = {
    WaitingFor.APPROVAL: "an approval",
    WaitingFor.PASSWORD: "a password",
    WaitingFor.EFFECT_UNKNOWN: "a person to say what became of a tool call",
}
