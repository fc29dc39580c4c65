"""Stores a pause and tells of it: the run waits for a person and is in no process."""

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.approvals import Approval, ApprovalStatus
from retinue.domain.audit import Actor
from retinue.domain.errors import InternalError, ProcessLost
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import ms_of, now, time_of
from retinue.domain.runs import Checkpoint, Run, RunStatus, WaitingFor
from retinue.runs.calls.journal import Journal
from retinue.runs.draft import Draft
from retinue.runs.ending import run_end
from retinue.runs.ledger import CallLedger
from retinue.runs.outcome import CancelAsked, Pause
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently


class PauseResult(Enum):
    STORED = auto()
    GOES_ON = auto()
    """What it was about to wait for has come meanwhile; nothing was written."""


class Pausing:
    """One transaction: questions, events, the journal, the answer so far, and the run without an owner."""

    __slots__ = ("_database", "_draft", "_journal", "_ledger", "_password_tries", "_recorder", "_run", "_wait")

    def __init__(
        self,
        *,
        database: Database,
        run: Run,
        recorder: Recorder,
        ledger: CallLedger,
        draft: Draft,
        journal: Journal,
        wait_seconds: float,
        password_tries: int,
    ) -> None:
        self._database = database
        self._run = run
        self._recorder = recorder
        self._ledger = ledger
        self._draft = draft
        self._journal = journal
        self._wait = timedelta(seconds=wait_seconds)
        self._password_tries = password_tries

    async def pause(self, pause: Pause, metadata: dict[str, Any]) -> PauseResult:
        """
        Raises:
            CancelAsked: the run is to be cancelled instead; nothing was written.
            ProcessLost: the run belongs to another process.
            StorageFailed, Unavailable: nobody knows whether it is stored.
        """
        question = await persistently(lambda: self._question(pause))
        sealed = [self._recorder.seal(event) for event in self._events(pause, question)]
        sealed.append(self._recorder.seal(self._paused(pause, question, metadata)))
        try:
            result = await persistently(lambda: self._store(pause, question, sealed, metadata))
        except (CancelAsked, ProcessLost):
            self._recorder.unseal(len(sealed))
            raise
        except BaseException:
            # Perhaps they are stored: their numbers are taken.
            self._recorder.tell(sealed, is_stored=False)
            raise
        if result is PauseResult.GOES_ON:
            self._recorder.unseal(len(sealed))
            return result
        self._journal.forget()
        self._recorder.tell(sealed, is_stored=True)
        self._recorder.leave()
        return result

    async def _question(self, pause: Pause) -> "_Question":
        async with self._database.unit(self._run.tenant_id, read_only=True) as unit:
            at = _milliseconds(await unit.clock())
        expires_at = _milliseconds(at + self._wait)
        requests = tuple(
            msgspec.structs.replace(request, requested_at=at, expires_at=expires_at) for request in pause.requests
        )
        return _Question(requests=requests, expires_at=expires_at)

    def _events(self, pause: Pause, question: "_Question") -> list[e.RunEvent]:
        events: list[e.RunEvent] = [_asked(request) for request in question.requests]
        if pause.waiting_for is WaitingFor.PASSWORD:
            call = pause.calls[0]
            assert call.approval_id is not None, "a call that needs a password is one that was approved"
            events.append(
                e.PasswordRequested(
                    approval_id=call.approval_id,
                    tool_call_id=call.call_id,
                    tool=call.name,
                    expires_at=question.expires_at,
                    tries_left=self._password_tries - pause.password_tries,
                )
            )
        return [*events, e.StatusChanged(stage="waiting")]

    def _paused(self, pause: Pause, question: "_Question", metadata: dict[str, Any]) -> e.RunPaused:
        end = run_end(
            self._run,
            self._draft,
            finish_reason="waiting",
            stats=self._draft.stats(),
            event_count=self._recorder.event_count + 1,
            metadata=metadata,
        )
        is_unknown = pause.waiting_for is WaitingFor.EFFECT_UNKNOWN
        by_call = {request.call_position: request.id for request in question.requests}
        asked = [by_call.get(call.position) or call.approval_id for call in pause.calls]
        return e.RunPaused(
            **msgspec.structs.asdict(end),
            waiting_for=pause.waiting_for,
            approval_ids=() if is_unknown else tuple(approval for approval in asked if approval is not None),
            tool_call_ids=tuple(call.call_id for call in pause.calls) if is_unknown else (),
        )

    async def _store(
        self, pause: Pause, question: "_Question", sealed: list[RecordedEvent], metadata: dict[str, Any]
    ) -> PauseResult:
        recorder = self._recorder
        async with recorder.writing:
            events = recorder.take_unstored()
            try:
                async with self._database.unit(self._run.tenant_id) as unit:
                    result = await self._is_settled(unit, pause)
                    if result is None:
                        await self._write(unit, pause, question, [*events, *sealed])
                        await self._write_answer(unit, metadata)
            except BaseException:
                recorder.put_back(events)
                raise
            if result is PauseResult.GOES_ON:
                recorder.put_back(events)
            return result or PauseResult.STORED

    async def _is_settled(self, unit: Unit, pause: Pause) -> PauseResult | None:
        """Whether there is nothing to write, or something else to do."""
        # The approval before the run, as everywhere: who decides it locks them in the same order.
        first = [await unit.approvals.get_for_update(approval_id) for approval_id in pause.approvals[:1]]
        run = await unit.runs.find(self._run.id)
        # An earlier try may have been committed although its answer got lost; then the run may even have gone on.
        if run is None or (run.attempt, run.pauses) != (self._run.attempt, self._run.pauses):
            raise ProcessLost
        if run.status is RunStatus.WAITING:
            return PauseResult.STORED
        if run.cancel_requested_at is not None:
            raise CancelAsked(run.cancel_requested_at)
        is_decided = any(approval.status is not ApprovalStatus.PENDING for approval in first)
        return PauseResult.GOES_ON if is_decided else None

    async def _write(self, unit: Unit, pause: Pause, question: "_Question", events: list[RecordedEvent]) -> None:
        run, (attempt, seq) = self._run, events[-1].position
        await unit.run_events.add(run.id, run.attempt, events)
        checkpoint = Checkpoint(run_id=run.id, step=pause.step, position=events[-1].position, turns=(pause.turn,))
        if not await unit.checkpoints.add(checkpoint, run.attempt):
            raise ProcessLost
        await self._journal.flush(unit)
        await self._ledger.write_closings(unit)
        for request in question.requests:
            await unit.approvals.add(msgspec.structs.replace(request, paused_attempt=attempt, paused_seq=seq))
            await _audit(unit, request, Actor(kind="employee", id=str(run.employee_id)))
        if pause.waiting_for is WaitingFor.PASSWORD:
            await self._await_password(unit, pause, question.expires_at)
        await unit.approvals.move_pause(run.id, attempt=attempt, seq=seq)
        if not await unit.runs.pause(run.id, run.attempt, waiting_for=pause.waiting_for):
            raise await self._why_not(unit)

    async def _await_password(self, unit: Unit, pause: Pause, expires_at: datetime) -> None:
        approval_id, tries = pause.calls[0].approval_id, pause.password_tries
        assert approval_id is not None, "a call that needs a password is one that was approved"
        if not await unit.approvals.await_password(approval_id, expires_at=expires_at, tries=tries):
            raise InternalError("A password is asked for a call that nobody has allowed.")

    async def _why_not(self, unit: Unit) -> Exception:
        run = await unit.runs.find(self._run.id)
        if run is not None and run.attempt == self._run.attempt and run.cancel_requested_at is not None:
            return CancelAsked(run.cancel_requested_at)
        return ProcessLost()

    async def _write_answer(self, unit: Unit, metadata: dict[str, Any]) -> None:
        draft = self._draft
        await unit.messages.pause(
            self._run.message_id,
            content=draft.text,
            reasoning=draft.reasoning,
            tool_log=tuple(draft.tool_log),
            usage=draft.usage,
            cost=draft.total_cost,
            metadata=metadata,
            at=now(),
        )


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    requests: tuple[Approval, ...]
    expires_at: datetime


def _asked(request: Approval) -> e.ApprovalRequested:
    return e.ApprovalRequested(
        approval_id=request.id,
        tool_call_id=request.tool_call_id,
        tool=request.tool,
        args=request.args,
        risk_level=request.risk,
        reason=request.reason,
        message=request.message,
        expires_at=request.expires_at,
    )


async def _audit(unit: Unit, request: Approval, actor: Actor) -> None:
    await unit.audit.record(
        "approval.requested",
        object_type="approval",
        object_id=str(request.id),
        payload={
            "run_id": str(request.run_id),
            "tool": request.tool,
            "risk_level": request.risk.value,
            "digest": request.digest,
        },
        actor=actor,
    )


def _milliseconds(at: datetime) -> datetime:
    """As precise as events tell it."""
    return time_of(ms_of(at))
