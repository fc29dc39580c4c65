"""What every provider makes of a healthy answer, however it is cut on its way."""

import msgspec
import pytest

from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ProviderEvent,
    ReasoningEnded,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.usage import Usage
from retinue.providers.base import Provider
from tests.contract.providers.subjects import REQUEST, collect, reasoning_of, text_of
from tests.support.upstream import (
    Comment,
    FakeUpstream,
    Ping,
    Reasoning,
    Refusal,
    Scenario,
    Text,
    Tokens,
    Tool,
    calls,
    says,
)

STORY = 'Héllo ☃ 𝄞\n\n data: [DONE] \u2028 "quoted" \\ 日本語 🧑‍🚀'


async def test_text_arrives_piece_by_piece_and_whole(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(says(*STORY, " "))
    events = await collect(provider.stream(REQUEST))
    assert text_of(events) == STORY + " "
    assert events[-1] == Finished(FinishReason.STOP)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_the_cut_of_the_bytes_makes_no_difference(
    provider: Provider, upstream: FakeUpstream, size: int, newline: str
) -> None:
    story = Scenario(pieces=(Reasoning("Hmm ☃"), Comment(), Text(STORY), Ping(), Text("!")), finish="length")
    whole, cut = story, msgspec.structs.replace(story, split=size, newline=newline)
    upstream.enqueue(whole, cut)
    first = await collect(provider.stream(REQUEST))
    assert await collect(provider.stream(REQUEST)) == first
    assert text_of(first) == STORY + "!"
    assert first[-1] == Finished(FinishReason.LENGTH)


async def test_reasoning_is_closed_before_the_text(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Reasoning("Let me "), Reasoning("think."), Text("42"))))
    events = await collect(provider.stream(REQUEST))
    assert reasoning_of(events) == "Let me think."
    kinds = [type(event).__name__ for event in events if not isinstance(event, UsageReported)]
    assert kinds == ["ReasoningPiece", "ReasoningPiece", "ReasoningEnded", "TextPiece", "Finished"]


async def test_reasoning_without_text_is_closed_at_the_end(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Reasoning("Hmm."),)))
    events = await collect(provider.stream(REQUEST))
    (end,) = (event for event in events if isinstance(event, ReasoningEnded))
    assert (end.signature, end.redacted) == (None, None)


async def test_a_call_arrives_in_fragments(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(calls("weather", '{"city": ', '"Zürich"}', id="call_7"))
    events = await collect(provider.stream(REQUEST))
    assert _calls(events) == [("call_7", "weather", '{"city": "Zürich"}')]
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)


async def test_parallel_calls_keep_their_arguments(provider: Provider, upstream: FakeUpstream) -> None:
    pieces = (
        Text("Both."),
        Tool('{"n": 1}', id="call_a", name="first", index=0),
        Tool("", id="call_b", name="second", index=1),
    )
    upstream.enqueue(Scenario(pieces=pieces, finish="tool_calls"))
    events = await collect(provider.stream(REQUEST))
    assert _calls(events) == [("call_a", "first", '{"n": 1}'), ("call_b", "second", "")]


async def test_calls_decide_what_follows_not_the_finish_reason(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(calls("weather", "{}").with_(finish="end_turn"))
    assert (await collect(provider.stream(REQUEST)))[-1] == Finished(FinishReason.TOOL_CALLS)


async def test_an_id_that_is_taken_is_replaced(provider: Provider, upstream: FakeUpstream) -> None:
    pieces = (Tool("{}", id="same", name="a", index=0), Tool("{}", id="same", name="b", index=1))
    upstream.enqueue(Scenario(pieces=pieces, finish="tool_calls"))
    ids = [call[0] for call in _calls(await collect(provider.stream(REQUEST)))]
    assert ids[0] == "same"
    assert len(set(ids)) == 2


async def test_a_refusal_is_text_with_its_own_reason(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Refusal("I will not."),)))
    events = await collect(provider.stream(REQUEST))
    assert text_of(events) == "I will not."
    assert events[-1] == Finished(FinishReason.REFUSAL)


async def test_usage_counts_cached_and_reasoning_tokens_inside_the_totals(
    provider: Provider, upstream: FakeUpstream
) -> None:
    usage = Tokens(input=1000, cached=600, cache_write=100, output=50, reasoning=20)
    upstream.enqueue(says("ok", usage=usage))
    reported = [event for event in await collect(provider.stream(REQUEST)) if isinstance(event, UsageReported)]
    assert reported[-1].usage == Usage(
        input_tokens=1000, cached_input_tokens=600, cache_write_tokens=100, output_tokens=50, reasoning_tokens=20
    )


async def test_usage_that_never_comes_is_not_made_up(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(says("ok", usage=None))
    assert not any(isinstance(event, UsageReported) for event in await collect(provider.stream(REQUEST)))


async def test_a_finish_reason_is_enough_without_a_terminator(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(says("ok", done=False))
    assert text_of(await collect(provider.stream(REQUEST))) == "ok"


async def test_an_answer_may_be_empty(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(says(""))
    assert text_of(await collect(provider.stream(REQUEST))) == ""


async def test_answers_share_a_connection(provider: Provider, upstream: FakeUpstream) -> None:
    for _ in range(3):
        upstream.enqueue(says("ok"))
        await collect(provider.stream(REQUEST))
    assert len({request.peer for request in upstream.requests}) == 1


async def test_only_what_is_set_is_sent(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(says("ok"))
    await collect(provider.stream(REQUEST))
    body = upstream.requests[0].body
    assert set(body) <= {"model", "messages", "stream", "stream_options", "max_tokens", "system"}
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


def _calls(events: list[ProviderEvent]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of every call, each opened and closed once."""
    started = {event.id: event.name for event in events if isinstance(event, ToolCallStarted)}
    ended = [event.id for event in events if isinstance(event, ToolCallEnded)]
    assert sorted(ended) == sorted(started)
    pieces = [event for event in events if isinstance(event, ToolCallPiece)]
    assert all(piece.fragment for piece in pieces)
    return [
        (call_id, name, "".join(piece.fragment for piece in pieces if piece.id == call_id))
        for call_id, name in started.items()
    ]
