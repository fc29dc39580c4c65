"""What became of a call, in the words of the model, the events and the tool log."""

from typing import Any

import msgspec

from retinue.domain import events as e
from retinue.domain.encoding import encode_text
from retinue.domain.messages import ToolLogEntry
from retinue.domain.model_io import ToolResult, ToolTurn
from retinue.domain.text import clean_value
from retinue.domain.tools import JournalEntry

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
