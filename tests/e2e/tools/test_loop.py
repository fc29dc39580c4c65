"""An employee plans, acts, looks at what came of it, and answers."""

import re
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from tests.e2e.streams.runs import stored_events
from tests.e2e.streams.store import calls_of
from tests.e2e.streams.talk import VENDORS, Vendor, check_stream
from tests.e2e.tools.shelves import journal, stock
from tests.e2e.tools.work import SHOP, Office, continued, finished, results_shown, wants, wish
from tests.support.upstream import says

pytestmark = pytest.mark.slow

ANSWER = ("Заказ 1042", " is on its way — 🚚.")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_model_is_asked_again_with_what_came_of_its_calls(office: Office, vendor: Vendor) -> None:
    """S3-15: observations go back to the model, and an answer without calls ends the planning."""
    conversation = await office.hire(*SHOP, vendor=vendor)
    await stock(office.server, conversation.tenant_id, o1042="shipped")
    looks = [wish("get_order_status", order_id="1042"), wish("get_tracking_info", order_id="#1042")]
    office.upstream.enqueue(wants(looks[0]), wants(looks[1]), says(*ANSWER))
    answer = check_stream((await office.client.ask(conversation.id, "Where is my order?")).frames)
    assert (answer.end["status"], answer.text) == ("completed", "".join(ANSWER))
    shown = [[result.call for result in results_shown(request)] for request in office.upstream.requests]
    assert shown == [[], [looks[0].id], [looks[0].id, looks[1].id]]
    assert finished(answer)[0][1]["status"] == "shipped"
    assert '"shipped"' in results_shown(office.upstream.requests[1])[0].text
    booked = await calls_of(office.server, answer.start["run_id"])
    assert [(call.step, call.outcome) for call in booked] == [(1, "completed"), (2, "completed"), (3, "completed")]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_only_the_tools_of_the_employee_are_offered(office: Office, vendor: Vendor) -> None:
    conversation = await office.hire("calculate", "get_order_status", vendor=vendor)
    office.upstream.enqueue(says("Hello."))
    await office.client.ask(conversation.id, "Hello")
    offered = office.upstream.requests[0].body["tools"]
    names = [tool["function"]["name"] if vendor == "openai" else tool["name"] for tool in offered]
    assert sorted(names) == ["calculate", "get_order_status"]


