"""Gives runs without a process to this one: those that waited, and those that were lost."""

from contextlib import suppress
from uuid import UUID

import structlog

from retinue.coordination.base import Signals
from retinue.db.session import Database, Unit
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, InternalError, NotFound, Unavailable
from retinue.domain.limits import Limits
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import Run
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.admission import refuse_if_overworked
from retinue.runs.endings import Failed
from retinue.runs.factory import RunnerFactory
from retinue.runs.lease import clock
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.slots import asker_of, full_for_new
from retinue.runs.parts import Beginning
from retinue.runs.recovery import CANNOT_START, Recovery
from retinue.runs.runner import Runner
from retinue.runs.supervisor import Supervisor
from retinue.runs.unrun import end_unrun
from retinue.runs.waiting.waking import Wake

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Any process may call any of this at any time: who wins is decided in the database."""

    def __init__(
        self,
        *,
        database: Database,
        factory: RunnerFactory,
        recovery: Recovery,
        supervisor: Supervisor,
        signals: Signals,
        limits: LimitsBook,
    ) -> None:
        self._database = database
        self._factory = factory
        self._recovery = recovery
        self._supervisor = supervisor
        self._signals = signals
        self._limits = limits
        self._crowded: set[UUID] = set()
        """Tenants of which a run could not start because others were being written."""
        self._in_turn: set[UUID] = set()
        """Tenants of which a run left a place to others, or waits for its employee."""

    def was_crowded(self, tenant_id: UUID) -> bool:
        """Whether a run of the tenant waited for the end of another one, when this was asked last."""
        was = tenant_id in self._crowded or tenant_id in self._in_turn
        self._crowded.discard(tenant_id)
        self._in_turn.discard(tenant_id)
        return was

    def is_crowded(self, tenant_id: UUID) -> bool:
        """Whether no run of the tenant can start at present, whatever its conversation."""
        return tenant_id in self._crowded

    async def start_next(self, tenant_id: UUID, conversation_id: UUID, *, in_turn: bool = False) -> None:
        """Start the conversation's next queued run, if none is active, no bound on runs is reached, its employee is
        free and there is room here.

        A run that cannot be started fails, and the one behind it is next.

        Args:
            in_turn: leave the last place that a bound allows to whoever has waited for it longest, in whatever
                conversation; the tenant counts as crowded then. What interrupts does not wait: it takes the place of
                what it has ended.
        """
        with suppress(Unavailable, NotFound):  # full, stopping, without a database, or the conversation is gone
            while await self._try_next(tenant_id, conversation_id, in_turn=in_turn):
                pass

    async def resume(self, tenant_id: UUID, run_id: UUID) -> bool:
        """Take a lost run over and go on with it; false if there is nothing to go on with, no room for it here, or no
        database.

        What runs here is left alone: it renews its lease, or notices by itself that it has lost the run.
        """
        if self._supervisor.runs(run_id):
            return False
        try:
            with self._supervisor.admit(tenant_id):
                runner = await self._recovery.take_over(tenant_id, run_id)
                if runner is None:
                    return False
                self._supervisor.start(runner)
        except Unavailable:
            return False
        self._tell_of(runner)
        return True

    async def wake(self, tenant_id: UUID, run_id: UUID, wake: Wake) -> bool:
        """Go on, in this process, with a run that waits for what somebody has supplied; false if it does not wait.

        Raises:
            Conflict: of `wake`.
            Unavailable: there is no room here, or no database.
        """
        await self._supervisor.ended(run_id)  # it may be about to leave this process
        with self._supervisor.admit(tenant_id):
            runner = await self._recovery.take_over(tenant_id, run_id, wake)
            if runner is None:
                return False
            self._supervisor.start(runner)
        self._tell_of(runner)
        return True

    async def go_on(self, tenant_id: UUID, run_id: UUID) -> None:
        """Take up a run that a decision has set free: here if there is room, else wherever somebody looks first."""
        await self._supervisor.ended(run_id)
        if not await self.resume(tenant_id, run_id):
            self._signals.send(Signal(SignalKind.ORPHAN, tenant_id, run_id))

    async def _try_next(self, tenant_id: UUID, conversation_id: UUID, *, in_turn: bool) -> bool:
        """Whether it is worth looking again: the run that was next is over already."""
        limits = await self._limits.of(tenant_id)
        with self._supervisor.admit(tenant_id):
            asked_at = clock()
            try:
                async with self._database.unit(tenant_id) as unit:
                    run = await self._lock_next(unit, conversation_id, limits, in_turn=in_turn)
                    if run is None:
                        return False
                    runner = await self._start(unit, run, asked_at)
                    has_more = bool(await unit.runs.queued(conversation_id))
            except (Unavailable, NotFound):
                raise
            except Exception:
                _log.exception("queued_run_not_started", conversation_id=str(conversation_id))
                return await self._give_up(tenant_id, conversation_id)
            if runner is not None:
                self._supervisor.start(runner)
        self._tell(tenant_id, conversation_id)
        if has_more:
            self._signals.send(Signal(SignalKind.QUEUE, tenant_id, conversation_id))
        return runner is None

    def _tell_of(self, runner: Runner) -> None:
        run = runner.run
        self._tell(run.tenant_id, run.conversation_id)
        # What waits behind it was heard of by the process that had it before.
        self._signals.send(Signal(SignalKind.QUEUE, run.tenant_id, run.conversation_id))

    def _tell(self, tenant_id: UUID, conversation_id: UUID) -> None:
        self._signals.send(Signal(SignalKind.CONVERSATION, tenant_id, conversation_id))

    async def _lock_next(
        self, unit: Unit, conversation_id: UUID, limits: Limits | None, *, in_turn: bool = False
    ) -> Run | None:
        """The run that may start now; its conversation is locked. Without limits it may start anyway."""
        conversation = await unit.conversations.get_for_update(conversation_id)
        if await unit.runs.active(conversation_id) is not None:
            return None
        queued = await unit.runs.queued(conversation_id)
        if not queued:
            return None
        if limits is not None and await full_for_new(unit, limits, asker_of(queued[0])) is not None:
            self._crowded.add(unit.tenant_id)
            return None
        employee = await unit.employees.find(conversation.employee_id)
        if in_turn and not queued[0].is_urgent and await _is_last_place(unit, limits, queued[0], employee):
            self._in_turn.add(unit.tenant_id)
            return None
        try:
            if employee is not None:
                await refuse_if_overworked(unit, employee)
        except Conflict:
            self._in_turn.add(unit.tenant_id)
            return None
        return await self._leave_queue(unit, queued[0])

    async def _leave_queue(self, unit: Unit, queued: Run) -> Run | None:
        lease = self._factory.lease
        run = await unit.runs.start(
            queued.id,
            owner=lease.owner,
            lease_seconds=lease.seconds,
            ordinal=await unit.runs.next_ordinal(queued.conversation_id),
        )
        if run is not None:
            pending = MessageStatus.PENDING
            await unit.messages.change_status(run.user_message_id, to=MessageStatus.COMPLETED, from_=pending)
            await unit.messages.change_status(run.message_id, to=MessageStatus.STREAMING, from_=pending)
        return run

    async def _start(self, unit: Unit, run: Run, asked_at: float) -> Runner | None:
        stored = await unit.run_events.last_position(run.id)
        try:
            context = await self._factory.stored_context(unit, run)
            runner = self._factory.make(run, context, Beginning(draft=self._factory.draft()), asked_at, seq=stored.seq)
            await runner.open_first_call(unit)
        except CANNOT_START as error:
            await end_unrun(unit, run, Failed(error), self._factory.draft(), seq=stored.seq)
            return None
        return runner

    async def _give_up(self, tenant_id: UUID, conversation_id: UUID) -> bool:
        """A run that makes every process stumble must not block those behind it."""
        async with self._database.unit(tenant_id) as unit:
            run = await self._lock_next(unit, conversation_id, None)
            if run is None:
                return False
            stored = await unit.run_events.last_position(run.id)
            return await end_unrun(unit, run, Failed(InternalError()), self._factory.draft(), seq=stored.seq)


async def _is_last_place(unit: Unit, limits: Limits | None, run: Run, employee: Employee | None) -> bool:
    """Whether nobody else could start beside this run."""
    if limits is not None and await full_for_new(unit, limits, asker_of(run), beside=1) is not None:
        return True
    most = None if employee is None else employee.max_concurrent_tasks
    return most is not None and await unit.employees.count_active_runs(run.employee_id) + 1 >= most
