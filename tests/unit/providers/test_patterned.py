"""Requests that the SDK does not build are those that it would have built, and end like them."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

from retinue.domain.errors import EgressRefused, ProviderError
from retinue.domain.model_io import ModelRequest, UserTurn
from retinue.egress import EgressPolicy
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.base import Provider, ProviderConfig, ProviderOptions
from retinue.providers.openai import OpenAIFactory
from retinue.providers.patterned import MAX_MODELS, Patterned

REQUEST = ModelRequest(model="model 1", system="Be brief.", turns=(UserTurn("Héllo 🧑‍🚀\x1f"),), max_output_tokens=64)
AZURE = ProviderOptions(azure_api_version="2025-04-01")
CONFIGS = {
    "openai": ProviderConfig(provider="openai", model="m", api_key="sk-1"),
    "compatible": ProviderConfig(provider="openai", model="m", base_url="https://openrouter.ai/api/v1"),
    "azure": ProviderConfig(
        provider="openai", model="m", api_key="k", base_url="https://x.openai.azure.com", options=AZURE
    ),
    "anthropic": ProviderConfig(provider="anthropic", model="m", api_key="sk-1"),
    "anthropic's kin": ProviderConfig(provider="anthropic", model="m", api_key="k", base_url="https://kin.example.com"),
}
Answer = httpx2.Response | Exception


class _Body(httpx2.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class _Vendor:
    """Greets the first caller, and treats the others as a test wants."""

    def __init__(self, name: str) -> None:
        self.config = CONFIGS[name]
        self.answers: list[Answer] = []
        self.seen: list[httpx2.Request] = []
        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer), trust_env=False)
        factory = OpenAIFactory if self.config.provider == "openai" else AnthropicFactory
        self.factory = factory(self.http, EgressPolicy())

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        if not self.answers:
            return self._greeting()
        answer = self.answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _greeting(self) -> httpx2.Response:
        lines = (
            [b'{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}', b"[DONE]"]
            if self.config.provider == "openai"
            else [b'{"type":"message_delta","delta":{"stop_reason":"end_turn"}}', b'{"type":"message_stop"}']
        )
        content = b"".join(b"data: %b\n\n" % line for line in lines)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(content))

    async def ask(self, model: str = REQUEST.model) -> None:
        provider: Provider = self.factory.open(self.config)
        async for _ in provider.stream(msgspec.structs.replace(REQUEST, model=model)):
            pass

    async def failure(self, answer: Answer) -> tuple[object, ...]:
        self.answers = [answer]
        with pytest.raises(ProviderError) as caught:
            await self.ask()
        error = caught.value
        return type(error), error.code, error.detail, error.retry_after, error.retryable, type(error.__cause__)


@pytest.fixture
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[_Vendor]:
    vendor = _Vendor(getattr(request, "param", "openai"))
    async with vendor.http:
        yield vendor


def _as_sent(request: httpx2.Request) -> tuple[object, ...]:
    return request.method, request.url, request.headers.raw, request.content, request.extensions


@pytest.mark.parametrize("vendor", CONFIGS, indirect=True)
async def test_a_second_request_is_byte_for_byte_the_first(vendor: _Vendor) -> None:
    await vendor.ask()
    await vendor.ask()
    first, second = vendor.seen
    assert _as_sent(first) == _as_sent(second)
    assert second is not first


@pytest.mark.parametrize("vendor", CONFIGS, indirect=True)
async def test_another_model_is_asked_as_the_sdk_asks_it(vendor: _Vendor) -> None:
    for model in ("model 1", "model 2", "model 1", "model 2"):
        await vendor.ask(model)
    assert [_as_sent(request) for request in vendor.seen[2:]] == [_as_sent(request) for request in vendor.seen[:2]]
    assert msgspec.json.decode(vendor.seen[-1].content)["model"] == "model 2"


@pytest.mark.parametrize("vendor", CONFIGS, indirect=True)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" model_not_found ",
        b"<html>",
        b"null",
        b'"overloaded_error"',
        b"[1]",
        b"[" * 100_000,
        b'{"error": {"type": "insufficient_quota", "code": null}}',
        b'{"error": {"code": "context_length_exceeded"}}',
        b'{"error": "model_not_found"}',
        b'{"error": null, "type": "billing_error"}',
        b'{"type": "error", "error": {"type": "overloaded_error"}}',
        b'{"type": "billing_error", "error": {"type": "x"}}',
        b'\xff{"error": {"type": "billing_error"}}',
    ],
    ids=range(14),
)
async def test_a_refusal_ends_a_second_call_as_it_ends_the_first(vendor: _Vendor, content: bytes) -> None:
    for status in (302, 400, 401, 404, 429, 500, 503, 529, 600):
        headers = {"retry-after": "7", "content-type": "application/json", "location": "/elsewhere"}
        answers = [httpx2.Response(status, headers=headers, stream=_Body(content)) for _ in range(2)]
        vendor.factory.forget()
        first = await vendor.failure(answers[0])
        await vendor.ask()
        assert await vendor.failure(answers[1]) == first
        assert answers[1].is_closed


@pytest.mark.parametrize("vendor", CONFIGS, indirect=True)
@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("x"),
        httpx2.ConnectTimeout("x"),
        httpx2.WriteTimeout("x"),
        httpx2.ReadError("x"),
        httpx2.RemoteProtocolError("x"),
        httpx2.LocalProtocolError("x"),
        httpx2.UnsupportedProtocol("x"),
        EgressRefused("x"),
        ssl.SSLCertVerificationError("x"),
        ssl.SSLError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_breaks_a_second_call_counts_as_in_the_first(vendor: _Vendor, error: Exception) -> None:
    first = await vendor.failure(error)
    await vendor.ask()
    assert await vendor.failure(error) == first


@pytest.mark.parametrize("vendor", CONFIGS, indirect=True)
async def test_the_sdk_builds_one_request_of_each_model(vendor: _Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    build = vendor.http.build_request

    def note(*args: Any, **options: Any) -> httpx2.Request:
        request = build(*args, **options)
        built.append(msgspec.json.decode(request.content)["model"])
        return request

    monkeypatch.setattr(vendor.http, "build_request", note)
    models = [str(number) for number in range(MAX_MODELS)]
    for model in [*models, *models]:
        await vendor.ask(model)
    assert built == models
    for model in ("one more", "1", "0"):
        await vendor.ask(model)
    assert built == [*models, "one more", "0"], "the first one was forgotten"


@pytest.mark.parametrize("vendor", ["openai", "anthropic"], indirect=True)
async def test_nothing_is_kept_of_what_was_said(vendor: _Vendor) -> None:
    client: Patterned = vendor.factory._clients.get(vendor.config)
    for _ in range(2):
        response = await client.ask({"model": "m", "messages": [{"content": "x" * 1000}]})
        assert response.request.read() == b""
        assert response.request.url == vendor.seen[-1].url
        await response.aclose()
    assert all(b"x" in request.content for request in vendor.seen)
    assert [pattern.read() for pattern in client._patterns.values()] == [b""]
