"""What leaves for a vendor, and that each status of theirs becomes one of our errors: mocked below the HTTP client.

The client is httpx2's own, because that is what the mock knows; ours is asked by the contract of the providers.
"""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import respx

from retinue.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
)
from retinue.domain.model_io import Finished, FinishReason, ModelRequest, TextPiece, UserTurn
from retinue.egress import EgressPolicy
from retinue.providers.base import ProviderConfig
from retinue.providers.openai import OpenAIFactory

KEY = "sk-test-0123456789"
URL = "https://api.openai.com/v1/chat/completions"
REQUEST = ModelRequest(model="gpt-5-mini", system="Be brief.", turns=(UserTurn("Hi"),), max_output_tokens=64)
ANSWER = (
    'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
    'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    "data: [DONE]\n\n"
)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client


async def ask(http: httpx2.AsyncClient) -> list[object]:
    config = ProviderConfig(provider="openai", model=REQUEST.model, api_key=KEY)
    provider = OpenAIFactory(http, EgressPolicy()).open(config)
    return [event async for events in provider.stream(REQUEST) for event in events]


async def test_a_request_carries_what_was_asked_for_and_no_more(
    httpx2_mock: respx.Router, http: httpx2.AsyncClient
) -> None:
    route = httpx2_mock.post(URL).respond(200, headers={"content-type": "text/event-stream"}, text=ANSWER)
    assert await ask(http) == [TextPiece("Hello"), Finished(FinishReason.STOP)]
    (call,) = route.calls
    assert call.request.headers["authorization"] == f"Bearer {KEY}"
    assert "cookie" not in call.request.headers
    assert json.loads(call.request.content) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 64,
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ProviderRefused),
        (401, ProviderAuth),
        (403, ProviderAuth),
        (404, ProviderRefused),
        (429, ProviderRateLimited),
        (500, ProviderOverloaded),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
    ],
)
async def test_a_status_becomes_an_error_and_is_not_retried(
    httpx2_mock: respx.Router, http: httpx2.AsyncClient, status: int, expected: type[ProviderError]
) -> None:
    body = {"error": {"message": "upstream secret detail", "type": "x", "code": None}}
    route = httpx2_mock.post(URL).respond(status, json=body)
    with pytest.raises(expected) as caught:
        await ask(http)
    assert "upstream" not in caught.value.detail
    assert route.call_count == 1
