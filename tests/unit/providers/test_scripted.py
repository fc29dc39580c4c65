"""The scripted provider keeps the contract of providers and is the same every time."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import InvalidRequest, ProviderError, ProviderOverloaded, ProviderRefused, ProviderReset
from retinue.domain.model_io import (
    AssistantTurn,
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCall,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    ToolResult,
    ToolSpec,
    ToolTurn,
    Turn,
    UsageReported,
    UserTurn,
)
from retinue.domain.usage import Provenance, Usage
from retinue.providers.base import ProviderConfig, ProviderOptions
from retinue.providers.scripted import DEFAULT_MODEL, MODELS, ScriptedFactory, ScriptedProvider

SYSTEM = "You are Ada, who knows tea.\n\nTone: dry\n\nGreeting, for the first answer of a conversation: Good evening."
WEATHER = ToolSpec(
    name="get_weather",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "examples": ["Paris"]},
            "days": {"type": "integer"},
            "unit": {"enum": ["C", "F"]},
            "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "skipped": {"type": "boolean"},
        },
        "required": ["city", "days", "unit", "place", "tags"],
    },
)


class Clock:
    """Sleeps for no time and remembers for how long it should have been."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def config(**fields: Any) -> ProviderConfig:
    return ProviderConfig(provider="scripted", model=DEFAULT_MODEL, **fields)


def request(model: str = DEFAULT_MODEL, *turns: Turn, **fields: Any) -> ModelRequest:
    defaults: dict[str, Any] = {"system": SYSTEM, "max_output_tokens": 1000}
    return ModelRequest(model=model, turns=turns or (UserTurn("Two words"),), **(defaults | fields))


async def play(asked: ModelRequest, clock: Clock | None = None) -> list[ProviderEvent]:
    provider = ScriptedProvider(config(), sleep=(clock or Clock()).sleep)
    return [event async for events in provider.stream(asked) for event in events]


async def play_until_error(asked: ModelRequest) -> tuple[list[ProviderEvent], ProviderError]:
    stream = ScriptedProvider(config(), sleep=Clock().sleep).stream(asked)
    events: list[ProviderEvent] = []
    try:
        async for came in stream:
            events += came
    except ProviderError as error:
        return events, error
    pytest.fail("the stream ended without an error")


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextPiece))


def usage_of(events: list[ProviderEvent]) -> Usage:
    [usage] = [event.usage for event in events if isinstance(event, UsageReported)]
    return usage


@pytest.mark.parametrize("model", sorted(set(MODELS) - {"scripted-fail", "scripted-cut"}))
async def test_every_model_keeps_the_contract_and_repeats_itself(model: str) -> None:
    asked = request(model, tools=(WEATHER,), reasoning="on")
    events = await play(asked)
    assert [event for event in events if isinstance(event, Finished)] == events[-1:]
    assert isinstance(events[-2], UsageReported)
    assert all(event.text for event in events if isinstance(event, TextPiece | ReasoningPiece))
    assert events == await play(asked)


async def test_the_demo_speaks_in_the_persona_and_says_what_it_is() -> None:
    text = text_of(await play(request()))
    assert text.startswith("Good evening. I am Ada, played by Retinue's scripted offline provider")
    assert "“Two words”" in text
    assert "in this tone: dry" in text


async def test_the_demo_greets_only_in_its_first_answer() -> None:
    events = await play(request(DEFAULT_MODEL, UserTurn("Hi"), AssistantTurn(text="Hello."), UserTurn("Again")))
    assert text_of(events).startswith("I am still here. I am Ada")
    assert "“Again”" in text_of(events)


async def test_the_demo_needs_no_persona() -> None:
    assert text_of(await play(request(system=""))).startswith("Hello! I am Retinue's scripted offline provider")


async def test_the_demo_comes_word_by_word_at_a_pleasant_pace() -> None:
    clock = Clock()
    events = await play(request(), clock)
    pieces = [event.text for event in events if isinstance(event, TextPiece)]
    assert len(pieces) == len(text_of(events).split()) > 20
    assert clock.slept == [0.02] * len(pieces)


async def test_the_slow_model_says_the_same_slowly() -> None:
    clock = Clock()
    slow = await play(request("scripted-slow"), clock)
    assert slow == await play(request())
    assert clock.slept[:3] == [1.0, 0.25, 0.25]


@given(st.text())
def test_the_echo_keeps_every_character(text: str) -> None:
    clock = Clock()
    events = asyncio.run(
        play(request("scripted-echo", UserTurn("no"), AssistantTurn(text="no"), UserTurn(text)), clock)
    )
    assert text_of(events) == text
    assert not any(clock.slept)
    assert events[-1] == Finished(FinishReason.STOP)


async def test_the_echo_comes_in_pieces() -> None:
    events = await play(request("scripted-echo", UserTurn(" a  b\n\nc ")))
    assert [event.text for event in events if isinstance(event, TextPiece)] == [" a", "  b", "\n\nc", " "]


