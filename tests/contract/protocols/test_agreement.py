"""The same run, told by every protocol: text, reasoning, tools, usage and end are the same."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given

from retinue.domain import events as e
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.protocols.events import Envelope, EventsProtocol
from retinue.protocols.messages import WAITING, MessagesProtocol
from tests.contract.protocols.frames import PROTOCOLS, Frame, encoded, frames
from tests.support.runs import snapshot, whole_runs

pytestmark = pytest.mark.slow

Story = dict[str, Any]


def told_by_messages(shown: list[Frame]) -> Story:
    end = shown[-1].data
    errors = [frame.data for frame in shown if frame.event == "message_error"]
    return {
        "text": "".join(frame.data["content"] for frame in shown if frame.event == "token"),
        "reasoning": "".join(frame.data["delta"] for frame in shown if frame.event == "reasoning_delta"),
        "requested": [_call(frame.data) for frame in shown if frame.event == "tool_call_started"],
        "finished": [_result(frame.data) for frame in shown if frame.event == "tool_call_finished"],
        "asked": [_asked(frame.data) for frame in shown if frame.event.startswith(_ASKING_FRAMES)],
        "appended": [frame.data["user_message_id"] for frame in shown if frame.event == "message_appended"],
        "snapshots": [_snapshot(frame.data) for frame in shown if frame.event == "snapshot"],
        "status": end["status"],
        "approval_ids": end["approval_ids"],
        "tool_call_ids": end["tool_call_ids"],
        "errors": [{key: error[key] for key in ("code", "title", "status", "detail", "retryable")} for error in errors],
        **_end(end),
    }


def told_by_events(shown: list[Frame]) -> Story:
    end = shown[-1].data
    fields = ("code", "title", "status", "detail", "retryable")
    return {
        "text": "".join(frame.data["delta"] for frame in shown if frame.event == "text.delta"),
        "reasoning": "".join(frame.data["delta"] for frame in shown if frame.event == "reasoning.delta"),
        "requested": [_call(frame.data) for frame in shown if frame.event == "tool_call.requested"],
        "finished": [_result(frame.data) for frame in shown if frame.event == "tool_call.finished"],
        "asked": [_asked(frame.data) for frame in shown if frame.event.startswith(("approval.", "password."))],
        "appended": [frame.data["user_message_id"] for frame in shown if frame.event == "message.appended"],
        "snapshots": [_snapshot(frame.data) for frame in shown if frame.event == "snapshot.taken"],
        "status": WAITING[end["waiting_for"]] if "waiting_for" in end else end["type"].removeprefix("run."),
        "approval_ids": end.get("approval_ids", []),
        "tool_call_ids": end.get("tool_call_ids", []),
        "errors": [{key: end[key] for key in fields}] if end["type"] == "run.failed" else [],
        **_end(end),
    }


def _call(data: dict[str, Any]) -> list[Any]:
    return [data[key] for key in ("run_id", "tool_call_id", "tool", "args")]


def _result(data: dict[str, Any]) -> list[Any]:
    return [*_call(data), *(data[key] for key in ("result", "error", "detail", "duration_ms"))]


def _asked(data: dict[str, Any]) -> Story:
    """All that is said of approvals and passwords; only the event's own names differ."""
    return {name: value for name, value in data.items() if name not in {"type", "id", "at"}}


def _snapshot(data: dict[str, Any]) -> Story:
    return {name: data[name] for name in ("run_id", *e.SnapshotTaken.__struct_fields__)}


def _end(data: dict[str, Any]) -> Story:
    return {name: data[name] for name in RunEnd.__struct_fields__}


_ASKING_FRAMES = ("tool_approval_", "tool_password_")
_ENDING = ("status", "errors", *RunEnd.__struct_fields__)
TELLERS: dict[str, Callable[[list[Frame]], Story]] = {
    MessagesProtocol.name: told_by_messages,
    EventsProtocol.name: told_by_events,
}


@given(whole_runs())
def test_protocols_tell_the_same_story(run: list[RecordedEvent]) -> None:
    stories = [TELLERS[protocol.name](frames(encoded(protocol, run))) for protocol in PROTOCOLS]
    assert stories[1:] == stories[:-1]


def pruned(run: list[RecordedEvent]) -> list[RecordedEvent]:
    """What is read of the run when only its last event is kept: a snapshot just before that."""
    *rest, last = run
    text = "".join(event.event.delta for event in run if isinstance(event.event, e.TextDelta))
    assert isinstance(last.event, RunEnd)
    taken = snapshot(text, tool_log=last.event.tool_log, status="completed")
    return [RecordedEvent(last.run_id, *rest[-1].position, last.at_ms, taken), last]


@given(whole_runs())
def test_protocols_tell_the_same_of_a_run_that_was_pruned(run: list[RecordedEvent]) -> None:
    whole, rest = run, pruned(run)
    stories = [TELLERS[protocol.name](frames(encoded(protocol, rest))) for protocol in PROTOCOLS]
    assert stories[1:] == stories[:-1]
    for protocol, story in zip(PROTOCOLS, stories, strict=True):
        [taken] = story["snapshots"]
        before = TELLERS[protocol.name](frames(encoded(protocol, whole)))
        assert taken["text"] == before["text"]
        assert [story[name] for name in _ENDING] == [before[name] for name in _ENDING]


@given(whole_runs())
def test_the_story_is_what_happened(run: list[RecordedEvent]) -> None:
    end = run[-1].event
    assert isinstance(end, RunEnd)
    text = "".join(event.event.delta for event in run if isinstance(event.event, e.TextDelta))
    for protocol in PROTOCOLS:
        story = TELLERS[protocol.name](frames(encoded(protocol, run)))
        assert story["text"] == text
        assert story["text_sha256"] == sha256(text.encode()).hexdigest()
        assert story["event_count"] == len(run)
        assert story["usage"] == msgspec.to_builtins(end.usage)
        assert [[call["tool_call_id"], call["name"], call["args"]] for call in story["tool_log"]] == [
            call[1:4] for call in story["finished"]
        ]


@given(whole_runs())
def test_messages_begin_end_and_fail_in_one_way(run: list[RecordedEvent]) -> None:
    shown = frames(encoded(MessagesProtocol(), run))
    names = [frame.event for frame in shown]
    assert names.index("message_start") == 0
    assert names.count("message_start") == names.count("message_end") == 1
    assert names[-1] == "message_end"
    has_failed = isinstance(run[-1].event, e.RunFailed)
    assert names.count("message_error") == has_failed
    assert (shown[-1].data["status"] in WAITING.values()) is isinstance(run[-1].event, e.RunPaused)
    if has_failed:
        assert names[-2:] == ["message_error", "message_end"]
    assert [frame.event for frame in shown if frame.id is None] == ["message_error"] * has_failed
    usage = shown[-1].data["usage"]
    assert shown[-1].data["token_count"] == (usage and usage["output_tokens"])


@given(whole_runs())
def test_events_shows_every_event(run: list[RecordedEvent]) -> None:
    shown = frames(encoded(EventsProtocol(), run))
    assert [frame.id for frame in shown] == [event.id for event in run]
    for frame, event in zip(shown, run, strict=True):
        assert msgspec.convert(frame.data, e.RunEvent, strict=False) == event.event
        assert msgspec.convert(frame.data, Envelope, strict=False) == Envelope(event.id, event.run_id, event.at)
