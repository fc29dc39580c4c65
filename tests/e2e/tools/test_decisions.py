"""Approve, reject, and what a decision is not: over HTTP, with real rows behind the tools."""

from typing import Any

import msgspec
import pytest

from tests.e2e.streams.runs import run_of, stored_events
from tests.e2e.streams.talk import VENDORS, Vendor
from tests.e2e.tools.shelves import coupons, journal, order, stock
from tests.e2e.tools.work import (
    SHOP,
    Office,
    allow,
    approval_of,
    continued,
    decide,
    finished,
    open_continue,
    pause,
    pending,
    refused,
    results_shown,
    wants,
    wish,
)
from tests.support.upstream import says

pytestmark = pytest.mark.slow

WHY = "Ещё нет: not before noon."


@pytest.mark.parametrize("vendor", VENDORS)
async def test_approve(office: Office, vendor: Vendor) -> None:
    """S4-37, S3-22…S3-25: asked for, listed, allowed, carried out without another plan, and answered."""
    conversation = await office.hire(*SHOP, vendor=vendor)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    cancel = wish("cancel_order", order_id="1043")
    stop = await pause(office, conversation, cancel)
    [asked] = stop.answer.of("tool_approval_requested")
    assert (asked["tool"], asked["args"], asked["risk_level"]) == ("cancel_order", {"order_id": "1043"}, "medium")
    assert asked["message"] == "Cancel order 1043?"
    assert "Grace" in asked["reason"]
    assert "Teapot" in asked["reason"]
    assert asked["approval_id"] == stop.approval
    assert stop.answer.types[-1] == "message_end"
    assert not stop.answer.of("tool_call_finished")

    [listed] = await pending(office.client, conversation.tenant_id)
    assert listed["approval_id"] == stop.approval
    assert listed["task_id"] == listed["run_id"] == stop.run
    assert (listed["tool"], listed["args"], listed["status"]) == ("cancel_order", {"order_id": "1043"}, "pending")
    assert (await run_of(office.client, stop.run)).waiting_for == "approval"
    assert await order(office.server, conversation.tenant_id, "1043") == ("processing", 0)

    office.upstream.enqueue(says("It is", " cancelled."))
    decided = await allow(office.client, stop.approval)
    assert (decided["decided_by"], decided["comment"]) == ("operator", None)
    rest = await continued(office.client, stop.run, stop.approval)
    assert rest.types[:2] == ["attempt_started", "tool_approval_decided"]
    [said] = rest.of("tool_approval_decided")
    assert (said["approval_id"], said["decision"], said["decided_by"]) == (stop.approval, "allow_once", "operator")
    [(tool, result, error)] = finished(rest)
    assert (tool, result["status"], error) == ("cancel_order", "cancelled", None)
    assert (rest.end["status"], rest.text) == ("completed", "It is cancelled.")
    assert await order(office.server, conversation.tenant_id, "1043") == ("cancelled", 0)
    assert office.times_asked == 2, "one call to plan, one to answer"
    assert [result.call for result in results_shown(office.upstream.requests[1])] == [cancel.id]
    assert await pending(office.client, conversation.tenant_id) == []


@pytest.mark.parametrize("vendor", VENDORS)
async def test_reject(office: Office, vendor: Vendor) -> None:
    """S4-37: the employee is told, with the comment, and explains; nothing was done."""
    conversation = await office.hire(*SHOP, vendor=vendor)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    stop = await pause(office, conversation, wish("cancel_order", order_id="1043"))
    office.upstream.enqueue(says("I may not do that."))
    decided = (await decide(office.client, stop.approval, "deny", WHY)).expect(200).json
    assert (decided["status"], decided["decision"], decided["comment"]) == ("denied", "deny", WHY)
    rest = await continued(office.client, stop.run, stop.approval)
    assert finished(rest) == [("cancel_order", None, "denied")]
    assert (rest.end["status"], rest.text) == ("completed", "I may not do that.")
    assert WHY in results_shown(office.upstream.requests[1])[0].text
    assert await order(office.server, conversation.tenant_id, "1043") == ("processing", 0)
    assert await journal(office.server, stop.run) == [("cancel_order", "denied", "denied")]
    assert (await office.client.messages(conversation.id))[1].status.value == "completed"


FORMS: list[tuple[Any, str]] = [
    (True, "allow_once"),
    (False, "deny"),
    ({"approved": True}, "allow_once"),
    ({"approved": False}, "deny"),
    ({}, "deny"),
    ({"approved": True, "comment": "Fine."}, "allow_once"),
]


