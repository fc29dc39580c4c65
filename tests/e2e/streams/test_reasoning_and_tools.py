"""Reasoning is asked for only where somebody said so; a tool that nobody has is refused, and the employee goes on."""

from typing import Any, NamedTuple

import pytest

from tests.e2e.streams.store import calls_of
from tests.e2e.streams.talk import KEY, VENDORS, Vendor, check_stream
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.upstream import Reasoning, Scenario, Signature, ThreadedUpstream, Tool, calls, says

pytestmark = pytest.mark.slow

SENT: dict[tuple[Vendor, str | None], dict[str, Any]] = {
    ("openai", None): {},
    ("openai", "off"): {"reasoning_effort": "none"},
    ("openai", "low"): {"reasoning_effort": "low"},
    ("openai", "high"): {"reasoning_effort": "high"},
    ("anthropic", None): {},
    ("anthropic", "off"): {"thinking": {"type": "disabled"}},
    ("anthropic", "low"): {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ("anthropic", "high"): {"thinking": {"type": "enabled", "budget_tokens": 3276}},
}
FIELDS_OF_ANY_VENDOR = ("reasoning_effort", "thinking", "reasoning", "output_config", "enable_thinking")


class Wish(NamedTuple):
    """Who says what about reasoning, and what then holds."""

    tenant: str | None = None
    employee: str | None = None
    request: str | None = None
    expected: str | None = None


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(Wish(), id="nobody"),
        pytest.param(Wish(request="low", expected="low"), id="request"),
        pytest.param(Wish(employee="high", expected="high"), id="employee"),
        pytest.param(Wish(tenant="high", expected="high"), id="tenant"),
        pytest.param(Wish(tenant="high", employee="low", expected="low"), id="employee-beats-tenant"),
        pytest.param(Wish(tenant="high", employee="low", request="off", expected="off"), id="request-beats-all"),
    ],
)
async def test_who_says_whether_to_reason(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, vendor: Vendor, wish: Wish
) -> None:
    owner = await client.create_tenant()
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    await client.configure(owner.id, vendor, "echo", llm_base_url=url, llm_api_key=KEY, reasoning=wish.tenant)
    ada = await client.create_employee(owner.id, reasoning=wish.employee)
    conversation = await client.create_conversation(owner.id, ada.id)
    fields = {} if wish.request is None else {"reasoning": wish.request}
    answer = await client.ask(conversation.id, "Hello", **fields)
    assert answer.end["status"] == "completed", answer.of("message_error")
    [record] = upstream.requests
    assert {name: record.body[name] for name in FIELDS_OF_ANY_VENDOR if name in record.body} == SENT[
        vendor, wish.expected
    ]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_reasoning_is_shown_and_stored_apart_from_the_text(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    conversation = await client.hire(vendor, "echo", llm_base_url=url, llm_api_key=KEY)
    thoughts = (Reasoning("Let me "), Reasoning("думать."), Signature("c2lnbmVk"))
    upstream.enqueue(Scenario(pieces=(*thoughts, *says("The", " answer").pieces)))
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    assert [delta["delta"] for delta in answer.of("reasoning_delta")] == ["Let me ", "думать."]
    assert answer.types.index("token") > answer.types.index("reasoning_delta")
    _, stored = await client.messages(conversation.id)
    assert (stored.content, stored.reasoning) == ("The answer", "Let me думать.")
    assert answer.end["usage"]["reasoning_tokens"] == 2


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_tool_that_nobody_has(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    conversation = await client.hire(vendor, "echo", llm_base_url=url, llm_api_key=KEY)
    pieces = (
        *says("One moment.").pieces,
        Tool('{"city": ', id="call_1", name="get_weather"),
        Tool('"Oslo"}'),
        Tool("", id="call_2", name="now", index=1),
    )
    upstream.enqueue(Scenario(pieces=pieces, finish="tool_calls"), says(" I do", " not know."))
    answer = check_stream((await client.ask(conversation.id, "How warm is it?")).frames)

    started, finished = answer.of("tool_call_started"), answer.of("tool_call_finished")
    assert [(call["tool"], call["args"]) for call in started] == [("get_weather", {"city": "Oslo"}), ("now", {})]
    assert [(call["tool_call_id"], call["error"], call["result"]) for call in finished] == [
        (call["tool_call_id"], "tool_unavailable", None) for call in started
    ]
    assert [entry["name"] for entry in answer.end["tool_log"]] == ["get_weather", "now"]
    assert answer.text == "One moment. I do not know."
    assert (answer.end["status"], answer.end["finish_reason"]) == ("completed", "stop")
    stages = [status["stage"] for status in answer.of("runtime_status")]
    assert stages == ["planning", "answering", "running_tool", "planning", "answering"]

    _, stored = await client.messages(conversation.id)
    assert (stored.content, [entry.error for entry in stored.tool_log]) == (answer.text, ["tool_unavailable"] * 2)
    booked = await calls_of(retinue, answer.start["run_id"])
    assert [(call.step, call.tries, call.outcome) for call in booked] == [(1, 1, "completed"), (2, 1, "completed")]
    ids = [call["tool_call_id"] for call in started]
    assert _results_sent(vendor, upstream.requests[1].body) == ids


def _results_sent(vendor: Vendor, body: dict[str, Any]) -> list[str]:
    """The calls whose results went back to the model, in order."""
    if vendor == "openai":
        return [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
    return [block["tool_use_id"] for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_model_that_never_stops_asking_for_tools(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    client = impatient.client()
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    conversation = await client.hire(vendor, "echo", llm_base_url=url, llm_api_key=KEY)
    upstream.enqueue(*[calls("get_weather", "{}")] * 3)
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"]) == ("step_limit_reached", False)
    assert answer.end["status"] == "failed"
    assert len(answer.end["tool_log"]) == 3
    booked = await calls_of(impatient, answer.start["run_id"])
    assert [(call.step, call.outcome, call.is_closed) for call in booked] == [
        (step, "completed", True) for step in (1, 2, 3)
    ]


async def test_broken_arguments_are_repaired_or_shown_as_they_are(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await client.hire("openai", "echo", llm_base_url=upstream.openai_url, llm_api_key=KEY)
    broken = (Tool('{"city": "Oslo"', id="a", name="get_weather"), Tool("no json", id="b", name="now", index=1))
    upstream.enqueue(Scenario(pieces=broken, finish="tool_calls"), says("Well."))
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    assert [call["args"] for call in answer.of("tool_call_started")] == [{"city": "Oslo"}, "no json"]
    assert answer.end["status"] == "completed"
