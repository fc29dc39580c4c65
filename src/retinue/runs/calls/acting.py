"""Works off the tool calls of a model turn, in order and each at most once."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from retinue.domain import events as e
from retinue.domain.approvals import Approval
from retinue.domain.model_io import AssistantTurn, ToolTurn
from retinue.domain.policy import RunLimits
from retinue.domain.runs import WaitingFor
from retinue.domain.secret import Secret
from retinue.domain.tools import CallStatus, JournalEntry
from retinue.runs.calls.closing import OUTCOME_UNKNOWN
from retinue.runs.calls.invoking import CallEnd, Unknown, WrongPassword, invoke
from retinue.runs.calls.journal import Journal, Plan
from retinue.runs.calls.passage import Go, Request, Stop, Wait
from retinue.runs.calls.permissions import NOTHING_SAID, Permissions, Said
from retinue.runs.calls.results import finished_event, log_entry, tool_turn
from retinue.runs.calls.settling import count, ended, identity, is_in_doubt, stopped
from retinue.runs.calls.toolbox import Fault, Prepared, Toolbox
from retinue.runs.draft import Draft
from retinue.runs.outcome import Pause, RequestedCall
from retinue.runs.recorder import Recorder
from retinue.tools.base import Invocation

_SKIPPED = Stop(CallStatus.FAILED, "skipped", "It was not carried out, because a call before it was denied.")


class Ready(msgspec.Struct, frozen=True):
    """A call that may be made now."""

    entry: JournalEntry
    prepared: Prepared


class Acting:
    """Neighbouring calls that only read are made together; every other call is made alone, after those before it.

    A call that needs a person stops everything behind it. What a person denies ends the turn's other calls, too.
    """

    __slots__ = ("_draft", "_journal", "_limits", "_passwords", "_permissions", "_plan", "_recorder", "_toolbox")

    def __init__(
        self,
        *,
        toolbox: Toolbox,
        journal: Journal,
        permissions: Permissions,
        recorder: Recorder,
        draft: Draft,
        limits: RunLimits,
        passwords: Mapping[str, Secret] | None = None,
    ) -> None:
        """
        Args:
            passwords: what a person has supplied for calls, by their ids. Each serves one try.
        """
        self._toolbox = toolbox
        self._journal = journal
        self._permissions = permissions
        self._recorder = recorder
        self._draft = draft
        self._limits = limits
        self._passwords = dict(passwords or {})
        self._plan: Plan | None = None

    def take_undecided(self) -> Sequence[JournalEntry]:
        """The calls that have come to nothing, for whoever ends the run; they are told once."""
        plan, self._plan = self._plan, None
        return plan.undecided if plan else ()

    async def plan(self, step: int, turn: AssistantTurn, calls: Sequence[RequestedCall]) -> Plan:
        """Write down what the model asks for, before any of it happens."""
        first = len(self._draft.tool_log) + 1
        entries = [await self._toolbox.entry(call, step=step, position=at) for at, call in enumerate(calls, first)]
        self._plan = plan = Plan(step=step, turn=turn, entries=entries)
        await self._journal.plan(plan)
        return plan

    async def work_off(self, plan: Plan) -> ToolTurn | Pause:
        """Make the calls that may be made. Returns all results, or what a person is needed for.

        Raises:
            ProcessLost, StorageFailed, Unavailable: see `Journal`.
            CancelAsked: the run is to be cancelled.
        """
        self._plan = plan
        self._recorder.record(e.StatusChanged(stage="running_tool"))
        self._tell_what_was_resolved(plan)
        while rest := plan.undecided:
            if pause := await self._advance(plan, rest):
                return pause
        self._plan = None
        return tool_turn(tuple(plan.entries))

    async def _advance(self, plan: Plan, rest: Sequence[JournalEntry]) -> Pause | None:
        """Do something about the first of these calls; with it, about those behind it that may run beside it."""
        first = rest[0]
        if is_in_doubt(first):
            return await self._doubt(plan, first)
        look = await self._look(plan, first)
        if isinstance(look, Fault):
            stop = Stop(CallStatus.FAILED, look.code, look.detail, skips_rest=look.is_of_rest)
            return await self._refuse(plan, first, stop)
        said = await self._said(look)
        if news := self._permissions.news(first, said):
            self._recorder.record(news)
        match self._permissions.passage(first, look, said):
            case Stop() as stop:
                return await self._refuse(plan, first, stop)
            case Request() | Wait():
                return await self._ask(plan, rest, said)
            case Go() as go:
                return await self._go(plan, rest, look, go)

    async def _go(self, plan: Plan, rest: Sequence[JournalEntry], look: Prepared, go: Go) -> Pause | None:
        if go.superseded is not None and not await self._permissions.supersede(go.superseded):
            return None  # somebody has just decided about this call: look anew
        ready = Ready(plan.change(rest[0], approval_id=go.approval_id), look)
        if look.is_plain_read and go.approval_id is None:
            await self._read_together([ready, *await self._reads_after(plan, rest)], plan)
            return None
        return await self._make(plan, ready)

    async def _look(self, plan: Plan, entry: JournalEntry) -> Prepared | Fault:
        if entry.position - plan.entries[0].position >= self._limits.max_calls_per_step:
            detail = f"Of one turn {self._limits.max_calls_per_step} calls are carried out."
            return Fault("too_many_calls", detail, is_of_rest=True)
        failures = self._failures()[identity(entry.name, entry.args)]
        if failures >= self._limits.max_identical_failures:
            detail = f"This very call has failed {failures} times. It was not tried again: do something else."
            return Fault("repeated_failure", detail)
        return await self._toolbox.look(entry.name, entry.args)

    async def _said(self, prepared: Prepared) -> Said:
        if prepared.is_free and not self._permissions.were_asked_for:
            return NOTHING_SAID
        return await self._permissions.said()

    async def _reads_after(self, plan: Plan, rest: Sequence[JournalEntry]) -> list[Ready]:
        """The calls right behind the first that may be made together with it."""
        ready: list[Ready] = []
        for entry in rest[1:]:
            look = await self._look(plan, entry)
            if isinstance(look, Fault) or not (look.is_free and look.is_plain_read) or self._permissions.were_asked_for:
                break
            ready.append(Ready(entry, look))
        return ready

    async def _read_together(self, calls: Sequence[Ready], plan: Plan) -> None:
        tasks = [asyncio.create_task(self._timed(ready)) for ready in calls]
        try:
            for ready, task in zip(calls, tasks, strict=True):
                end, milliseconds = await task
                self._tell(plan, ended(ready.entry, end, milliseconds))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, plan: Plan, ready: Ready) -> Pause | None:
        """Make one call that changes something, or that a person has allowed."""
        entry, prepared = ready.entry, ready.prepared
        password = self._passwords.pop(entry.call_id, None)
        if prepared.assessment.needs_password and password is None:
            tries = await self._permissions.password_tries(entry)
            return self._pause(plan, WaitingFor.PASSWORD, entry, password_tries=tries)
        if not prepared.is_plain_read:
            entry = await self._journal.intend(plan, entry, prepared)
        end, milliseconds = await self._timed(Ready(entry, prepared), password)
        match end:
            case WrongPassword() if prepared.assessment.needs_password:
                return await self._password_was_wrong(plan, entry, milliseconds)
            case Unknown():
                return await self._doubt(plan, ended(entry, end, milliseconds))
            case _:
                await self._settle(plan, ended(entry, end, milliseconds))
                return None

    async def _timed(self, ready: Ready, password: Secret | None = None) -> tuple[CallEnd, int]:
        began = time.monotonic()
        invocation = Invocation(
            caller=self._toolbox.caller,
            call_id=ready.entry.call_id,
            idempotency_key=ready.entry.idempotency_key,
            scope=ready.prepared.assessment.scope,
            password=password,
        )
        end = await invoke(ready.prepared, invocation, self._limits)
        return end, round((time.monotonic() - began) * 1000)

    async def _password_was_wrong(self, plan: Plan, entry: JournalEntry, milliseconds: int) -> Pause | None:
        """Nothing has happened. Another one is asked for, but not for ever."""
        tries = 1 + await self._permissions.password_tries(entry)
        if tries >= self._limits.password_tries:
            await self._settle(plan, ended(entry, WrongPassword(), milliseconds))
            return None
        entry = plan.change(entry, status=CallStatus.APPROVED)
        await self._journal.settle(plan, (entry,))
        return self._pause(plan, WaitingFor.PASSWORD, entry, password_tries=tries)

    async def _doubt(self, plan: Plan, entry: JournalEntry) -> Pause:
        entry = plan.change(entry, status=CallStatus.OUTCOME_UNKNOWN, error=OUTCOME_UNKNOWN)
        await self._journal.settle(plan, (entry,))
        count(entry)
        return self._pause(plan, WaitingFor.EFFECT_UNKNOWN, entry)

    async def _refuse(self, plan: Plan, entry: JournalEntry, stop: Stop) -> Pause | None:
        if entry.was_tried:
            # It may have taken effect before, and cannot be repeated now.
            return await self._doubt(plan, entry)
        rest = [other for other in plan.undecided if stop.skips_rest and other.position != entry.position]
        await self._permissions.take_back(entry, *rest)
        why = _SKIPPED if stop.status is CallStatus.DENIED else stop
        await self._settle(plan, stopped(entry, stop), *(stopped(other, why) for other in rest))
        return None

    async def _ask(self, plan: Plan, rest: Sequence[JournalEntry], said: Said) -> Pause:
        """Everything in this turn that a person has to decide is asked for at once."""
        waiting: list[JournalEntry] = []
        requests: list[Approval] = []
        pending: list[UUID] = []
        for entry in rest:
            look = await self._look(plan, entry)
            if isinstance(look, Fault):
                continue
            match self._permissions.passage(entry, look, said):
                case Request(reason=reason):
                    requests.append(self._permissions.request(entry, look, reason))
                    waiting.append(entry)
                case Wait(approval_id=approval_id):
                    pending.append(approval_id)
                    waiting.append(msgspec.structs.replace(entry, approval_id=approval_id))
                case _:
                    pass
        return Pause(
            step=plan.step,
            turn=plan.turn,
            waiting_for=WaitingFor.APPROVAL,
            calls=tuple(waiting),
            requests=tuple(requests),
            approvals=tuple(pending),
        )

    def _pause(self, plan: Plan, why: WaitingFor, entry: JournalEntry, *, password_tries: int = 0) -> Pause:
        return Pause(step=plan.step, turn=plan.turn, waiting_for=why, calls=(entry,), password_tries=password_tries)

    async def _settle(self, plan: Plan, *entries: JournalEntry) -> None:
        """Store what became of these calls before it is told."""
        finished = [finished_event(plan.change(entry)) for entry in entries]
        self._draft.tool_log += map(log_entry, finished)
        await self._journal.settle(plan, entries, finished)
        for entry in entries:
            count(entry)

    def _tell(self, plan: Plan, entry: JournalEntry) -> None:
        """Tell what a read has come to; it is stored a moment later."""
        plan.change(entry)
        finished = finished_event(entry)
        self._draft.tool_log.append(log_entry(finished))
        self._recorder.record(finished)
        self._journal.keep(entry)
        count(entry)

    def _tell_what_was_resolved(self, plan: Plan) -> None:
        """What a person has said about a call is in the journal, and not in the log."""
        told = {entry.tool_call_id for entry in self._draft.tool_log}
        undecided = {entry.call_id for entry in plan.undecided}
        for entry in plan.entries:
            if entry.call_id not in told | undecided:
                finished = finished_event(entry)
                self._draft.tool_log.append(log_entry(finished))
                self._recorder.record(finished)

    def _failures(self) -> Counter[str]:
        return Counter(identity(entry.name, entry.args) for entry in self._draft.tool_log if entry.error)