@pytest.mark.parametrize(("body", "decision"), FORMS, ids=str)
async def test_forms_of_a_decision(office: Office, body: Any, decision: str) -> None:
    """S4-18, S4-44: a bare boolean or an object; what does not say yes is a no."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    office.upstream.enqueue(says("Well."))
    decided = (await office.client.post(f"/approvals/{stop.approval}/decision", body)).expect(200).json
    assert decided["decision"] == decision
    assert (await continued(office.client, stop.run, stop.approval)).end["status"] == "completed"
    made = await coupons(office.server, conversation.tenant_id)
    assert [percent for _, percent in made] == ([10] if decision == "allow_once" else [])


NO_DECISIONS = [
    b'"false"', b'"true"', b"0", b"1", b"null", b'"yes"', b"[true]", b"[]", b'{"approved": "false"}',
    b'{"approved": "true"}', b'{"approved": 1}', b'{"approved": null}', b'{"approved": [true]}',
    b'{"Approved": true}', b'{"approve": true}', b'{"approved": true, "x": 1}',
]  # fmt: skip


async def test_what_is_no_decision_decides_nothing(office: Office) -> None:
    """G4-3: the text "false" was taken for a yes elsewhere."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    for body in NO_DECISIONS:
        answer = await office.client.call("POST", f"/approvals/{stop.approval}/decision", raw=body)
        answer.problem(422, "decision_not_boolean")
        if body.startswith(b'{"approved"') and b'"x"' not in body:
            path = f"/runs/{stop.run}/continue/stream"
            raw = b'{"approval_id": "%b", ' % stop.approval.encode() + body[1:]
            (await office.client.call("POST", path, raw=raw)).problem(422, "decision_not_boolean")
    (await office.client.call("POST", f"/approvals/{stop.approval}/decision", raw=b"{tru")).expect(400)
    (await office.client.call("POST", f"/approvals/{stop.approval}/decision")).expect(400)
    assert (await approval_of(office.client, stop.approval))["status"] == "pending"
    assert office.times_asked == 1
    assert await coupons(office.server, conversation.tenant_id) == []


async def test_nothing_goes_on_without_a_decision(office: Office) -> None:
    """G3-3, G4-2: continue without a decision, with somebody else's approval, with one that there is not."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    other = await office.hire(*SHOP)
    foreign = await pause(office, other, wish("generate_coupon", discount_percent=20))
    await refused(await open_continue(office.client, stop.run, stop.approval), 409, "approval_pending")
    await allow_and_wait(office, foreign.run, foreign.approval)
    await refused(await open_continue(office.client, stop.run, foreign.approval), 404, "not_found")
    await refused(await open_continue(office.client, stop.run, foreign.approval, approved=True), 404, "not_found")
    await refused(await open_continue(office.client, stop.run, stop.run), 404, "not_found")
    (await decide(office.client, stop.run)).problem(404, "not_found")
    assert await coupons(office.server, conversation.tenant_id) == []
    assert (await run_of(office.client, stop.run)).status == "waiting"


async def allow_and_wait(office: Office, run: str, approval: str) -> None:
    office.upstream.enqueue(says("Done."))
    rest = await continued(office.client, run, approval, approved=True)
    assert rest.end["status"] == "completed"


async def test_a_decision_is_final(office: Office) -> None:
    """G3-3: neither twice nor the other way round, whoever asks, and nothing runs twice."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    office.upstream.enqueue(says("Done."))
    await allow(office.client, stop.approval)
    for how in ("allow_once", "deny", "allow_for_conversation"):
        (await decide(office.client, stop.approval, how)).problem(409, "approval_decided")
    (await office.client.post(f"/approvals/{stop.approval}/decision", False)).problem(409, "approval_decided")
    first = await continued(office.client, stop.run, stop.approval)
    again = await continued(office.client, stop.run, stop.approval)
    assert [frame.raw.partition(b"id: ")[2] for frame in again.frames] == [
        frame.raw.partition(b"id: ")[2] for frame in first.frames
    ]
    await refused(await open_continue(office.client, stop.run, stop.approval, approved=False), 409, "approval_decided")
    assert len(await coupons(office.server, conversation.tenant_id)) == 1
    assert office.times_asked == 2