async def test_stages_and_bytes(office: Office) -> None:
    """S3-3, S3-5, S3-6, S3-7, S3-8, as far as they are not about other names of the same things."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1042="shipped")
    office.upstream.enqueue(wants(wish("get_order_status", order_id="1042")), says(*ANSWER))
    async with await office.client.stream(conversation.id, "Где мой заказ?") as stream:
        frames = await stream.rest()
    body = b"".join(frame.raw for frame in stream.seen)
    assert b"\r" not in body
    assert "Заказ 1042".encode() in body, "text is not escaped"
    assert re.match(rb"(: connected\n)?id: \S+\nevent: message_start\ndata: \{", body)
    assert all(line.startswith((b"id: ", b"event: ", b"data: ", b":")) for line in body.split(b"\n") if line)
    ids = frames[0].json
    assert (ids["conversation_id"], frames[0].id) == (str(conversation.id), f"{ids['run_id']}:1-1")
    types = [frame.json["type"] for frame in frames]
    stages = {at: frame.json["stage"] for at, frame in enumerate(frames) if frame.event == "runtime_status"}
    assert list(stages.values()) == ["planning", "running_tool", "planning", "answering"]
    planning, running, *_ = stages
    assert planning < types.index("tool_call_started") < running < types.index("tool_call_finished")
    assert types.index("tool_call_finished") < types.index("token")
    assert frames[types.index("tool_call_finished")].json["result"]["status"] == "shipped"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_three_tools_in_one_turn(office: Office, vendor: Vendor) -> None:
    """S1-5, S1-7, S1-9, S1-11: one entry per call, in the order of the calls; a failure has an error and no result."""
    conversation = await office.hire(*SHOP, "calculate", vendor=vendor)
    await stock(office.server, conversation.tenant_id, o1042="shipped")
    wishes = (
        wish("get_order_status", order_id="1042"),
        wish("get_order_status", order_id="7"),
        wish("calculate", expression="6 * 7"),
    )
    before, after = ("Let me ", "look. "), ("Well:", " 42.")
    office.upstream.enqueue(wants(*wishes, say=before), says(*after))
    answer = check_stream((await office.client.ask(conversation.id, "Three things, please")).frames)

    ids = [one.id for one in wishes]
    assert [call["tool_call_id"] for call in answer.of("tool_call_started")] == ids
    assert [call["tool_call_id"] for call in answer.of("tool_call_finished")] == ids
    assert [call["args"] for call in answer.of("tool_call_finished")] == [one.args for one in wishes]
    log = answer.end["tool_log"]
    assert [(entry["tool_call_id"], entry["name"], entry["args"]) for entry in log] == [
        (one.id, one.tool, one.args) for one in wishes
    ]
    assert [entry["error"] for entry in log] == [None, "order_not_found", None]
    assert [entry["result"] is None for entry in log] == [False, True, False]
    assert "42" in str(log[2]["result"])
    for frame, entry in zip(answer.of("tool_call_finished"), log, strict=True):
        assert {name: frame[name] for name in ("result", "error", "args")} == {
            name: entry[name] for name in ("result", "error", "args")
        }
    assert answer.text == "".join((*before, *after))
    _, stored = await office.client.messages(conversation.id)
    assert stored.content == answer.text
    assert msgspec.to_builtins(list(stored.tool_log)) == log
    assert answer.end["text_sha256"] == sha256(answer.text.encode()).hexdigest()
    assert await journal(office.server, answer.start["run_id"]) == [
        ("get_order_status", "succeeded", None),
        ("get_order_status", "failed", "order_not_found"),
        ("calculate", "succeeded", None),
    ]
    shown = results_shown(office.upstream.requests[1])
    assert [result.call for result in shown] == ids
    assert "order_not_found" in shown[1].text or "no order" in shown[1].text


async def test_text_before_between_and_after_tools_adds_up(office: Office) -> None:
    """S1-11, over three steps and with an empty piece; also as the canonical events have it."""
    conversation = await office.hire("calculate")
    office.upstream.enqueue(
        wants(wish("calculate", expression="1+1"), say=("First", ", ")),
        wants(wish("calculate", expression="2+2"), wish("calculate", expression="3+3"), say=("", "sécond ", "— ")),
        says("third", "."),
    )
    answer = check_stream((await office.client.ask(conversation.id, "Count")).frames)
    assert answer.text == "First, sécond — third."
    _, stored = await office.client.messages(conversation.id)
    assert stored.content == answer.text
    events = await stored_events(office.client, answer.start["run_id"])
    assert "".join(event["delta"] for event in events if event["type"] == "text.delta") == answer.text
    assert [event["tool_call_id"] for event in events if event["type"] == "tool_call.finished"] == [
        entry["tool_call_id"] for entry in answer.end["tool_log"]
    ]
    assert len(answer.end["tool_log"]) == 3


async def test_wrong_arguments_and_unknown_tools_are_mended_by_the_model(office: Office) -> None:
    conversation = await office.hire("calculate")
    wrong = (
        wish("calculate", {"expression": 7}),
        wish("calculate", {"expression": "1", "more": True}),
        wish("calculate", "no json at all"),
        wish("shell_exec_safe", command="id"),
    )
    office.upstream.enqueue(wants(*wrong), wants(wish("calculate", expression="2+2")), says("Four."))
    answer = check_stream((await office.client.ask(conversation.id, "Count")).frames)
    errors = [error for _, _, error in finished(answer)]
    assert errors == ["invalid_arguments"] * 3 + ["tool_unavailable", None]
    assert answer.end["status"] == "completed"
    assert [call["tool"] for call in answer.of("tool_call_started")] == [one.tool for one in wrong] + ["calculate"]


async def test_the_same_failing_call_is_stopped(office: Office) -> None:
    """It is tried three times; after that the model is told to do something else."""
    conversation = await office.hire(*SHOP)
    asked: list[Any] = [wants(wish("get_order_status", order_id="7")) for _ in range(4)]
    office.upstream.enqueue(*asked, says("I give up."))
    answer = check_stream((await office.client.ask(conversation.id, "Where is 7?")).frames)
    assert [error for _, _, error in finished(answer)] == ["order_not_found"] * 3 + ["repeated_failure"]
    assert (answer.end["status"], answer.text) == ("completed", "I give up.")


async def test_a_pause_keeps_what_was_said_and_done_before(office: Office) -> None:
    """S1-9 and S1-11 over a pause: one answer under one id, its deltas and its tool log in one piece."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    look, cancel = wish("get_order_status", order_id="1043"), wish("cancel_order", order_id="1043")
    office.upstream.enqueue(wants(look, cancel, say=("One", " moment. ")), says("Done", "."))
    first = await office.client.ask(conversation.id, "Cancel 1043")
    assert (first.end["status"], first.end["finish_reason"]) == ("waiting_for_approval", "waiting")
    assert [entry["name"] for entry in first.end["tool_log"]] == ["get_order_status"]
    [question, waiting] = await office.client.messages(conversation.id)
    assert (question.status.value, waiting.status.value, waiting.content) == ("completed", "waiting", "One moment. ")

    rest = await continued(office.client, first.end["run_id"], first.end["approval_ids"][0], approved=True)
    assert first.text + rest.text == "One moment. Done."
    assert rest.end["message_id"] == first.start["message_id"] == str(waiting.id)
    assert [entry["tool_call_id"] for entry in rest.end["tool_log"]] == [look.id, cancel.id]
    assert rest.end["text_sha256"] == sha256(b"One moment. Done.").hexdigest()
    _, stored = await office.client.messages(conversation.id)
    assert (stored.id, stored.status.value, stored.content) == (waiting.id, "completed", "One moment. Done.")
