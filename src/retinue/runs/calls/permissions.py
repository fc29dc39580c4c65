"""What people have said about the calls of a run, and the questions that are put to them."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.approvals import Approval, Grant
from retinue.domain.events import ApprovalDecided
from retinue.domain.ids import new_id, now
from retinue.domain.runs import Run
from retinue.domain.tools import JournalEntry
from retinue.runs.calls.passage import Passage, digest_of, passage, reach_of
from retinue.runs.calls.results import decision_event
from retinue.runs.calls.toolbox import Prepared
from retinue.runs.storing import persistently


class Said(msgspec.Struct, frozen=True):
    """As of the moment in which it was read."""

    approvals: Mapping[int, Approval]
    """By the position of their calls; the newest of each call."""
    grants: Sequence[Grant]


NOTHING_SAID = Said({}, ())


class Permissions:
    __slots__ = ("_database", "_run", "_told")

    def __init__(self, database: Database, run: Run, *, told: frozenset[UUID] = frozenset()) -> None:
        """
        Args:
            told: the approvals of which everybody knows how they were decided.
        """
        self._database = database
        self._run = run
        self._told = told

    @property
    def were_asked_for(self) -> bool:
        """Whether people have been asked anything in this run."""
        return self._run.pauses > 0

    async def said(self) -> Said:
        """Raises: Unavailable, StorageFailed: of a database that stays away."""
        return await persistently(self._read)

    def news(self, entry: JournalEntry, said: Said) -> ApprovalDecided | None:
        """How a call was decided, once, if nobody has told it yet."""
        approval = said.approvals.get(entry.position)
        event = decision_event(approval) if approval else None
        if event is None or event.approval_id in self._told:
            return None
        self._told |= {event.approval_id}
        return event

    async def password_tries(self, entry: JournalEntry) -> int:
        """Wrong passwords that were supplied for a call. Raises: see `said`."""
        approval = (await self.said()).approvals.get(entry.position)
        return approval.password_tries if approval else 0

    async def supersede(self, approval_id: UUID) -> bool:
        """Nobody needs to decide it any more; false if somebody just has. Raises: see `said`."""
        return await persistently(lambda: self._supersede(lambda approval: approval.id == approval_id))

    async def take_back(self, *settled: JournalEntry) -> None:
        """Nobody needs to decide about these calls any more. Raises: see `said`."""
        if self.were_asked_for:
            positions = {entry.position for entry in settled}
            await persistently(lambda: self._supersede(lambda approval: approval.call_position in positions))

    async def _read(self) -> Said:
        async with self._database.unit(self._run.tenant_id, read_only=True) as unit:
            approvals = await unit.approvals.of_run(self._run.id)
            grants = await unit.grants.list(self._run.conversation_id)
        return Said({approval.call_position: approval for approval in approvals}, grants)

    async def _supersede(self, is_settled: Callable[[Approval], bool]) -> bool:
        """Whether any was pending."""
        async with self._database.unit(self._run.tenant_id) as unit:
            settled = [approval for approval in await unit.approvals.of_run(self._run.id) if is_settled(approval)]
            return any([await unit.approvals.supersede_one(approval.id) for approval in settled])

    def passage(self, entry: JournalEntry, prepared: Prepared, said: Said) -> Passage:
        return passage(entry, prepared, self._run, said.approvals.get(entry.position), said.grants)

    def request(self, entry: JournalEntry, prepared: Prepared, reason: str) -> Approval:
        """The question about a call. When it is stored it gets its place and its time."""
        at = now()
        return Approval(
            id=new_id(),
            tenant_id=self._run.tenant_id,
            run_id=self._run.id,
            conversation_id=self._run.conversation_id,
            employee_id=self._run.employee_id,
            call_position=entry.position,
            tool_call_id=entry.call_id,
            tool=entry.name,
            tool_version=prepared.tool.version,
            args=entry.args,
            digest=digest_of(entry, prepared, self._run),
            effect=prepared.assessment.effect,
            risk=prepared.assessment.risk,
            scope=reach_of(prepared.assessment),
            reason=reason,
            message=prepared.tool.question(prepared.arguments),
            requested_at=at,
            expires_at=at,
            paused_attempt=0,
            paused_seq=0,
        )
