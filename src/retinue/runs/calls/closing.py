"""What becomes of the calls that a run leaves behind when it ends before they have come to something."""

from collections.abc import Iterable

import msgspec

from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.tools import CallStatus, JournalEntry
from retinue.runs.calls.results import finished_event, log_entry
from retinue.runs.draft import Draft
from retinue.runs.endings import EndState

OUTCOME_UNKNOWN = "outcome_unknown"
WRONG_PASSWORD = "wrong_password"  # noqa: S105
_IN_DOUBT = "Nobody can know whether its effect took place."
_CUT_OFF = "The run ended while this call was made."
_CLOSED = {
    RunStatus.CANCELLED: (CallStatus.FAILED, "cancelled", "The run was cancelled before this call was made."),
    RunStatus.EXPIRED: (CallStatus.EXPIRED, "expired", "Nobody decided in time."),
}
_OTHERWISE = (CallStatus.FAILED, "not_made", "The run ended before this call was made.")
"""Also of a call that a person had allowed, in a run in which nobody decided about another in time."""
_UNDECIDED = f"{WaitingFor.APPROVAL}_expired"


def close_in_draft(draft: Draft, left: Iterable[JournalEntry], state: EndState) -> list[e.RunEvent]:
    """Put the calls that are left into the tool log. Returns the events that tell of it."""
    finished = [finished_event(_closed(entry, state)) for entry in left]
    draft.tool_log += map(log_entry, finished)
    return [*finished]


async def close_calls(unit: Unit, run: Run, state: EndState) -> None:
    """The same in the journal."""
    if state.error_code == _UNDECIDED:
        await unit.tool_calls.close_approved(run.id, *_OTHERWISE)
    await unit.tool_calls.close_open(run.id, *_CLOSED.get(state.run_status, _OTHERWISE))


def _closed(entry: JournalEntry, state: EndState) -> JournalEntry:
    if not entry.is_open and entry.status is not CallStatus.OUTCOME_UNKNOWN:
        return entry  # a person has said what became of it, and nobody has told it yet
    if entry.was_tried or entry.status is CallStatus.OUTCOME_UNKNOWN:
        return msgspec.structs.replace(
            entry, status=CallStatus.OUTCOME_UNKNOWN, error=OUTCOME_UNKNOWN, detail=_IN_DOUBT
        )
    status, error, detail = _CLOSED.get(state.run_status, _OTHERWISE)
    if entry.status is CallStatus.EXECUTING:
        status, error, detail = CallStatus.FAILED, "cancelled", _CUT_OFF
    elif entry.status is CallStatus.APPROVED and state.error_code == _UNDECIDED:
        status, error, detail = _OTHERWISE
    return msgspec.structs.replace(entry, status=status, error=error, detail=detail)
