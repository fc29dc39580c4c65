"""The effect journal of one run: what is about to happen is stored before it happens."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.audit import Actor
from retinue.domain.errors import ProcessLost
from retinue.domain.model_io import AssistantTurn
from retinue.domain.runs import Checkpoint, Run
from retinue.domain.tools import OPEN_CALLS, CallStatus, JournalEntry
from retinue.runs.calls.closing import WRONG_PASSWORD
from retinue.runs.calls.passage import digest_of
from retinue.runs.calls.toolbox import Prepared
from retinue.runs.ledger import CallLedger
from retinue.runs.outcome import CancelAsked
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently

_UNDECIDED = (*OPEN_CALLS, CallStatus.OUTCOME_UNKNOWN)


class Plan(msgspec.Struct, kw_only=True):
    """A model turn that asks for tools, and what has become of its calls so far."""

    step: int
    turn: AssistantTurn
    entries: list[JournalEntry]
    """In the order of the calls."""

    @property
    def undecided(self) -> list[JournalEntry]:
        """The calls of which a result is still missing."""
        return [entry for entry in self.entries if entry.status in _UNDECIDED]

    def change(self, entry: JournalEntry, **fields: object) -> JournalEntry:
        """Put another state of a call into its place."""
        changed = msgspec.structs.replace(entry, **fields)
        place = next(place for place, other in enumerate(self.entries) if other.position == entry.position)
        self.entries[place] = changed
        return changed


class Journal:
    """Each method is one transaction, fenced by the run's attempt. What it stores belongs to the step: whoever takes
    the run over goes on behind it.

    Raises everywhere:
        ProcessLost: the run belongs to another process, or was deleted.
        StorageFailed, Unavailable: the database did not take it for a while.
    """

    __slots__ = (
        "_actor",
        "_begun",
        "_database",
        "_ledger",
        "_may_be_stored",
        "_planned",
        "_recorder",
        "_run",
        "_unsaved",
    )

    def __init__(self, database: Database, run: Run, recorder: Recorder, ledger: CallLedger) -> None:
        self._database = database
        self._run = run
        self._recorder = recorder
        self._ledger = ledger
        self._actor = Actor(kind="employee", id=str(run.employee_id))
        self._begun: dict[int, _Begun] = {}
        self._planned: tuple[JournalEntry, ...] = ()
        self._may_be_stored = False
        """What is planned, although its answer got lost."""
        self._unsaved: list[JournalEntry] = []

    async def plan(self, plan: Plan) -> None:
        """Store what the model asks for, before any of it happens."""
        self._planned, self._may_be_stored = tuple(plan.entries), False
        await self._commit(plan, self._ledger.write_closings)
        self._ledger.forget_closings()

    async def intend(self, plan: Plan, entry: JournalEntry, prepared: Prepared) -> JournalEntry:
        """Store that a call is about to be made, so that not even the loss of power takes it back. When this returns,
        it may be made, and must be at once.

        Raises:
            CancelAsked: the run is to be cancelled.
        """

        assessment = prepared.assessment
        tries = count()

        async def execute(unit: Unit) -> None:
            await self._refuse_if_cancelled(unit)
            is_stored = next(tries) > 0 and await self._is_begun(unit, entry)
            # From `executing`, too: an earlier try may have been committed, or a call that may be repeated is.
            if not await unit.tool_calls.change(
                self._run.id,
                entry.position,
                to=CallStatus.EXECUTING,
                from_=OPEN_CALLS,
                approval_id=entry.approval_id,
                effect=assessment.effect,
                risk=assessment.risk,
            ):
                raise ProcessLost
            if not is_stored:
                await self._audit(unit, entry, prepared)

        try:
            await self._commit(plan, execute, is_durable=True)
        except BaseException:
            # Perhaps it is stored, and surely it is not made.
            self.keep(entry)
            raise
        if not self._recorder.hold.is_held:
            raise ProcessLost
        return plan.change(entry, status=CallStatus.EXECUTING, effect=assessment.effect, risk=assessment.risk)

    async def settle(self, plan: Plan, entries: Sequence[JournalEntry], events: Sequence[e.RunEvent] = ()) -> None:
        """Store what became of calls, and tell it after that."""
        self._unsaved += entries
        await self._commit(plan, None, events)

    def keep(self, entry: JournalEntry) -> None:
        """What became of a call that changes nothing; stored with the next transaction of the run."""
        self._unsaved.append(entry)

    async def flush(self, unit: Unit) -> None:
        """Write what was kept, inside the caller's transaction. Safe to repeat."""
        if self._planned:
            known = await unit.tool_calls.list(self._run.id) if self._may_be_stored else ()
            stored = {entry.position for entry in known}
            self._may_be_stored = True
            await unit.tool_calls.add(self._run.id, [entry for entry in self._planned if entry.position not in stored])
        for entry in self._unsaved:
            await unit.tool_calls.change(
                self._run.id,
                entry.position,
                to=entry.status,
                from_=tuple(status for status in _UNDECIDED if status is not entry.status),
                result=entry.result,
                error=entry.error,
                detail=entry.detail,
                duration_ms=entry.duration_ms,
                approval_id=entry.approval_id,
            )
            if entry.position in self._begun:
                await self._audit_end(unit, entry, self._begun[entry.position])

    @property
    def has_kept(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._planned or self._unsaved)

    def forget(self) -> None:
        """What was kept is committed."""
        self._planned = ()
        self._unsaved.clear()

    async def _commit(
        self,
        plan: Plan,
        work: Callable[[Unit], Awaitable[None]] | None,
        events: Sequence[e.RunEvent] = (),
        *,
        is_durable: bool = False,
    ) -> None:
        sealed = [self._recorder.seal(event) for event in events]
        is_stored = False
        try:
            await persistently(lambda: self._store(plan, work, sealed, is_durable=is_durable))
            is_stored = True
        finally:
            self._recorder.tell(sealed, is_stored=is_stored)
        self.forget()

    async def _store(
        self,
        plan: Plan,
        work: Callable[[Unit], Awaitable[None]] | None,
        sealed: Sequence[e.RecordedEvent],
        *,
        is_durable: bool,
    ) -> None:
        recorder = self._recorder
        async with recorder.writing:
            events = recorder.take_unstored()
            try:
                async with self._database.unit(self._run.tenant_id, is_durable=is_durable) as unit:
                    await unit.run_events.add(self._run.id, self._run.attempt, [*events, *sealed])
                    await self._check_in(unit, plan)
                    await self.flush(unit)
                    if work is not None:
                        await work(unit)
            except BaseException:
                recorder.put_back(events)
                raise

    async def _check_in(self, unit: Unit, plan: Plan) -> None:
        checkpoint = Checkpoint(
            run_id=self._run.id, step=plan.step, position=self._recorder.position, turns=(plan.turn,)
        )
        if not await unit.checkpoints.add(checkpoint, self._run.attempt):
            raise ProcessLost

    async def _refuse_if_cancelled(self, unit: Unit) -> None:
        """Stop means stop: the word may be stored, and not have reached this process yet."""
        run = await unit.runs.find(self._run.id)
        if run is not None and run.cancel_requested_at is not None:
            raise CancelAsked(run.cancel_requested_at)

    async def _is_begun(self, unit: Unit, entry: JournalEntry) -> bool:
        """Whether an earlier try was committed although its answer got lost."""
        if entry.status is CallStatus.EXECUTING:
            return False  # it was so before, and nobody can tell
        stored = await unit.tool_calls.list(self._run.id)
        return any(one.position == entry.position and one.status is CallStatus.EXECUTING for one in stored)

    async def _audit(self, unit: Unit, entry: JournalEntry, prepared: Prepared) -> None:
        assessment = prepared.assessment
        payload = {
            "run_id": str(self._run.id),
            "conversation_id": str(self._run.conversation_id),
            "tool": entry.name,
            "effect": assessment.effect.value,
            "risk_level": assessment.risk.value,
            "approved": entry.approval_id is not None,
            "approval_id": str(entry.approval_id) if entry.approval_id else None,
            "digest": digest_of(entry, prepared, self._run),
        }
        action = "tool.called"
        if assessment.command is not None:
            action = "command.executed"
            payload |= {"command": assessment.command, "action_type": assessment.action_type}
        begun = await unit.audit.record(
            action, object_type="tool_call", object_id=entry.idempotency_key, payload=payload, actor=self._actor
        )
        self._begun[entry.position] = _Begun(begun, is_command=assessment.command is not None)

    async def _audit_end(self, unit: Unit, entry: JournalEntry, begun: "_Begun") -> None:
        """What came of it, about the entry that says that it was begun."""
        kind = "command" if begun.is_command else "tool"
        payload = {
            "run_id": str(self._run.id),
            "tool": entry.name,
            # After a wrong password the call is open again or given up, and surely did nothing.
            "outcome": "not_made" if entry.is_open or entry.error == WRONG_PASSWORD else entry.status.value,
            "error": entry.error,
        }
        if begun.is_command and isinstance(entry.result, dict):
            payload["exit_code"] = entry.result.get("exit_code")
        await unit.audit.record(
            f"{kind}.finished", object_type=kind, object_id=str(begun.entry_id), payload=payload, actor=self._actor
        )


class _Begun(msgspec.Struct, frozen=True):
    """A call that was made."""

    entry_id: UUID
    """Of the audit trail."""
    is_command: bool
