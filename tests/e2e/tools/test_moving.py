"""A run that waits goes on at whichever model provider its tenant has by then."""

from typing import Any

import pytest

from tests.e2e.streams.talk import KEY
from tests.e2e.tools.work import SHOP, Office, Pause, allow, continued, paused
from tests.support.upstream import Reasoning, Redacted, Scenario, Signature, Text, Tool, says

pytestmark = pytest.mark.slow

COUPON = '{"discount_percent": 10}'
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
MORE_THOUGHTS = [{"type": "redacted_thinking", "data": "c2VhbGVk"}, THOUGHT | {"thinking": "so"}]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def use(call_id: str, name: str = "generate_coupon", **args: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": args}


async def went_on(office: Office, stop: Pause) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The body of the request with which an allowed run goes on, and its messages after the user's."""
    office.upstream.enqueue(says("Done."))
    await allow(office.client, stop.approval)
    assert (await continued(office.client, stop.run, stop.approval)).end["status"] == "completed"
    body = office.upstream.requests[-1].body
    return body, [message for message in body["messages"] if message["role"] != "system"][1:]


async def thoughtful_pause(office: Office) -> tuple[Any, Pause]:
    conversation = await office.hire(*SHOP, vendor="anthropic")
    pieces = (
        *(Reasoning("hm"), Signature("c2ln"), Text("One"), Text(" coupon.")),
        *(Redacted("c2VhbGVk"), Reasoning("so"), Signature("c2ln")),
        *(Tool(COUPON, id="toolu_1", name="generate_coupon"), Text("Is that right?")),
    )
    office.upstream.enqueue(Scenario(pieces=pieces, finish="tool_calls"))
    return conversation, paused(await office.client.ask(conversation.id, "A coupon, please."))


async def test_an_interleaved_turn_goes_back_as_it_came(office: Office) -> None:
    _, stop = await thoughtful_pause(office)
    _, (answer, _) = await went_on(office, stop)
    assert answer["content"] == [
        THOUGHT,
        text("One coupon."),
        *MORE_THOUGHTS,
        use("toolu_1", discount_percent=10),
        text("Is that right?"),
    ]


async def test_thinking_stays_with_the_server_that_signed_it(office: Office) -> None:
    conversation, stop = await thoughtful_pause(office)
    elsewhere = office.upstream.anthropic_url + "/elsewhere"
    await office.client.configure(
        conversation.tenant_id, "anthropic", "echo", llm_base_url=elsewhere, llm_api_key=KEY, reasoning="on"
    )
    body, (answer, _) = await went_on(office, stop)
    assert answer["content"] == [text("One coupon.Is that right?"), use("toolu_1", discount_percent=10)]
    assert "thinking" not in body


async def test_from_a_compatible_server_to_the_other_vendor(office: Office) -> None:
    conversation = await office.hire(*SHOP, vendor="openai")
    odd, coupon = "functions.look:0", "functions.generate_coupon:1 " + "x" * 100
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    pieces = (
        Tool("{}", id=odd, name="functions.look", index=0),
        Tool(COUPON, id=coupon, name="generate_coupon", index=1, extra=extra),
    )
    office.upstream.enqueue(Scenario(pieces=pieces, finish="tool_calls"))
    stop = paused(await office.client.ask(conversation.id, "A coupon, please."))
    await office.client.configure(
        conversation.tenant_id, "anthropic", "echo", llm_base_url=office.upstream.anthropic_url, llm_api_key=KEY
    )
    _, (answer, told) = await went_on(office, stop)
    first, second = (block["id"] for block in answer["content"])
    assert answer["content"] == [use(first, "functions_look"), use(second, discount_percent=10)]
    assert [block["tool_use_id"] for block in told["content"]] == [first, second]
    assert all(call_id.replace("_", "").isalnum() and len(call_id) <= 40 for call_id in (first, second))
