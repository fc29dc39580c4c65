"""Judging a tenant's configuration, and opening what is valid."""

from collections.abc import AsyncIterator
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import httpx2
import msgspec
import pytest

from retinue.domain.errors import EgressRefused, InvalidRequest
from retinue.domain.model_io import Finished, FinishReason, ModelRequest, TextPiece, UserTurn
from retinue.egress import EgressPolicy, make_client
from retinue.providers.anthropic import AnthropicFactory, AnthropicProvider
from retinue.providers.base import Provider, ProviderConfig, ProviderOptions
from retinue.providers.clients import ClientCache
from retinue.providers.openai import OpenAIFactory, OpenAIProvider
from retinue.providers.registry import ProviderFactory, ProviderRegistry

POLICY = EgressPolicy(frozenset({"ollama:11434"}))
OLLAMA = "http://ollama:11434/v1"
REQUEST = ModelRequest(model="my model", system="", turns=(UserTurn("hi"),), max_output_tokens=9)


@pytest.fixture
async def registry() -> AsyncIterator[ProviderRegistry]:
    http = make_client(POLICY, ssl_context=SSLContext(PROTOCOL_TLS_CLIENT))
    factories: dict[str, ProviderFactory] = {
        "openai": OpenAIFactory(http, POLICY),
        "anthropic": AnthropicFactory(http, POLICY),
    }
    registry = ProviderRegistry(factories, http=http)
    yield registry
    await registry.aclose()
    assert http.is_closed


def config(**fields: object) -> ProviderConfig:
    options = ProviderOptions(**fields.pop("options", {}))  # type: ignore[arg-type]
    base = ProviderConfig(provider="openai", model="m", api_key="sk-1", options=options)
    return msgspec.structs.replace(base, **fields)


@pytest.mark.parametrize(
    "valid",
    [
        config(),
        config(provider="anthropic"),
        config(base_url="https://openrouter.ai/api/v1"),
        config(base_url=OLLAMA, api_key=None),
        config(provider="anthropic", base_url="http://ollama:11434", api_key=None),
        config(base_url=OLLAMA, options={"include_usage": False, "echo_reasoning": True, "system_role": "developer"}),
        config(base_url="https://x.openai.azure.com", options={"azure_api_version": "2025-04-01-preview"}),
    ],
)
def test_valid(registry: ProviderRegistry, valid: ProviderConfig) -> None:
    registry.validate(valid)
    provider = registry.open(valid)
    assert provider.name == valid.provider


@pytest.mark.parametrize(
    ("wrong", "pointer", "code"),
    [
        (config(provider="grok"), "/llm_provider", "unknown_provider"),
        (config(api_key=None), "/llm_api_key", "api_key_missing"),
        (config(api_key=""), "/llm_api_key", "api_key_missing"),
        (config(provider="anthropic", api_key=None), "/llm_api_key", "api_key_missing"),
        (config(api_key=None, base_url="https://api.openai.com/v1"), "/llm_api_key", "api_key_missing"),
        (config(api_key="sk 1"), "/llm_api_key", "validation_failed"),
        (config(api_key="sk-1\r\nX-Evil: 1"), "/llm_api_key", "validation_failed"),
        (config(api_key="schlüssel"), "/llm_api_key", "validation_failed"),
        (config(model=" "), "/llm_model", "validation_failed"),
        (config(model="a\nb"), "/llm_model", "validation_failed"),
        (config(base_url="http://127.0.0.1/v1"), "/llm_base_url", "egress_refused"),
        (config(base_url="http://ollama:11435/v1"), "/llm_base_url", "egress_refused"),
        (config(base_url="https://api.example.com/v1?key=1"), "/llm_base_url", "egress_refused"),
        (config(base_url=""), "/llm_base_url", "egress_refused"),
        (config(provider="anthropic", base_url="http://10.0.0.1"), "/llm_base_url", "egress_refused"),
        (config(options={"azure_api_version": "2025-04-01"}), "/llm_base_url", "validation_failed"),
        (
            config(base_url=OLLAMA, options={"azure_api_version": "a&b=c"}),
            "/options/azure_api_version",
            "validation_failed",
        ),
        (config(options={"max_tokens_field": "tokens"}), "/options/max_tokens_field", "validation_failed"),
        (config(options={"system_role": "user"}), "/options/system_role", "validation_failed"),
        (
            config(provider="anthropic", options={"include_usage": False}),
            "/options/include_usage",
            "validation_failed",
        ),
        (
            config(provider="anthropic", options={"system_role": "system"}),
            "/options/system_role",
            "validation_failed",
        ),
    ],
)
def test_wrong(registry: ProviderRegistry, wrong: ProviderConfig, pointer: str, code: str) -> None:
    for judge in (registry.validate, registry.open):
        with pytest.raises(InvalidRequest) as caught:
            judge(wrong)
        assert [error.pointer for error in caught.value.errors] == [pointer]
        assert caught.value.problem_code == code
        assert caught.value.status == 422
        assert isinstance(caught.value, EgressRefused) is (code == "egress_refused")


