"""What the fake upstream says in the words of each vendor."""

from typing import Any

import anthropic
import openai
import pytest

from tests.support.upstream import (
    Error,
    FakeUpstream,
    Reasoning,
    Redacted,
    Scenario,
    Signature,
    Text,
    Tokens,
    Tool,
    calls,
    says,
)
from tests.unit.support.asking import MESSAGES, PATHS, data_of, read, text_of


async def test_usage_of_chat_completions_comes_where_it_should(upstream: FakeUpstream) -> None:
    counts = Tokens(100, 20, cached=60, reasoning=5)
    upstream.enqueue(
        *(says("a", "b", usage=counts, usage_on=on) for on in ("if_asked", "if_asked", "last", "every_chunk"))
    )
    unasked = data_of((await read(upstream)).body)
    asked = data_of((await read(upstream, stream_options={"include_usage": True})).body)
    last = data_of((await read(upstream)).body)
    every = data_of((await read(upstream)).body)
    assert not any(chunk.get("usage") for chunk in unasked)
    assert asked[-1] == last[-1]
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert all(chunk["usage"] for chunk in every)


async def test_usage_of_messages_counts_cached_input_apart(upstream: FakeUpstream) -> None:
    upstream.enqueue(says("a", usage=Tokens(100, 20, cached=60, cache_write=10, reasoning=5)))
    events = data_of((await read(upstream, MESSAGES)).body)
    start, end = events[0]["message"]["usage"], events[-2]["usage"]
    assert start["input_tokens"] + start["cache_read_input_tokens"] + start["cache_creation_input_tokens"] == 100
    assert end == {"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 5}}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_of_chat_completions(upstream: FakeUpstream, field: Any) -> None:
    upstream.enqueue(Scenario(pieces=(Reasoning("hm", field), Text("a"))))
    chunks = data_of((await read(upstream)).body)
    assert chunks[1]["choices"][0]["delta"] == {"content": None, field: "hm"}


async def test_blocks_of_messages_open_and_close_in_order(upstream: FakeUpstream) -> None:
    thinking = (Reasoning("h"), Reasoning("m"), Signature("c2ln"), Redacted("eHh4"))
    upstream.enqueue(Scenario(pieces=(*thinking, Text("a"), Tool(id="t1", name="f"), Tool('{"x":1}'))))
    events = data_of((await read(upstream, MESSAGES)).body)
    shape = [(e["index"], e["content_block"]["type"]) for e in events if e["type"] == "content_block_start"]
    assert shape == [(0, "thinking"), (1, "redacted_thinking"), (2, "text"), (3, "tool_use")]
    stops = [e["index"] for e in events if e["type"] == "content_block_stop"]
    assert stops == [0, 1, 2, 3]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_tool_fragments_with_and_without_index_and_id(upstream: FakeUpstream) -> None:
    upstream.enqueue(
        calls("f", '{"a"', ":1}"), calls("f", "{}", id="", index=None), Scenario(pieces=(Tool({"a": 1}, name="f"),))
    )
    fragments = [
        [c["choices"][0]["delta"]["tool_calls"][0] for c in data_of((await read(upstream)).body)[1:-1]]
        for _ in range(3)
    ]
    named, nameless, whole = fragments
    assert named[0] == {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    assert named[1] == {"index": 0, "function": {"arguments": ":1}"}}
    assert nameless[0] == {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert whole[0]["function"]["arguments"] == {"a": 1}


@pytest.mark.parametrize("form", ["native", "openai", "openrouter", "vllm", "anthropic"])
@PATHS
async def test_errors_in_mid_stream_have_their_documented_form(upstream: FakeUpstream, path: str, form: Any) -> None:
    upstream.enqueue(Scenario(pieces=(Text("a"), Error(form, "rate_limit_error", 429), Text("never"))))
    response = await read(upstream, path)
    last = data_of(response.body)[-1]
    form = form if form != "native" else "anthropic" if path == MESSAGES else "openai"
    assert text_of(response) == "a"
    assert response.ending == "complete"
    match form:
        case "openai":
            assert (last["error"]["type"], last["error"]["code"]) == ("rate_limit_error", 429)
        case "openrouter":
            assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (429, "error")
        case "vllm":
            assert (last["object"], last["code"]) == ("error", 429)
        case "anthropic":
            assert b"event: error\ndata: " in response.body
            assert (last["type"], last["error"]["type"]) == ("error", "rate_limit_error")


async def test_the_azure_form_of_the_path(upstream: FakeUpstream) -> None:
    response = await read(upstream, "/openai/deployments/gpt/chat/completions?api-version=2026-01-01", model="azure")
    assert data_of(response.body)[0]["choices"] == []
    assert upstream.requests[0].query == {"api-version": "2026-01-01"}


async def test_the_vendors_own_clients_can_read_it(upstream: FakeUpstream) -> None:
    async with (
        openai.AsyncOpenAI(base_url=upstream.openai_url, api_key="k", max_retries=0) as chat,
        anthropic.AsyncAnthropic(base_url=upstream.anthropic_url, api_key="k", max_retries=0) as messages,
    ):
        answer = await chat.chat.completions.create(model="tool-calls", messages=[{"role": "user", "content": "x"}])
        calls_made = [
            call.function.arguments for call in answer.choices[0].message.tool_calls or [] if call.type == "function"
        ]
        assert calls_made == ['{"city": "Paris"}', '{"city": "Oslo"}']
        async with messages.messages.stream(
            model="reasoning", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        ) as stream:
            final = await stream.get_final_message()
        assert [block.type for block in final.content] == ["thinking", "text"]
        assert {model.id async for model in chat.models.list()} >= {"echo", "stall"}
        assert {model.id async for model in messages.models.list()} >= {"echo", "stall"}
