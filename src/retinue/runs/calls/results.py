"""What people said about a call and what became of it, in the words of the model, the events and the tool log."""

from typing import Any

import msgspec

from retinue.domain import events as e
from retinue.domain.approvals import Approval
from retinue.domain.encoding import encode_text
from retinue.domain.messages import ToolLogEntry
from retinue.domain.model_io import ToolResult, ToolTurn
from retinue.domain.text import clean, clean_value
from retinue.domain.tools import JournalEntry

MAX_DETAIL_CHARS = 4_000
"""Of an error in words. A decider's comment fits in; what a tool or a schema echoes may be of any length."""
CUT = "\n[cut off: {kept} of {whole} characters]"


def fit_result(value: Any, max_chars: int) -> Any:
    """A tool's result as it is kept and shown: clean, JSON, and not longer than allowed.

    What is too long becomes text that ends with a mark.

    Raises:
        TypeError, ValueError, RecursionError: the result is no JSON.
    """
    value = clean_value(msgspec.to_builtins(value, str_keys=True))
    text = _text(value)
    if len(text) <= max_chars:
        return value
    return text[:max_chars] + CUT.format(kept=max_chars, whole=len(text))


def fit_detail(detail: str) -> str:
    """An error in words as it is kept and shown: clean, and not too long."""
    detail = clean(detail)
    if len(detail) <= MAX_DETAIL_CHARS:
        return detail
    return detail[:MAX_DETAIL_CHARS] + CUT.format(kept=MAX_DETAIL_CHARS, whole=len(detail))


def tool_turn(entries: tuple[JournalEntry, ...]) -> ToolTurn:
    """The results of one model turn, in the order of its calls."""
    return ToolTurn(tuple(_result(entry) for entry in entries))


def finished_event(entry: JournalEntry) -> e.ToolCallFinished:
    return e.ToolCallFinished(
        tool_call_id=entry.call_id,
        tool=entry.name,
        args=entry.args,
        result=entry.result,
        error=entry.error,
        detail=entry.detail,
        duration_ms=entry.duration_ms or 0,
    )


def decision_event(approval: Approval) -> e.ApprovalDecided | None:
    """None if nobody has decided."""
    if approval.decision is None:
        return None
    return e.ApprovalDecided(
        approval_id=approval.id,
        tool_call_id=approval.tool_call_id,
        tool=approval.tool,
        decision=approval.decision,
        decided_by=approval.decided_by or "",
        comment=approval.comment,
    )


def log_entry(finished: e.ToolCallFinished) -> ToolLogEntry:
    return ToolLogEntry(
        tool_call_id=finished.tool_call_id,
        name=finished.tool,
        args=finished.args,
        result=finished.result,
        error=finished.error,
        detail=finished.detail,
        duration_ms=finished.duration_ms,
    )


def _result(entry: JournalEntry) -> ToolResult:
    if entry.error is None:
        return ToolResult(call_id=entry.call_id, name=entry.name, content=_text(entry.result))
    content = f"{entry.error}: {entry.detail}" if entry.detail else entry.error
    return ToolResult(call_id=entry.call_id, name=entry.name, content=content, is_error=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode_text(value)
