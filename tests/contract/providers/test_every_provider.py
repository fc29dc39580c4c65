"""What holds for every provider, also for one that has no vendor behind it."""

import contextlib

import httpx2
import msgspec
import pytest

from retinue.domain.model_io import Capabilities, ModelRequest, TextPiece
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.scripted import ScriptedProvider
from tests.contract.providers.subjects import REQUEST, SUBJECTS, collect, text_of
from tests.support.upstream import FakeUpstream


@pytest.fixture(params=[*SUBJECTS, "scripted"], ids=str)
def any_provider(request: pytest.FixtureRequest, upstream: FakeUpstream, http: httpx2.AsyncClient) -> Provider:
    """The fake vendor echoes what it is asked when nothing else was arranged."""
    if request.param == "scripted":
        return ScriptedProvider(ProviderConfig(provider="scripted", model="scripted-echo"))
    provider = request.param.provider(http, upstream.address)
    assert isinstance(provider, Provider)
    return provider


@pytest.fixture
def question(any_provider: Provider) -> ModelRequest:
    model = "scripted-echo" if any_provider.name == "scripted" else REQUEST.model
    return msgspec.structs.replace(REQUEST, model=model)


async def test_an_answer_has_text_and_one_end(any_provider: Provider, question: ModelRequest) -> None:
    assert text_of(await collect(any_provider.stream(question)))


async def test_a_provider_can_be_asked_again(any_provider: Provider, question: ModelRequest) -> None:
    first = await collect(any_provider.stream(question))
    assert text_of(await collect(any_provider.stream(question))) == text_of(first)


async def test_a_stream_can_be_left(any_provider: Provider, question: ModelRequest) -> None:
    async with contextlib.aclosing(any_provider.stream(question)) as events:
        async for event in events:
            if isinstance(event, TextPiece):
                break
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_check_passes(any_provider: Provider, question: ModelRequest) -> None:
    await any_provider.check(question)


async def test_it_says_what_it_can(any_provider: Provider) -> None:
    assert isinstance(any_provider.capabilities, Capabilities)
    assert any_provider.capabilities.is_scripted is (any_provider.name == "scripted")
