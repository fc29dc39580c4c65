import socket
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.budgets import Quote
from retinue.domain.prices import ModelPrice
from retinue.domain.usage import Cost, Usage
from retinue.providers.counts import MAX_COUNT
from retinue.providers.pricing import MAX_MICROS, Pricing, context_window, input_bound

THEN = datetime(2026, 1, 1, tzinfo=UTC)
USAGE = Usage(input_tokens=1000, output_tokens=100)
OWN = ModelPrice(
    provider="openai", model="m", input_price=2_000_000, cached_input_price=500_000, output_price=10_000_000
)
GPT, CLAUDE = Pricing(provider="openai", model="gpt-4o"), Pricing(provider="anthropic", model="claude-sonnet-4-5")
TIERED = Pricing(provider="google", model="gemini-2.5-pro")
COUNTS = st.integers(0, 400_000)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("prices must not be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_list_price() -> None:
    assert GPT.cost(USAGE, at=THEN) == Cost(micros=3500)


def test_cached_tokens_are_cheaper_and_part_of_the_input() -> None:
    cached = Usage(input_tokens=1000, cached_input_tokens=1000, output_tokens=100)
    assert GPT.cost(cached, at=THEN) == Cost(micros=2250)


def test_a_price_is_rounded_half_up() -> None:
    assert GPT.cost(Usage(input_tokens=1, output_tokens=0), at=THEN) == Cost(micros=3)


def test_the_address_decides_whose_prices_apply() -> None:
    router = "https://openrouter.ai/api/v1"
    pricing = Pricing(provider="openai", model="openai/gpt-4o", base_url=router)
    assert pricing.cost(USAGE, at=THEN) is not None


@pytest.mark.parametrize(
    ("provider", "model", "base_url", "usage"),
    [
        ("openai", "no-such-model", None, USAGE),
        ("openai", "gpt-4o", "http://ollama:11434/v1", USAGE),
        ("openai", "gpt-4o", None, Usage()),
        ("openai", "gpt-4o", None, Usage(input_tokens=1, cached_input_tokens=5)),
    ],
)
def test_what_is_not_known_is_null(provider: str, model: str, base_url: str | None, usage: Usage) -> None:
    pricing = Pricing(provider=provider, model=model, base_url=base_url)
    assert pricing.cost(usage, at=THEN) is None


def test_a_model_without_a_price_has_no_bounds_either() -> None:
    pricing = Pricing(provider="openai", model="no-such-model")
    assert (pricing.most(1, 1), pricing.quote(1, 1), pricing.output_within(1, 1)) == (None, None, None)
    assert not pricing.is_free, "null is not zero"


def test_nothing_used_costs_nothing() -> None:
    assert GPT.cost(Usage(input_tokens=0, output_tokens=0), at=THEN) == Cost(micros=0)


def test_the_scripted_provider_costs_nothing() -> None:
    scripted = Pricing(provider="scripted", model="scripted-demo")
    assert scripted.cost(USAGE) == Cost(micros=0)
    assert scripted.is_free
    assert scripted.cost(Usage()) is None, "not even that is known of unknown usage"


def test_the_tenants_own_price_comes_first() -> None:
    listed = ModelPrice(provider="openai", model="gpt-4o", input_price=1_000_000, output_price=1_000_000)
    pricing = Pricing.of((OWN, listed), provider="openai", model="gpt-4o")
    assert pricing.cost(USAGE) == Cost(micros=1100)
    assert Pricing.of((OWN,), provider="openai", model="gpt-4o").own is None
    assert Pricing.of((OWN,), provider="anthropic", model="m").own is None


def test_an_own_price_makes_a_server_of_ones_own_known_and_free_of_charge() -> None:
    for provider in ("openai", "scripted"):
        free = ModelPrice(provider=provider, model="m", input_price=0, output_price=0)
        assert Pricing.of((free,), provider=provider, model="m", base_url="http://ollama:1/v1").is_free
    dear = ModelPrice(provider="scripted", model="m", input_price=0, output_price=1)
    assert not Pricing.of((dear,), provider="scripted", model="m").is_free


def test_an_own_price_counts_each_kind_of_input_once() -> None:
    pricing = Pricing.of((OWN,), provider="openai", model="m")
    usage = Usage(input_tokens=1000, cached_input_tokens=400, cache_write_tokens=100, output_tokens=10)
    assert pricing.cost(usage) == Cost(micros=500 * 2 + 400 // 2 + 100 * 2 + 10 * 10)
    assert pricing.cost(Usage(input_tokens=1, cached_input_tokens=1, cache_write_tokens=1, output_tokens=0)) is None


@pytest.mark.parametrize("pricing", [GPT, CLAUDE, TIERED, Pricing.of((OWN,), provider="openai", model="m")])
@given(total=COUNTS, cached=st.floats(0, 1), kept=st.floats(0, 1), output=COUNTS)
def test_no_call_costs_more_than_its_bound(
    pricing: Pricing, total: int, cached: float, kept: float, output: int
) -> None:
    """However its input is spread over what is cached, kept or neither: to keep can cost more than to read."""
    found = int(total * cached)
    usage = Usage(
        input_tokens=total,
        cached_input_tokens=found,
        cache_write_tokens=int((total - found) * kept),
        output_tokens=output,
    )
    cost, most = pricing.cost(usage), pricing.most(total, output)
    assert cost is not None
    assert most is not None
    assert cost.micros <= most


def test_no_report_makes_a_call_dearer_than_can_be_added_up() -> None:
    """A provider may report anything, and a tenant may say anything of its prices."""
    dear = ModelPrice(provider="openai", model="m", input_price=10**12, output_price=10**12)
    pricing = Pricing(provider="openai", model="m", own=dear)
    assert pricing.cost(Usage(input_tokens=MAX_COUNT, output_tokens=MAX_COUNT)) == Cost(micros=MAX_MICROS)
    assert pricing.quote(MAX_COUNT, MAX_COUNT) == Quote(MAX_MICROS, MAX_MICROS)
    assert MAX_MICROS * 1_000_000 < 2**63


def test_what_is_kept_is_in_the_bound() -> None:
    kept = CLAUDE.cost(Usage(input_tokens=1000, cache_write_tokens=1000, output_tokens=0))
    plain = CLAUDE.cost(Usage(input_tokens=1000, output_tokens=0))
    assert kept is not None
    assert plain is not None
    assert plain.micros < kept.micros == CLAUDE.most(1000, 0)


def test_a_quote_takes_the_input_for_longer_than_estimated() -> None:
    quote = Pricing.of((OWN,), provider="openai", model="m").quote(300, 50)
    assert quote is not None
    assert input_bound(300) == 400
    assert (quote.input_micros, quote.most_micros) == (800, 800 + 500)


def test_a_tier_is_reached_where_the_input_may_be_longer_than_estimated() -> None:
    below, estimated = TIERED.most(200_000, 0), TIERED.quote(190_000, 0)
    assert below is not None
    assert estimated is not None
    assert estimated.input_micros > 2 * below, "all of it pays the price of the tier"


@pytest.mark.parametrize("pricing", [GPT, CLAUDE, TIERED, Pricing.of((OWN,), provider="openai", model="m")])
@given(micros=st.integers(0, 10_000_000), total=COUNTS)
def test_output_that_fits_costs_no_more(pricing: Pricing, micros: int, total: int) -> None:
    tokens = pricing.output_within(micros, total)
    assert tokens is not None
    alone, more, reading = pricing.most(total, tokens), pricing.most(total, tokens + 1), pricing.most(total, 0)
    assert alone is not None
    assert more is not None
    assert reading is not None
    assert alone - reading <= micros + 1
    assert more - reading >= micros - 1


def test_output_that_costs_nothing_has_no_bound() -> None:
    free = ModelPrice(provider="openai", model="m", input_price=5, output_price=0)
    assert Pricing.of((free,), provider="openai", model="m").output_within(0, 10) is None


def test_windows_of_known_models() -> None:
    assert context_window(provider="openai", model="gpt-4") == 8192
    assert context_window(provider="openai", model="nobody-s-model") is None
    assert context_window(provider="openai", model="gpt-4", base_url="http://127.0.0.1:9/v1") is None
