"""Splitting a byte stream into events."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import ProviderProtocol
from retinue.domain.policy import ByteCaps
from retinue.providers.sse import SseEvent, SseParser


def parse(*chunks: bytes, caps: ByteCaps | None = None) -> list[SseEvent]:
    parser = SseParser(caps or ByteCaps())
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.end()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  a \n\n", [(b"", b" a ")]),
        (b"data: a\r\n\r\ndata: b\r\r", [(b"", b"a"), (b"", b"b")]),
        (b"event: ping\ndata: {}\n\n", [(b"ping", b"{}")]),
        (b"event: lost\n\ndata: a\n\n", [(b"", b"a")]),
        (b": comment\n\n: another\ndata: a\nid: 7\nretry: 1\nnonsense\n\n", [(b"", b"a")]),
        (b"data: one\ndata: two\n\n", [(b"", b"one\ntwo")]),
        (b"data\n\n", [(b"", b"")]),
        (b"\n\n\n", []),
        (b"data: a", [(b"", b"a")]),
        (b"data: a\n", [(b"", b"a")]),
        (b"dataset: a\n\n", []),
        (b"", []),
    ],
)
def test_grammar(stream: bytes, events: list[SseEvent]) -> None:
    assert parse(stream) == events
    assert parse(*(bytes([byte]) for byte in stream)) == events


LINE = st.sampled_from(["data: a", "data: ☃", "event: x", ": c", "", "data:", "id: 1", "junk"])


@given(st.lists(LINE, max_size=20), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(1, 9), max_size=40))
def test_the_cut_and_the_line_ends_make_no_difference(lines: list[str], newline: str, sizes: list[int]) -> None:
    expected = parse("".join(f"{line}\n" for line in lines).encode())
    stream = "".join(f"{line}{newline}" for line in lines).encode()
    chunks, start = [], 0
    for size in sizes:
        chunks.append(stream[start : start + size])
        start += size
    assert parse(*chunks, stream[start:]) == expected


def test_a_line_is_refused_before_it_ends() -> None:
    parser = SseParser(ByteCaps(line=100))
    parser.feed(b"data: " + b"x" * 90)
    with pytest.raises(ProviderProtocol):
        parser.feed(b"x" * 10)


def test_an_event_of_many_lines_is_refused() -> None:
    with pytest.raises(ProviderProtocol):
        parse(b"data: xxxxxxxxx\n" * 20, caps=ByteCaps(line=100))


def test_the_whole_is_bounded_even_if_it_is_comments() -> None:
    with pytest.raises(ProviderProtocol):
        parse(*[b": x\n"] * 100, caps=ByteCaps(turn=399))
    assert parse(*[b": x\n"] * 99, caps=ByteCaps(turn=399)) == []


def test_a_line_that_drips_in_does_not_cost_its_square() -> None:
    parser = SseParser(ByteCaps(line=2_000_000))
    began = time.process_time()
    for _ in range(500_000):
        parser.feed(b"xx")
    assert time.process_time() - began < 5
