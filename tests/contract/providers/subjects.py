"""The providers under contract. A new one joins by one entry in `SUBJECTS`."""

from collections.abc import AsyncGenerator, Callable, Sequence

import httpx2
import msgspec
import pytest

from retinue.domain.errors import ProviderError
from retinue.domain.model_io import Finished, ModelRequest, ProviderEvent, ReasoningPiece, TextPiece, UserTurn
from retinue.egress import EgressPolicy
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.openai import OpenAIFactory
from retinue.providers.registry import ProviderFactory
from retinue.providers.upstream import CallLimits

REQUEST = ModelRequest(
    model="model-1", system="Be brief.", turns=(UserTurn("What is the weather?"),), max_output_tokens=256
)
MakeFactory = Callable[[httpx2.AsyncClient, EgressPolicy, CallLimits], ProviderFactory]


class Subject(msgspec.Struct, frozen=True):
    """A provider that reaches its vendor over HTTP."""

    name: str
    make_factory: MakeFactory
    path: str
    """What the base URL adds to the server's address."""

    def __str__(self) -> str:
        return self.name

    def config(self, address: str, key: str | None = "sk-test-0123456789") -> ProviderConfig:
        url = f"http://{address}{self.path}"
        return ProviderConfig(provider=self.name, model=REQUEST.model, api_key=key, base_url=url)

    def provider(self, http: httpx2.AsyncClient, address: str, limits: CallLimits | None = None) -> Provider:
        policy = EgressPolicy(frozenset({address}))
        return self.make_factory(http, policy, limits or CallLimits()).open(self.config(address))


SUBJECTS = (Subject("openai", OpenAIFactory, "/v1"), Subject("anthropic", AnthropicFactory, ""))
FINISH = {
    "openai": 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    "anthropic": 'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
}
"""The vendor says that its answer is complete."""


async def collect(batches: AsyncGenerator[Sequence[ProviderEvent], None]) -> list[ProviderEvent]:
    """All events, checked against what every provider guarantees of their order."""
    came: list[ProviderEvent] = []
    async for events in batches:
        assert events
        came += events
    assert [type(event) for event in came].count(Finished) == 1
    assert isinstance(came[-1], Finished)
    assert all(event.text for event in came if isinstance(event, TextPiece | ReasoningPiece))
    return came


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextPiece))


def reasoning_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningPiece))


SECRET = "upstream secret detail"
"""Stands in every error body of the fake upstream and must not come out again."""


async def failure(provider: Provider) -> tuple[ProviderError, list[ProviderEvent]]:
    """The error that ends the stream, and what came before it."""
    came: list[ProviderEvent] = []

    async def read() -> None:
        async for events in provider.stream(REQUEST):
            came.extend(events)

    with pytest.raises(ProviderError) as caught:
        await read()
    assert SECRET not in f"{caught.value.detail} {caught.value}"
    assert caught.value.__cause__ is None
    return caught.value, came
