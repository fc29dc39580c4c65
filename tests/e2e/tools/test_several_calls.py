"""Several calls of one request that somebody has to decide about: in order, each for itself."""

import pytest

from tests.e2e.streams.runs import run_of
from tests.e2e.tools.shelves import coupons, order, stock
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
    paused,
    pending,
    refused,
    results_shown,
    wish,
)
from tests.support.upstream import says

pytestmark = pytest.mark.slow


async def test_the_second_write_keeps_its_approval(office: Office) -> None:
    """G4-5: two writes in one request are decided one by one, and what reads stands in its place between them."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    cancel, look = wish("cancel_order", order_id="1043"), wish("get_order_status", order_id="1043")
    coupon = wish("generate_coupon", discount_percent=15)
    stop = await pause(office, conversation, cancel, look, coupon)
    assert [one["tool_call_id"] for one in stop.answer.of("tool_approval_requested")] == [cancel.id, coupon.id]
    assert [one["approval_id"] for one in await pending(office.client, conversation.tenant_id)] == list(stop.approvals)
    first, second = stop.approvals

    after_first = paused(await continued(office.client, stop.run, first, approved=True))
    assert [(tool, result["status"]) for tool, result, _ in finished(after_first.answer)] == [
        ("cancel_order", "cancelled"),
        ("get_order_status", "cancelled"),
    ]
    assert after_first.approvals == (second,)
    assert not after_first.answer.of("tool_approval_requested"), "it was asked for before"
    assert await coupons(office.server, conversation.tenant_id) == []
    assert office.times_asked == 1

    office.upstream.enqueue(says("Both done."))
    rest = await continued(office.client, stop.run, second, approved=True)
    [(tool, result, _)] = finished(rest)
    assert (tool, result["status"], rest.end["status"]) == ("generate_coupon", "generated", "completed")
    assert [code for code, _ in await coupons(office.server, conversation.tenant_id)] == [result["code"]]
    assert [entry["tool_call_id"] for entry in rest.end["tool_log"]] == [cancel.id, look.id, coupon.id]
    assert office.times_asked == 2


async def test_decided_in_another_order(office: Office) -> None:
    """U-D7: a yes to the second call does not let it pass before the first."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    cancel, coupon = wish("cancel_order", order_id="1043"), wish("generate_coupon", discount_percent=15)
    stop = await pause(office, conversation, cancel, coupon)
    first, second = stop.approvals
    await allow(office.client, second)
    assert (await run_of(office.client, stop.run)).status == "waiting"
    assert await coupons(office.server, conversation.tenant_id) == []
    office.upstream.enqueue(says("Both done."))
    rest = await continued(office.client, stop.run, first, approved=True)
    assert [tool for tool, _, error in finished(rest) if error is None] == ["cancel_order", "generate_coupon"]
    assert rest.end["status"] == "completed"
    assert office.times_asked == 2


async def test_a_denial_skips_the_rest(office: Office) -> None:
    """S4-53: what comes after it in the same request is not done, reads included, and the model is told."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1043="processing")
    wishes = (
        wish("get_order_status", order_id="1043"),
        wish("cancel_order", order_id="1043"),
        wish("get_tracking_info", order_id="1043"),
        wish("generate_coupon", discount_percent=15),
    )
    stop = await pause(office, conversation, *wishes)
    assert finished(stop.answer)[0][0] == "get_order_status"
    first, second = stop.approvals
    office.upstream.enqueue(says("So be it."))
    rest = await continued(office.client, stop.run, first, approved=False)
    assert [(tool, error) for tool, _, error in finished(rest)] == [
        ("cancel_order", "denied"),
        ("get_tracking_info", "skipped"),
        ("generate_coupon", "skipped"),
    ]
    assert [result.call for result in results_shown(office.upstream.requests[1])] == [one.id for one in wishes]
    assert rest.end["status"] == "completed"
    assert (await approval_of(office.client, second))["status"] == "superseded"
    (await decide(office.client, second)).problem(409, "approval_superseded")
    await refused(await open_continue(office.client, stop.run, second), 409, "approval_superseded")
    assert await pending(office.client, conversation.tenant_id) == []
    assert await order(office.server, conversation.tenant_id, "1043") == ("processing", 0)
    assert await coupons(office.server, conversation.tenant_id) == []
