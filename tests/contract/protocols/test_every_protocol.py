"""What holds for every protocol, over arbitrary runs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain import events as e
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import new_id
from retinue.protocols.base import Protocol
from tests.contract.protocols.frames import PROTOCOLS, encoded, frames
from tests.support.runs import RUN_ID, any_event, every_event, recorded, whole_runs

pytestmark = pytest.mark.slow

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)


@each_protocol
@given(st.lists(any_event(), max_size=8))
def test_events_become_whole_frames_of_one_form(protocol: Protocol, events: list[e.RunEvent]) -> None:
    stream = encoded(protocol, recorded(events))
    assert b"\r" not in stream
    for frame in frames(stream):
        assert next(iter(frame.data.items())) == ("type", frame.event)


@each_protocol
@given(st.lists(any_event(), max_size=8))
def test_the_same_events_give_the_same_bytes(protocol: Protocol, events: list[e.RunEvent]) -> None:
    log = recorded(events)
    assert encoded(protocol, log) == encoded(protocol, log)
    assert encoded(protocol, log[:4]) + encoded(protocol, log[4:]) == encoded(protocol, log), "also when resumed"


@each_protocol
@given(whole_runs())
def test_ids_are_those_of_the_events_and_the_last_frame_is_the_end(
    protocol: Protocol, run: list[RecordedEvent]
) -> None:
    shown = frames(encoded(protocol, run))
    places = {event.id: place for place, event in enumerate(run)}
    ids = [places[frame.id] for frame in shown if frame.id is not None]
    assert ids == sorted(set(ids))
    assert shown[-1].id == run[-1].id
    assert frames(protocol.encoder()(run[-1]))[-1] == shown[-1]


@each_protocol
def test_every_frame_is_described(protocol: Protocol) -> None:
    """The API description is made from `frames`; a frame that is not among them, or not like them, is undocumented."""
    described = {kind.__struct_config__.tag: kind for kind in protocol.frames}
    shown = frames(encoded(protocol, recorded(every_event())) + protocol.failure(RUN_ID, StreamBroken()))
    assert {frame.event for frame in shown} == described.keys()
    for frame in shown:
        kind = described[frame.event]
        msgspec.convert(frame.data, kind, strict=False)
        assert frame.data.keys() == {"type", *kind.__struct_encode_fields__}


@each_protocol
@pytest.mark.parametrize("error", [StreamBroken(), StreamBroken("The database is gone.", code="storage_failed")])
def test_a_stream_that_breaks_off_says_why_and_has_no_id(protocol: Protocol, error: StreamBroken) -> None:
    [failure] = frames(protocol.failure(RUN_ID, error))
    assert failure.id is None
    assert failure.data == {
        "type": failure.event,
        "run_id": str(RUN_ID),
        "code": error.problem_code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "retryable": True,
    }


@each_protocol
@given(whole_runs(), whole_runs())
def test_one_encoder_tells_many_runs(
    protocol: Protocol, first: list[RecordedEvent], second: list[RecordedEvent]
) -> None:
    """As in the stream of a conversation: what one run leaves behind must not show in the next."""
    later = recorded((event.event for event in second), run_id=new_id())
    encode = protocol.encoder()
    assert b"".join(map(encode, [*first, *later])) == encoded(protocol, first) + encoded(protocol, later)


@each_protocol
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Привет", '"Привет"'),
        ("😀👩‍🚀", '"😀👩‍🚀"'),
        ("a\u2028b\u2029c\x85d", '"a\u2028b\u2029c\x85d"'),
        ("one\ntwo\r\nthree\r", '"one\\ntwo\\r\\nthree\\r"'),
        ("\n\ndata: forged\n\n", '"\\n\\ndata: forged\\n\\n"'),
        ('say "hi" \\ \t', '"say \\"hi\\" \\\\ \\t"'),
        ("\x00\x1b</script>", '"\\u0000\\u001b</script>"'),
    ],
)
def test_text_is_utf_8_and_only_escaped_where_json_must(protocol: Protocol, text: str, written: str) -> None:
    (event,) = recorded([e.TextDelta(delta=text)])
    stream = protocol.encoder()(event)
    assert f":{written}".encode() in stream
    (frame,) = frames(stream)
    assert text in frame.data.values()