async def test_allowed_for_the_conversation(office: Office) -> None:
    """It covers the same tool, also in later messages, and neither another tool nor another conversation."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=1))
    office.upstream.enqueue(wants(wish("generate_coupon", discount_percent=2)), says("Two."))
    (await decide(office.client, stop.approval, "allow_for_conversation")).expect(200)
    rest = await continued(office.client, stop.run, stop.approval)
    assert (rest.end["status"], len(finished(rest))) == ("completed", 2)
    office.upstream.enqueue(wants(wish("generate_coupon", discount_percent=3)), says("Three."))
    assert (await office.client.ask(conversation.id, "Another")).end["status"] == "completed"
    assert sorted(percent for _, percent in await coupons(office.server, conversation.tenant_id)) == [1, 2, 3]

    await pause(office, conversation, wish("cancel_order", order_id="1043"))
    neighbour = await office.client.create_conversation(conversation.tenant_id, conversation.employee_id)
    await pause(office, neighbour, wish("generate_coupon", discount_percent=4))


async def test_an_employee_who_may_only_read(office: Office) -> None:
    """S4-52: nobody is asked; and a tool that it was not given is none."""
    conversation = await office.hire("get_order_status", "cancel_order", permission="read")
    await stock(office.server, conversation.tenant_id, o1043="processing")
    office.upstream.enqueue(
        wants(wish("cancel_order", order_id="1043"), wish("generate_coupon", discount_percent=9)), says("No.")
    )
    answer = await office.client.ask(conversation.id, "Cancel it")
    assert [(tool, error) for tool, _, error in finished(answer)] == [
        ("cancel_order", "not_permitted"),
        ("generate_coupon", "tool_unavailable"),
    ]
    assert answer.end["status"] == "completed"
    assert await order(office.server, conversation.tenant_id, "1043") == ("processing", 0)


async def test_what_is_asked_for_without_streaming(office: Office) -> None:
    """`respond` answers 202 with the questions; decided, it can be read."""
    conversation = await office.hire(*SHOP)
    office.upstream.enqueue(wants(wish("generate_coupon", discount_percent=10)), says("Here it is."))
    answer = (await office.client.post_message(conversation.id, "A coupon", respond=True)).expect(202).json
    assert answer["status"] == "waiting_for_approval"
    [asked] = answer["approvals"]
    assert (asked["status"], asked["run_id"]) == ("pending", answer["run_id"])
    await allow(office.client, asked["approval_id"])
    rest = await continued(office.client, answer["run_id"], asked["approval_id"])
    assert rest.text == "Here it is."


async def test_everything_about_a_decision_is_in_the_audit(office: Office) -> None:
    """G4-15: who decided; and the chain holds."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    office.upstream.enqueue(says("Done."))
    await continued(office.client, stop.run, stop.approval, approved=True)
    query = f"tenant_id={conversation.tenant_id}"
    entries = (await office.client.get(f"/audit?{query}&object_id={stop.approval}")).expect(200).json
    actions = [(entry["action"], entry["actor"]) for entry in reversed(entries)]
    assert actions == [
        ("approval.requested", f"employee:{conversation.employee_id}"),
        ("approval.decided", "operator"),
    ]
    decided = next(entry for entry in entries if entry["action"] == "approval.decided")
    assert decided["payload"]["decision"] == "allow_once"
    assert decided["request_id"]
    verdict = (await office.client.get(f"/audit/verify?{query}")).expect(200).json
    assert verdict["is_valid"]
    newest = (await office.client.get(f"/audit?{query}&limit=1")).expect(200).json[0]
    assert verdict["head"] == newest["hash"]


async def test_canonical_events_tell_the_same(office: Office) -> None:
    """The other protocol, over the pause: every event in one log, the pause in its middle."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=10))
    office.upstream.enqueue(says("Done."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True, protocol="events")
    stored = await stored_events(office.client, stop.run)
    types = [event["type"] for event in stored]
    middle = types.index("run.paused")
    assert types[middle - 2 : middle] == ["approval.requested", "status.changed"]
    assert types[middle + 1] == "attempt.started"
    assert "approval.decided" in types[middle + 1 : middle + 4]
    assert types[-1] == "run.completed"
    assert [frame.json for frame in rest.frames] == stored[middle + 1 :]
    assert stored[middle + 1]["discard_after"] == stored[middle]["id"]
    assert msgspec.json.encode(stored).count(b'"run.completed"') == 1
