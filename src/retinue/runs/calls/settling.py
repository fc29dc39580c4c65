"""What a call has come to, as its entry in the journal."""

from typing import Any

import msgspec

from retinue.domain.encoding import encode_text
from retinue.domain.tools import CallStatus, Effect, JournalEntry
from retinue.observability.metrics import METRICS
from retinue.runs.calls.closing import OUTCOME_UNKNOWN, WRONG_PASSWORD
from retinue.runs.calls.invoking import CallEnd, NotDone, Succeeded, Unknown, WrongPassword
from retinue.runs.calls.passage import Stop
from retinue.runs.calls.results import fit_detail


def is_in_doubt(entry: JournalEntry) -> bool:
    """Nobody knows whether it took place: it was so before, or its process is gone."""
    if entry.status is CallStatus.EXECUTING:
        return entry.effect is Effect.WRITE
    return entry.status is CallStatus.OUTCOME_UNKNOWN


def identity(name: str, args: Any) -> str:
    return f"{name} {encode_text(args)}"


def ended(entry: JournalEntry, end: CallEnd, milliseconds: int) -> JournalEntry:
    fields: dict[str, Any]
    match end:
        case Succeeded(result=result):
            fields = {"status": CallStatus.SUCCEEDED, "result": result}
        case NotDone(code=code, detail=detail):
            fields = {"status": CallStatus.FAILED, "error": code, "detail": fit_detail(detail)}
        case Unknown(detail=detail):
            fields = {"status": CallStatus.OUTCOME_UNKNOWN, "error": OUTCOME_UNKNOWN, "detail": fit_detail(detail)}
        case WrongPassword():
            fields = {"status": CallStatus.FAILED, "error": WRONG_PASSWORD, "detail": "The password is wrong."}
    return msgspec.structs.replace(entry, duration_ms=milliseconds, **fields)


def count(entry: JournalEntry) -> None:
    """Tell the metrics what came of a call. What no tool has is not counted under its name, which a model made up."""
    METRICS.tool_called(entry.name if entry.version else None, entry.effect.value, entry.status.value)


def stopped(entry: JournalEntry, stop: Stop) -> JournalEntry:
    detail = fit_detail(stop.detail)
    return msgspec.structs.replace(entry, status=stop.status, error=stop.code, detail=detail, duration_ms=0)
