"""Text that goes to a sink while its reader waits."""

import asyncio
from collections.abc import Sequence

import httpx2
import pytest

from retinue.domain.errors import ProcessLost, ProviderTimeout
from retinue.domain.model_io import Finished, FinishReason, ProviderEvent, TextPiece, UsageReported
from retinue.domain.policy import Deadlines
from retinue.providers.base import Provider, Sink
from retinue.providers.upstream import CallLimits
from tests.contract.providers.subjects import FINISH, REQUEST, SUBJECTS, Subject, text_of
from tests.support.upstream import Comment, FakeUpstream, Pause, Raw, Scenario, Stall, Text, tokens

DEADLINE = 10.0


@pytest.fixture
def provider(subject: Subject, upstream: FakeUpstream, http: httpx2.AsyncClient) -> Provider:
    return subject.provider(http, upstream.address)


class Poured(list[ProviderEvent]):
    """What a sink was given that takes everything."""

    def __call__(self, pieces: Sequence[ProviderEvent]) -> bool:
        self.extend(pieces)
        return True


async def read(provider: Provider, sink: Sink) -> list[ProviderEvent]:
    """What was yielded."""
    came: list[ProviderEvent] = []
    async with asyncio.timeout(DEADLINE):
        async for events in provider.stream(REQUEST, sink):
            came += events
    return came


def words(text: str) -> list[str]:
    return sorted(text.split())


async def test_it_is_given_text_and_nothing_else_after_the_first(provider: Provider, upstream: FakeUpstream) -> None:
    poured = Poured()
    upstream.enqueue(tokens(6, between=0.02))
    yielded = await read(provider, poured)
    assert {type(piece) for piece in poured} == {TextPiece}
    assert text_of(yielded).startswith(" w1"), "a call may be made again until something was yielded"
    assert text_of(poured)
    assert words(text_of(yielded) + text_of(poured)) == words(" w1 w2 w3 w4 w5 w6")
    assert yielded[-1] == Finished(FinishReason.STOP)


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.name == "openai"], ids=str, indirect=True)
async def test_what_comes_with_text_is_not_given_to_it(provider: Provider, upstream: FakeUpstream) -> None:
    poured = Poured()
    counted = 'data: {"choices":[{"delta":{"content":"%d"}}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}\n\n'
    pieces = (piece for number in range(4) for piece in (Raw(text=counted % (number, number)), Pause(0.02)))
    upstream.enqueue(Scenario(pieces=(Text("a"), Pause(0.02), *pieces, Text("b"), Pause(0.02))))
    yielded = await read(provider, poured)
    assert any(isinstance(event, UsageReported) for event in yielded)
    assert not any(isinstance(event, UsageReported) for event in poured)


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.name == "openai"], ids=str, indirect=True)
async def test_a_complete_answer_is_not_waited_for(
    provider: Provider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinue.providers.reading.TAIL_SECONDS", 0.1)
    last = Raw(text='data: {"choices":[{"delta":{"content":"c"},"finish_reason":"stop"}]}\n\n')
    pieces = (Text("a"), Pause(0.02), Text("b"), Pause(0.02), last, Stall())
    upstream.enqueue(Scenario(pieces=pieces, finish=None, done=False))
    yielded = await read(provider, lambda _: True)
    assert text_of(yielded) == "ac"
    assert yielded[-1] == Finished(FinishReason.STOP)


async def test_what_follows_the_finish_reason_is_waited_for_as_long_as_without_a_sink(
    subject: Subject, provider: Provider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinue.providers.reading.TAIL_SECONDS", 0.1)
    pieces = (Text("a"), Pause(0.02), Text("b"), Pause(0.02), Raw(text=FINISH[subject.name]), Stall())
    upstream.enqueue(Scenario(pieces=pieces, finish=None, done=False))
    yielded = await read(provider, lambda _: True)
    assert yielded[-1] == Finished(FinishReason.STOP)


async def test_what_it_refuses_is_yielded(provider: Provider, upstream: FakeUpstream) -> None:
    asked: list[str] = []

    def take_every_other(pieces: Sequence[ProviderEvent]) -> bool:
        asked.append(text_of(list(pieces)))
        return len(asked) % 2 == 0

    upstream.enqueue(tokens(9, between=0.02))
    yielded = await read(provider, take_every_other)
    taken = "".join(asked[1::2])
    assert taken
    assert words(text_of(yielded) + taken) == words(" w1 w2 w3 w4 w5 w6 w7 w8 w9")


async def test_its_own_error_is_not_the_provider_s(provider: Provider, upstream: FakeUpstream) -> None:
    def lose(_: Sequence[ProviderEvent]) -> bool:
        raise ProcessLost

    upstream.enqueue(tokens(3, between=0.02).stall(3))
    with pytest.raises(ProcessLost):
        await read(provider, lose)
    await upstream.wait_for_close()


async def test_it_is_given_nothing_once_its_reader_was_cancelled(provider: Provider, upstream: FakeUpstream) -> None:
    has_begun = asyncio.Event()
    poured: list[ProviderEvent] = []

    def take(pieces: Sequence[ProviderEvent]) -> bool:
        poured.extend(pieces)
        task.cancel()
        has_begun.set()
        return True

    upstream.enqueue(tokens(50, between=0.001))
    task = asyncio.create_task(read(provider, take))
    await asyncio.wait_for(has_begun.wait(), DEADLINE)
    came = len(poured)
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.wait_for_close()
    assert len(poured) == came


async def test_what_it_takes_begins_the_wait_anew(
    subject: Subject, upstream: FakeUpstream, http: httpx2.AsyncClient
) -> None:
    deadlines = Deadlines(first_token=DEADLINE, between_tokens=0.6, total=DEADLINE)
    provider = subject.provider(http, upstream.address, CallLimits(deadlines=deadlines))
    poured = Poured()
    upstream.enqueue(tokens(6, between=0.2).stall(6))
    with pytest.raises(ProviderTimeout):
        await read(provider, poured)
    assert text_of(poured).endswith(" w6"), "a second for all, of which each may take 0.6"


async def test_comments_are_no_progress(subject: Subject, upstream: FakeUpstream, http: httpx2.AsyncClient) -> None:
    deadlines = Deadlines(first_token=DEADLINE, between_tokens=0.2, total=DEADLINE)
    provider = subject.provider(http, upstream.address, CallLimits(deadlines=deadlines))
    upstream.enqueue(Scenario(pieces=(Text("a"), *(Comment(), Pause(0.05)) * 20, Text("b"))))
    with pytest.raises(ProviderTimeout):
        await read(provider, lambda _: True)