def test_names(registry: ProviderRegistry) -> None:
    assert registry.names == ("anthropic", "openai")
    assert registry.needs_key("openai")
    with pytest.raises(InvalidRequest):
        registry.needs_key("grok")


def test_a_configuration_never_shows_its_key() -> None:
    assert "sk-1" not in f"{config()} {config()!r}"


class Body(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def ask(config: ProviderConfig) -> httpx2.Request:
    """The request that a provider with this configuration sends."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        provider = OpenAIFactory(http, POLICY).open(config)
        assert [event async for events in provider.stream(REQUEST) for event in events] == [
            TextPiece("ok"),
            Finished(FinishReason.STOP),
        ]
    return seen[0]


@pytest.mark.parametrize("url", ["https://x.openai.azure.com", "https://x.openai.azure.com/openai/"])
async def test_azure(url: str) -> None:
    request = await ask(config(base_url=url, options={"azure_api_version": "2025-04-01"}))
    assert str(request.url) == (
        "https://x.openai.azure.com/openai/deployments/my%20model/chat/completions?api-version=2025-04-01"
    )
    assert request.headers["api-key"] == "sk-1"
    assert "max_completion_tokens" in msgspec.json.decode(request.content)


@pytest.mark.parametrize(
    ("base_url", "sent_to", "field"),
    [
        (None, "https://api.openai.com/v1/chat/completions", "max_completion_tokens"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions", "max_tokens"),
    ],
)
async def test_addresses(base_url: str | None, sent_to: str, field: str) -> None:
    request = await ask(config(base_url=base_url))
    assert str(request.url) == sent_to
    assert field in msgspec.json.decode(request.content)


async def test_a_server_without_a_key_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-operator")
    request = await ask(config(base_url=OLLAMA, api_key=None))
    assert request.headers["authorization"] == "Bearer none"


def test_capabilities(registry: ProviderRegistry) -> None:
    own, other = registry.open(config()), registry.open(config(base_url=OLLAMA, options={"include_usage": False}))
    assert not own.capabilities.streams_reasoning
    assert other.capabilities.streams_reasoning
    assert own.capabilities.reports_usage
    assert not other.capabilities.reports_usage
    assert not registry.open(config(provider="anthropic")).capabilities.takes_temperature


def test_clients_are_shared_by_address_key_and_options_and_the_oldest_is_dropped() -> None:
    made: list[str | None] = []

    def make(config: ProviderConfig) -> object:
        made.append(config.api_key)
        return object()

    cache = ClientCache(make, size=2)
    first = cache.get(config(model="a"))
    assert cache.get(config(model="b")) is first
    cache.get(config(api_key="sk-2"))
    assert cache.get(config()) is first
    cache.get(config(base_url=OLLAMA))
    assert cache.get(config()) is first
    cache.get(config(api_key="sk-2"))
    assert made == ["sk-1", "sk-2", "sk-1", "sk-2"]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (config(), config(base_url="https://api.openai.com/v1/", model="other", api_key="sk-2"), True),
        (config(), config(base_url="https://openrouter.ai/api/v1"), False),
        (config(provider="anthropic"), config(provider="anthropic", base_url="https://API.anthropic.com/v1"), True),
        (config(provider="anthropic", base_url=OLLAMA), config(base_url=OLLAMA), False),
    ],
)
def test_who_produces_a_turn_is_the_vendor_at_its_address(
    registry: ProviderRegistry, one: ProviderConfig, other: ProviderConfig, is_same: bool
) -> None:
    producers = [_producer(registry.open(given)) for given in (one, other)]
    assert all(producers)
    assert (producers[0] == producers[1]) is is_same


def _producer(provider: Provider) -> str | None:
    assert isinstance(provider, OpenAIProvider | AnthropicProvider)
    return provider._dialect.producer
