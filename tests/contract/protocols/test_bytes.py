"""The exact bytes that go over the wire.

The files in `expected/` hold one event of each kind. They change only together with the protocol's documentation:
clients depend on every byte of them.
"""

from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain import events as e
from retinue.domain.errors import InvalidRequest, StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import ms_of
from retinue.domain.runs import WaitingFor
from retinue.domain.usage import GenerationStats
from retinue.protocols.base import Protocol
from retinue.protocols.events import EventsProtocol
from retinue.protocols.frames import frame
from retinue.protocols.messages import MessagesProtocol
from retinue.protocols.messages import frames as f
from retinue.protocols.registry import ProtocolRegistry
from tests.contract.protocols.frames import PROTOCOLS, encoded, frames
from tests.support.runs import (
    APPROVAL_ID,
    AT,
    FAILURE,
    RUN_ID,
    approval_requested,
    every_event,
    paused,
    recorded,
    run_started,
    snapshot,
)

EXPECTED = Path(__file__).parent / "expected"
RUN = b"01928f6e-0000-7000-8000-000000000001"


def end(kind: type[e.TerminalEvent], reason: str) -> e.TerminalEvent:
    """The end of a run that never said anything and knows of no usage."""
    start = run_started()
    fields = {
        "conversation_id": start.conversation_id,
        "message_id": start.message_id,
        "finish_reason": reason,
        "usage": None,
        "cost": None,
        "generation_stats": GenerationStats(),
        "tool_log": (),
        "event_count": 1,
        "text_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "metadata": {"scripted": True},
    }
    return kind(**fields, **(FAILURE if kind is e.RunFailed else {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_one_event_of_each_kind(protocol: Protocol) -> None:
    assert encoded(protocol, recorded(every_event())) == (EXPECTED / f"{protocol.name}.sse").read_bytes()


def test_a_token() -> None:
    events = recorded([e.TextDelta(delta="Привет,\n😀 \u2028")], attempt=3)
    assert encoded(MessagesProtocol(), events) == (
        b"id: 01928f6e-0000-7000-8000-000000000001:3-1\n"
        b"event: token\n"
        b'data: {"type":"token","run_id":"01928f6e-0000-7000-8000-000000000001","content":"'
        b"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82,\\n\xf0\x9f\x98\x80 \xe2\x80\xa8"
        b'"}\n'
        b"\n"
    )


@given(st.lists(st.tuples(st.sampled_from([RUN_ID, UUID(int=7)]), st.integers(1, 9), st.text()), max_size=5))
def test_tokens_are_framed_like_everything_else(told: list[tuple[UUID, int, str]]) -> None:
    """What a stream has written before makes no difference, nor does which object its run's id is."""
    events = [
        RecordedEvent(UUID(int=run_id.int), attempt, seq, ms_of(AT), e.TextDelta(delta=delta))
        for seq, (run_id, attempt, delta) in enumerate(told, start=2**31 - 10)
    ]
    assert encoded(MessagesProtocol(), events) == b"".join(
        frame(
            event="token",
            data=msgspec.json.encode(f.Token(run_id=recorded.run_id, content=delta)),
            event_id=recorded.id,
        )
        for recorded, (_, _, delta) in zip(events, told, strict=True)
    )


_NOTHING_KNOWN = (
    b'"token_count":null,"usage":null,"cost":null,"generation_stats":{"min_tokens_per_second":null,'
    b'"avg_tokens_per_second":null,"max_tokens_per_second":null,"time_to_first_token_ms":null},"tool_log":[],'
    b'"event_count":1,"text_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",'
    b'"metadata":{"scripted":true},"approval_ids":[],"tool_call_ids":[]'
)
_IDS = (
    b'"run_id":"01928f6e-0000-7000-8000-000000000001","conversation_id":"01928f6e-0000-7000-8000-000000000002",'
    b'"message_id":"01928f6e-0000-7000-8000-000000000005"'
)


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (e.RunCompleted, b"completed", b"stop"),
        (e.RunCancelled, b"cancelled", b"cancelled"),
        (e.RunExpired, b"expired", b"expired"),
    ],
)
def test_an_end_of_which_nothing_is_known(kind: type[e.TerminalEvent], status: bytes, reason: bytes) -> None:
    assert encoded(MessagesProtocol(), recorded([end(kind, reason.decode())])) == (
        b"id: " + RUN + b":1-1\nevent: message_end\n"
        b'data: {"type":"message_end",' + _IDS + b',"status":"' + status + b'","finish_reason":"' + reason + b'",'
        b"" + _NOTHING_KNOWN + b"}\n\n"
    )


@pytest.mark.parametrize(
    ("waiting_for", "status"),
    [
        (WaitingFor.APPROVAL, b"waiting_for_approval"),
        (WaitingFor.PASSWORD, b"waiting_for_password"),
        (WaitingFor.EFFECT_UNKNOWN, b"effect_unknown"),
    ],
)
def test_a_pause_says_what_it_waits_for(waiting_for: WaitingFor, status: bytes) -> None:
    [shown] = frames(encoded(MessagesProtocol(), recorded([paused(waiting_for)])))
    assert (shown.event, shown.id) == ("message_end", f"{RUN.decode()}:1-1")
    assert b'"status":"%b"' % status in shown.raw
    is_unknown = waiting_for is WaitingFor.EFFECT_UNKNOWN
    assert shown.data["approval_ids"] == ([] if is_unknown else [str(APPROVAL_ID)])
    assert shown.data["tool_call_ids"] == (["call_1"] if is_unknown else [])


def test_a_question_to_a_person_shows_what_it_is_about() -> None:
    assert encoded(MessagesProtocol(), recorded([approval_requested()])) == (
        b"id: " + RUN + b":1-1\nevent: tool_approval_requested\n"
        b'data: {"type":"tool_approval_requested","run_id":"' + RUN + b'",'
        b'"approval_id":"01928f6e-0000-7000-8000-000000000006","tool_call_id":"call_1","tool":"search",'
        b'"args":{"q":1},"risk_level":"medium","reason":"It changes something.","message":"Allow search(q=1)?",'
        b'"expires_at":"2026-01-02T03:04:05.678000Z"}\n\n'
    )


def test_a_failure_is_two_frames_and_only_the_second_has_the_id() -> None:
    assert encoded(MessagesProtocol(), recorded([end(e.RunFailed, "error")])) == (
        b"event: message_error\n"
        b'data: {"type":"message_error","run_id":"' + RUN + b'","code":"provider_timeout",'
        b'"title":"The model provider did not answer in time","status":504,"detail":"Nothing came for 30 s.",'
        b'"retryable":true}\n\n'
        b"id: " + RUN + b":1-1\nevent: message_end\n"
        b'data: {"type":"message_end",' + _IDS + b',"status":"failed","finish_reason":"error",'
        b"" + _NOTHING_KNOWN + b"}\n\n"
    )


def test_a_snapshot_and_an_appended_message() -> None:
    events = recorded([snapshot("Hi"), e.MessageAppended(user_message_id=run_started().user_message_id)])
    question = b'"user_message_id":"01928f6e-0000-7000-8000-000000000004"'
    assert encoded(MessagesProtocol(), events) == (
        b"id: " + RUN + b":1-1\nevent: snapshot\n"
        b'data: {"type":"snapshot","run_id":"' + RUN + b'",'
        b'"conversation_id":"01928f6e-0000-7000-8000-000000000002",'
        b'"employee_id":"01928f6e-0000-7000-8000-000000000003",' + question + b","
        b'"message_id":"01928f6e-0000-7000-8000-000000000005","status":"completed","text":"Hi","reasoning":null,'
        b'"tool_log":[]}\n\n'
        b"id: " + RUN + b":1-2\nevent: message_appended\n"
        b'data: {"type":"message_appended","run_id":"' + RUN + b'",' + question + b"}\n\n"
    )


@pytest.mark.parametrize(
    ("protocol", "event"), [(MessagesProtocol(), b"message_error"), (EventsProtocol(), b"stream.broken")]
)
def test_a_stream_that_breaks_off(protocol: Protocol, event: bytes) -> None:
    assert protocol.failure(UUID(RUN.decode()), StreamBroken()) == (
        b"event: " + event + b'\ndata: {"type":"' + event + b'","run_id":"' + RUN + b'",'
        b'"code":"stream_broken","title":"The stream broke off","status":500,"detail":"The stream broke off",'
        b'"retryable":true}\n\n'
    )


def test_messages_does_not_show_what_only_the_engine_needs() -> None:
    hidden = [
        event
        for event, recorded_event in zip(every_event(), recorded(every_event()), strict=True)
        if not encoded(MessagesProtocol(), [recorded_event])
    ]
    assert [type(event) for event in hidden] == [e.StepStarted, e.ToolCallStarted, e.ToolCallDelta, e.UsageRecorded]


def test_events_hides_nothing() -> None:
    assert len(frames(encoded(EventsProtocol(), recorded(every_event())))) == len(every_event())


def test_a_frame_has_its_lines_in_this_order() -> None:
    assert frame(event="x", data=b"{}", event_id="r:1-1") == b"id: r:1-1\nevent: x\ndata: {}\n\n"
    assert frame(event="x", data=b"{}") == b"event: x\ndata: {}\n\n"


def test_protocols_are_found_by_name() -> None:
    registry = ProtocolRegistry(PROTOCOLS)
    assert [registry.get(protocol.name) for protocol in PROTOCOLS] == list(registry) == list(PROTOCOLS)
    with pytest.raises(InvalidRequest) as refused:
        registry.get("Messages")
    assert refused.value.problem_code == "unknown_protocol"
    assert refused.value.detail == "The protocol must be one of: events, messages."
    assert [error.parameter for error in refused.value.errors] == ["protocol"]
