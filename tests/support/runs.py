"""Run events for tests: one of each kind, arbitrary ones, and whole runs that could have happened."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from retinue.domain import events as e
from retinue.domain.approvals import Decision
from retinue.domain.events import RecordedEvent, RunEvent, TerminalEvent
from retinue.domain.ids import ms_of
from retinue.domain.messages import ToolLogEntry
from retinue.domain.runs import WaitingFor
from retinue.domain.tools import Risk
from retinue.domain.usage import Cost, GenerationStats, Provenance, Usage

RUN_ID = UUID("01928f6e-0000-7000-8000-000000000001")
CONVERSATION_ID = UUID("01928f6e-0000-7000-8000-000000000002")
EMPLOYEE_ID = UUID("01928f6e-0000-7000-8000-000000000003")
QUESTION_ID = UUID("01928f6e-0000-7000-8000-000000000004")
ANSWER_ID = UUID("01928f6e-0000-7000-8000-000000000005")
APPROVAL_ID = UUID("01928f6e-0000-7000-8000-000000000006")
AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

USAGE = Usage(input_tokens=12, cached_input_tokens=4, output_tokens=7, reasoning_tokens=2)
COST = Cost(micros=81)
STATS = GenerationStats(
    min_tokens_per_second=8.0, avg_tokens_per_second=10.5, max_tokens_per_second=12.25, time_to_first_token_ms=340
)
FAILURE: dict[str, Any] = {
    "code": "provider_timeout",
    "title": "The model provider did not answer in time",
    "status": 504,
    "detail": "Nothing came for 30 s.",
    "retryable": True,
}


def run_started(attempt: int = 1) -> e.RunStarted:
    return e.RunStarted(
        conversation_id=CONVERSATION_ID,
        employee_id=EMPLOYEE_ID,
        user_message_id=QUESTION_ID,
        message_id=ANSWER_ID,
        attempt=attempt,
    )


def end_fields(text: str = "", *, event_count: int = 1, **changes: Any) -> dict[str, Any]:
    """Everything that terminal events have in common."""
    return {
        "conversation_id": CONVERSATION_ID,
        "message_id": ANSWER_ID,
        "finish_reason": "stop",
        "usage": None,
        "cost": None,
        "generation_stats": GenerationStats(),
        "tool_log": (),
        "event_count": event_count,
        "text_sha256": sha256(text.encode()).hexdigest(),
        "metadata": {},
        **changes,
    }


def every_event() -> tuple[RunEvent, ...]:
    """One of each kind."""
    call: dict[str, Any] = {"tool_call_id": "call_1", "tool": "search"}
    entry = ToolLogEntry(
        tool_call_id="call_1", name="search", args={"q": 1}, result={"hits": []}, error=None, duration_ms=5
    )
    end = end_fields("Hi", event_count=13, usage=USAGE, cost=COST, generation_stats=STATS, tool_log=(entry,))
    asked: dict[str, Any] = {"approval_id": APPROVAL_ID, **call}
    return (
        run_started(),
        e.StepStarted(step=1),
        e.StatusChanged(stage="planning"),
        e.ReasoningDelta(delta="Hm"),
        e.TextDelta(delta="Hi"),
        e.ToolCallStarted(**call),
        e.ToolCallDelta(tool_call_id="call_1", delta='{"q":'),
        e.ToolCallRequested(**call, args={"q": 1}),
        e.ToolCallFinished(**call, args={"q": 1}, result={"hits": []}, duration_ms=5),
        e.UsageRecorded(step=1, provider="openai", model="gpt", usage=USAGE, cost=COST),
        e.RunCompleted(**end),
        e.RunFailed(**{**end, "finish_reason": "error"}, **FAILURE),
        e.RunCancelled(**{**end, "finish_reason": "cancelled"}),
        e.AttemptStarted(attempt=2, discard_after=f"{RUN_ID}:1-9"),
        e.MessageAppended(user_message_id=QUESTION_ID),
        snapshot("Hi", reasoning="Hm", tool_log=(entry,)),
        approval_requested(),
        e.ApprovalDecided(**asked, decision=Decision.ALLOW_ONCE, decided_by="operator", comment="Just this once."),
        e.ApprovalExpired(**asked, message="Nobody decided about search within 30 minutes."),
        e.PasswordRequested(**asked, expires_at=AT, tries_left=3),
        paused(text="Hi", usage=USAGE, cost=COST, generation_stats=STATS, tool_log=(entry,)),
        e.RunExpired(**{**end, "finish_reason": "expired"}),
    )


def approval_requested() -> e.ApprovalRequested:
    return e.ApprovalRequested(
        approval_id=APPROVAL_ID,
        tool_call_id="call_1",
        tool="search",
        args={"q": 1},
        risk_level=Risk.MEDIUM,
        reason="It changes something.",
        message="Allow search(q=1)?",
        expires_at=AT,
    )


def paused(waiting_for: WaitingFor = WaitingFor.APPROVAL, *, text: str = "", **changes: Any) -> e.RunPaused:
    """A pause at which a person is asked, or told that nobody knows what a call has done."""
    is_unknown = waiting_for is WaitingFor.EFFECT_UNKNOWN
    return e.RunPaused(
        **end_fields(text, **{"finish_reason": "paused", **changes}),
        waiting_for=waiting_for,
        approval_ids=() if is_unknown else (APPROVAL_ID,),
        tool_call_ids=("call_1",) if is_unknown else (),
    )


def snapshot(
    text: str, *, reasoning: str | None = None, tool_log: tuple[ToolLogEntry, ...] = (), status: str = "completed"
) -> e.SnapshotTaken:
    return e.SnapshotTaken(
        conversation_id=CONVERSATION_ID,
        employee_id=EMPLOYEE_ID,
        user_message_id=QUESTION_ID,
        message_id=ANSWER_ID,
        status=status,
        text=text,
        reasoning=reasoning,
        tool_log=tool_log,
    )


def recorded(events: Iterable[RunEvent], *, attempt: int = 1, run_id: UUID = RUN_ID) -> list[RecordedEvent]:
    """Events at their places, from the first place of an attempt on."""
    return [RecordedEvent(run_id, attempt, seq, ms_of(AT), event) for seq, event in enumerate(events, 1)]


texts = st.text(max_size=12) | st.sampled_from(
    ["\n", "\r\n\r\n", "data: x\n\n", "\u2028\u2029\x85", "Привет", "😀👩‍🚀", '"\\']
)
pieces = texts.filter(bool)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_counts = st.none() | st.integers(0, 10**6)
usages = st.builds(
    Usage,
    input_tokens=_counts,
    cached_input_tokens=_counts,
    cache_write_tokens=_counts,
    output_tokens=_counts,
    reasoning_tokens=_counts,
    provenance=st.sampled_from(Provenance),
)


def any_event() -> st.SearchStrategy[RunEvent]:
    """An event of any kind with arbitrary texts, arguments and counts."""
    call = {"tool_call_id": texts, "tool": texts}
    return st.one_of(
        st.sampled_from(every_event()),
        st.builds(e.StepStarted, step=st.integers(1, 99)),
        st.builds(e.StatusChanged, stage=texts),
        st.builds(e.ReasoningDelta, delta=texts),
        st.builds(e.TextDelta, delta=texts),
        st.builds(e.ToolCallStarted, **call),
        st.builds(e.ToolCallDelta, tool_call_id=texts, delta=texts),
        st.builds(e.ToolCallRequested, **call, args=json_values),
        st.builds(e.ToolCallFinished, **call, args=json_values, result=json_values, duration_ms=st.integers(0, 10**6)),
        st.builds(e.UsageRecorded, step=st.integers(1, 9), provider=texts, model=texts, usage=usages, cost=st.none()),
        st.builds(
            e.ApprovalRequested,
            approval_id=st.uuids(),
            **call,
            args=json_values,
            risk_level=st.sampled_from(Risk),
            reason=texts,
            message=texts,
            expires_at=st.just(AT),
        ),
        st.builds(paused, st.sampled_from(WaitingFor), text=texts),
        _terminal("text", (), 1),
    )


@st.composite
def whole_runs(draw: st.DrawFn) -> list[RecordedEvent]:
    """A run from its start to its end, or to a pause: the end is true to what came before it."""
    events: list[RunEvent] = [run_started()]
    for step in range(1, draw(st.integers(1, 3)) + 1):
        events += [e.StepStarted(step=step), e.StatusChanged(stage="planning")]
        events += [event for part in draw(st.lists(_parts(), max_size=5)) for event in part]
        events += draw(st.lists(st.builds(e.MessageAppended, user_message_id=st.uuids()), max_size=1))
    text = "".join(event.delta for event in events if isinstance(event, e.TextDelta))
    tool_log = tuple(
        ToolLogEntry(
            tool_call_id=event.tool_call_id,
            name=event.tool,
            args=event.args,
            result=event.result,
            error=event.error,
            detail=event.detail,
            duration_ms=event.duration_ms,
        )
        for event in events
        if isinstance(event, e.ToolCallFinished)
    )
    count = len(events) + 1
    pause = st.builds(
        paused,
        st.sampled_from(WaitingFor),
        text=st.just(text),
        event_count=st.just(count),
        tool_log=st.just(tool_log),
        usage=st.none() | usages,
    )
    return recorded([*events, draw(_terminal(text, tool_log, count) | pause)])


def _parts() -> st.SearchStrategy[Sequence[RunEvent]]:
    """What happens in a step: a piece of text or of reasoning, or a whole tool call."""
    return st.one_of(
        pieces.map(lambda text: (e.TextDelta(delta=text),)),
        pieces.map(lambda text: (e.ReasoningDelta(delta=text),)),
        st.builds(_tool_call, texts, texts, json_values, json_values, st.none() | pieces),
        st.builds(
            lambda usage: (e.UsageRecorded(step=1, provider="openai", model="gpt", usage=usage),),
            usages,
        ),
        st.sampled_from([event for event in every_event() if "approval_id" in event.__struct_fields__]).map(
            lambda event: (event,)
        ),
    )


def _tool_call(call_id: str, tool: str, args: Any, result: Any, error: str | None) -> Sequence[RunEvent]:
    return (
        e.ToolCallStarted(tool_call_id=call_id, tool=tool),
        e.ToolCallDelta(tool_call_id=call_id, delta="{"),
        e.ToolCallRequested(tool_call_id=call_id, tool=tool, args=args),
        e.ToolCallFinished(
            tool_call_id=call_id,
            tool=tool,
            args=args,
            result=None if error else result,
            error=error,
            detail=error and f"In words: {error}",
            duration_ms=3,
        ),
    )


def _terminal(text: str, tool_log: tuple[ToolLogEntry, ...], event_count: int) -> st.SearchStrategy[TerminalEvent]:
    def end(kind: type[TerminalEvent], usage: Usage | None) -> TerminalEvent:
        fields = end_fields(text, event_count=event_count, usage=usage, tool_log=tool_log)
        return kind(**fields, **(FAILURE if kind is e.RunFailed else {}))

    return st.builds(end, st.sampled_from(e.TERMINAL_EVENTS), st.none() | usages)
