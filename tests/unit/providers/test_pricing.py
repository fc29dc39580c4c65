import socket
from datetime import UTC, datetime

import pytest

from retinue.domain.usage import Cost, Usage
from retinue.providers.pricing import context_window, cost_of

THEN = datetime(2026, 1, 1, tzinfo=UTC)
USAGE = Usage(input_tokens=1000, output_tokens=100)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("prices must not be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_list_price() -> None:
    assert cost_of(USAGE, provider="openai", model="gpt-4o", at=THEN) == Cost(micros=3500)


def test_cached_tokens_are_cheaper_and_part_of_the_input() -> None:
    cached = Usage(input_tokens=1000, cached_input_tokens=1000, output_tokens=100)
    assert cost_of(cached, provider="openai", model="gpt-4o", at=THEN) == Cost(micros=2250)


def test_a_price_is_rounded_half_up() -> None:
    assert cost_of(Usage(input_tokens=1, output_tokens=0), provider="openai", model="gpt-4o", at=THEN) == Cost(micros=3)


def test_the_address_decides_whose_prices_apply() -> None:
    router = "https://openrouter.ai/api/v1"
    assert cost_of(USAGE, provider="openai", model="openai/gpt-4o", base_url=router, at=THEN) is not None


@pytest.mark.parametrize(
    ("provider", "model", "base_url", "usage"),
    [
        ("openai", "no-such-model", None, USAGE),
        ("scripted", "gpt-4o", None, USAGE),
        ("openai", "gpt-4o", "http://ollama:11434/v1", USAGE),
        ("openai", "gpt-4o", None, Usage()),
        ("openai", "gpt-4o", None, Usage(input_tokens=1, cached_input_tokens=5)),
    ],
)
def test_what_is_not_known_is_null(provider: str, model: str, base_url: str | None, usage: Usage) -> None:
    assert cost_of(usage, provider=provider, model=model, base_url=base_url, at=THEN) is None


def test_nothing_used_costs_nothing() -> None:
    free = Usage(input_tokens=0, output_tokens=0)
    assert cost_of(free, provider="openai", model="gpt-4o", at=THEN) == Cost(micros=0)


def test_windows_of_known_models() -> None:
    assert context_window(provider="openai", model="gpt-4") == 8192
    assert context_window(provider="openai", model="nobody-s-model") is None
    assert context_window(provider="openai", model="gpt-4", base_url="http://127.0.0.1:9/v1") is None