@pytest.mark.parametrize(
    ("effort", "thoughts"), [(None, 0), ("off", 0), ("low", 1), ("on", 2), ("medium", 2), ("high", 3)]
)
async def test_reasons_as_deeply_as_it_is_asked(effort: Any, thoughts: int) -> None:
    events = await play(request("scripted-echo", reasoning=effort))
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningPiece))
    assert reasoning.count(".") == thoughts
    assert [event for event in events if isinstance(event, ReasoningEnded)] == [ReasoningEnded()] * bool(thoughts)
    assert text_of(events) == "Two words"


async def test_usage_counts_words() -> None:
    turns = (UserTurn("one two"), AssistantTurn(text="three"), UserTurn("four five"))
    usage = usage_of(await play(request("scripted-echo", *turns, system="six seven")))
    assert usage == Usage(input_tokens=7, output_tokens=2, reasoning_tokens=0, provenance=Provenance.REPORTED)


async def test_usage_counts_reasoning_as_output() -> None:
    usage = usage_of(await play(request("scripted-echo", reasoning="low")))
    assert usage.reasoning_tokens
    assert usage.output_tokens == usage.reasoning_tokens + 2


async def test_stops_at_the_limit_of_output_tokens() -> None:
    events = await play(request("scripted-echo", UserTurn("a b c d"), max_output_tokens=3))
    assert text_of(events) == "a b c"
    assert usage_of(events).output_tokens == 3
    assert events[-1] == Finished(FinishReason.LENGTH)
    exact = await play(request("scripted-echo", UserTurn("a b c"), max_output_tokens=3))
    assert exact[-1] == Finished(FinishReason.STOP)


async def test_calls_the_first_tool_with_arguments_that_fit_its_schema() -> None:
    events = await play(
        request("scripted-tools", tools=(WEATHER, ToolSpec(name="other", description="", parameters={})))
    )
    assert events[0] == ToolCallStarted(id="call_1", name="get_weather")
    fragments = [event.fragment for event in events if isinstance(event, ToolCallPiece)]
    expected = '{"city":"Paris","days":1,"unit":"C","place":{"lat":1.0},"tags":["example"]}'
    assert "".join(fragments) == expected
    assert len(fragments) > 2
    assert ToolCallEnded(id="call_1") in events
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)


async def test_reports_what_the_tool_answered() -> None:
    call = ToolCall(id="call_1", name="get_weather", arguments="{}")
    results = (
        ToolResult(call_id="call_1", name="get_weather", content="rain"),
        ToolResult(call_id="call_2", name="clock", content="broken", is_error=True),
    )
    turns = (UserTurn("?"), AssistantTurn(tool_calls=(call,)), ToolTurn(results))
    text = text_of(await play(request("scripted-tools", *turns, tools=(WEATHER,))))
    assert text == "The tool get_weather answered: rain\nThe tool clock failed with: broken\n"


async def test_a_later_call_has_another_id() -> None:
    call = ToolCall(id="call_1", name="get_weather", arguments="{}")
    turns = (UserTurn("?"), AssistantTurn(tool_calls=(call,)), UserTurn("again"))
    assert (await play(request("scripted-tools", *turns, tools=(WEATHER,))))[0] == ToolCallStarted(
        id="call_2", name="get_weather"
    )


async def test_says_so_when_no_tool_is_offered() -> None:
    assert text_of(await play(request("scripted-tools"))).startswith("No tools were offered")


async def test_fails_before_the_first_piece() -> None:
    events, error = await play_until_error(request("scripted-fail"))
    assert (events, type(error)) == ([], ProviderOverloaded)


async def test_breaks_off_in_the_middle() -> None:
    events, error = await play_until_error(request("scripted-cut"))
    whole = text_of(await play(request()))
    assert isinstance(error, ProviderReset)
    assert whole.startswith(text_of(events))
    assert 0.3 < len(text_of(events)) / len(whole) < 0.7


async def test_refuses_unknown_models_and_names_its_own() -> None:
    events, error = await play_until_error(request("gpt-4"))
    assert (events, type(error)) == ([], ProviderRefused)
    assert all(model in error.detail for model in MODELS)


async def test_checks_the_model() -> None:
    provider = ScriptedProvider(config())
    await provider.check(request(DEFAULT_MODEL))
    with pytest.raises(ProviderRefused):
        await provider.check(request("gpt-4"))
    with pytest.raises(ProviderOverloaded):
        await provider.check(request("scripted-fail"))


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ({"api_key": "sk-1"}, "/llm_api_key"),
        ({"base_url": "https://api.example.com/v1"}, "/llm_base_url"),
        ({"options": ProviderOptions(include_usage=True)}, "/options"),
    ],
)
def test_refuses_settings_that_mean_nothing_to_it(field: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ScriptedFactory().validate(config(**field))
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert "sk-1" not in str(caught.value)


def test_opens_without_a_key_and_says_that_it_is_scripted() -> None:
    factory = ScriptedFactory()
    factory.validate(config())
    provider = factory.open(config())
    assert not factory.needs_key
    assert provider.capabilities.is_scripted
    assert provider.name == "scripted"
