"""Whether everything that is stored of a run says the same."""

from collections.abc import Sequence

import msgspec

from retinue.domain import events as e
from retinue.domain.approvals import Approval, ApprovalStatus
from retinue.domain.audit import AuditEntry
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.domain.ids import Position
from retinue.domain.messages import Message, MessageStatus, ToolLogEntry
from retinue.domain.runs import CallOutcome, Run, RunStatus
from retinue.domain.tools import OPEN_CALLS, CallStatus, JournalEntry
from retinue.runs.draft import text_digest
from tests.unit.runs.conftest import World
from tests.unit.runs.logs import standing, text_of, whole


class Books(msgspec.Struct, frozen=True, kw_only=True):
    run: Run
    answer: Message
    events: Sequence[RecordedEvent]
    journal: Sequence[JournalEntry]
    approvals: Sequence[Approval]
    audit: Sequence[AuditEntry]
    """Oldest first."""

    @property
    def statuses(self) -> list[str]:
        """Of the calls, in their order."""
        return [entry.status.value for entry in self.journal]

    @property
    def errors(self) -> list[str | None]:
        return [entry.error for entry in self.answer.tool_log]

    @property
    def actions(self) -> list[str]:
        return [entry.action for entry in self.audit]

    @property
    def end(self) -> RunEnd:
        end = self.events[-1].event
        assert isinstance(end, RunEnd)
        return end


async def read_books(world: World, run: Run) -> Books:
    async with world.database.unit(run.tenant_id, read_only=True) as unit:
        return Books(
            run=await unit.runs.get(run.id),
            answer=await unit.messages.get(run.message_id),
            events=await unit.run_events.read(run.id, limit_rows=10_000),
            journal=await unit.tool_calls.list(run.id),
            approvals=await unit.approvals.of_run(run.id),
            audit=(await unit.audit.list(limit=1000))[::-1],
        )


async def ended(world: World, run: Run) -> Books:
    """The books of a run that has ended, after checking them."""
    books = await read_books(world, run)
    assert books.run.status not in {RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING}
    end = whole(books.events)
    assert (books.run.waiting_for, books.run.finish_reason) == (None, end.finish_reason)
    assert (books.run.event_count, books.run.text_sha256) == (end.event_count, end.text_sha256)
    assert books.answer.status == MessageStatus(books.run.status.value)
    assert not [entry.call_id for entry in books.journal if entry.status in OPEN_CALLS]
    assert [entry.call_id for entry in books.journal] == [entry.tool_call_id for entry in books.answer.tool_log]
    assert not [asked.id for asked in books.approvals if asked.status is ApprovalStatus.PENDING]
    assert not [asked.id for asked in books.approvals if asked.password_expires_at is not None]
    await _agree(world, books, end)
    return books


async def paused(world: World, run: Run) -> Books:
    """The books of a run that waits for a person, after checking them."""
    books = await read_books(world, run)
    end = books.events[-1].event
    assert isinstance(end, e.RunPaused)
    assert (books.run.status, books.run.waiting_for) == (RunStatus.WAITING, end.waiting_for)
    assert books.answer.status is MessageStatus.WAITING
    assert end.event_count == len(books.events)
    assert end.text_sha256 == text_digest(text_of(standing(books.events)))
    assert not [entry.call_id for entry in books.journal if entry.status is CallStatus.EXECUTING]
    place = books.events[-1].position
    awaited = [
        asked
        for asked in books.approvals
        if asked.status is ApprovalStatus.PENDING or asked.password_expires_at is not None
    ]
    assert [Position(asked.paused_attempt, asked.paused_seq) for asked in awaited] == [place] * len(awaited)
    await _agree(world, books, end)
    return books


async def _agree(world: World, books: Books, end: RunEnd) -> None:
    """Events, message and journal say the same about what has become of each call, and every model call is booked."""
    assert books.answer.content == text_of(standing(books.events))
    told = [event.event for event in standing(books.events) if isinstance(event.event, e.ToolCallFinished)]
    assert [_entry(event) for event in told] == list(end.tool_log) == list(books.answer.tool_log)
    journal = {entry.call_id: entry for entry in books.journal}
    for entry in books.answer.tool_log:
        row = journal[entry.tool_call_id]
        assert (row.name, row.args, row.result, row.error) == (entry.name, entry.args, entry.result, entry.error)
        assert (entry.error is None) == (row.status is CallStatus.SUCCEEDED)
    assert [entry.position for entry in books.journal] == list(range(1, len(books.journal) + 1))
    rows = await world.ledger_now(books.run)
    assert not [row.id for row in rows if row.outcome is CallOutcome.OPEN]
    assert books.run.usage == (books.answer.usage if books.run.finished_at else None)


def _entry(event: e.ToolCallFinished) -> ToolLogEntry:
    names = ("tool_call_id", "args", "result", "error", "detail", "duration_ms")
    return ToolLogEntry(name=event.tool, **{name: getattr(event, name) for name in names})
