"""The demo shop's tools work on real rows of the tenant's own shop: S4-43 and its bounds."""

import re
from typing import Any

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.tools.shelves import coupons, order, stock
from tests.e2e.tools.work import SHOP, Office, Wish, continued, finished, pause, wants, wish
from tests.support.upstream import says

pytestmark = pytest.mark.slow


async def done(office: Office, conversation: Conversation, *wishes: Wish) -> list[tuple[Any, str | None]]:
    """Results and errors of calls that somebody allows, one after the other."""
    stop = await pause(office, conversation, *wishes)
    for approval in stop.approvals[:-1]:
        await continued(office.client, stop.run, approval, approved=True)
    office.upstream.enqueue(says("Done."))
    rest = await continued(office.client, stop.run, stop.approvals[-1], approved=True)
    return [(entry["result"], entry["error"]) for entry in rest.end["tool_log"]]


async def refused_at_once(office: Office, conversation: Conversation, *wishes: Wish) -> list[str | None]:
    """Errors of calls that nobody is asked about."""
    office.upstream.enqueue(wants(*wishes), says("No."))
    answer = await office.client.ask(conversation.id, "Please.")
    assert answer.end["status"] == "completed"
    return [error for _, _, error in finished(answer)]


async def test_cancel_order(office: Office) -> None:
    """Once; what has left the house is declined, and what was cancelled stays so."""
    conversation = await office.hire(*SHOP)
    tenant = conversation.tenant_id
    await stock(office.server, tenant, o1="processing", o2="shipped", o3="delivered", o4="cancelled")
    results = await done(
        office, conversation, *(wish("cancel_order", order_id=number) for number in ("1", "#2", "3", " 4 "))
    )
    assert [result["status"] for result, _ in results] == ["cancelled", "declined", "declined", "cancelled"]
    statuses = [(await order(office.server, tenant, number)).status for number in "1234"]
    assert statuses == ["cancelled", "shipped", "delivered", "cancelled"]


async def test_apply_discount(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    tenant = conversation.tenant_id
    await stock(office.server, tenant, o1="processing", o2="delivered")
    wishes = [wish("apply_discount", order_id="1", discount_percent=percent) for percent in (1, 100, 50)]
    wishes.append(wish("apply_discount", order_id="2", discount_percent=10))
    results = await done(office, conversation, *wishes)
    assert [result["status"] for result, _ in results] == ["applied", "applied", "declined", "declined"]
    assert results[1][0]["total_due"] == "0.00 EUR"
    assert [(await order(office.server, tenant, number)).discount_percent for number in "12"] == [100, 0]


async def test_generate_coupon(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    results = await done(
        office,
        conversation,
        wish("generate_coupon", discount_percent=1),
        wish("generate_coupon", discount_percent=100, expiry_days=1),
    )
    codes = [result["code"] for result, _ in results]
    assert [result["status"] for result, _ in results] == ["generated", "generated"]
    for code, percent in zip(codes, (1, 100), strict=True):
        assert re.fullmatch(rf"SAVE{percent}-[0-9A-F]{{8}}", code)
    made = await coupons(office.server, conversation.tenant_id)
    assert sorted(made) == sorted(zip(codes, (1, 100), strict=True))


async def test_bounds(office: Office) -> None:
    """Outside of them nobody is asked, and nothing happens."""
    conversation = await office.hire(*SHOP)
    await stock(office.server, conversation.tenant_id, o1="processing")
    wrong = [
        *(wish("generate_coupon", discount_percent=percent) for percent in (0, 101, -5, 10.5, "10")),
        wish("generate_coupon", discount_percent=10, expiry_days=0),
        wish("generate_coupon", {}),
        *(wish("apply_discount", order_id="1", discount_percent=percent) for percent in (0, 101)),
        wish("cancel_order", order_id=""),
    ]
    assert await refused_at_once(office, conversation, *wrong) == ["invalid_arguments"] * len(wrong)
    assert await coupons(office.server, conversation.tenant_id) == []
    assert await order(office.server, conversation.tenant_id, "1") == ("processing", 0)


async def test_another_tenants_order(office: Office) -> None:
    """The same number is another order there."""
    mine, theirs = await office.hire(*SHOP), await office.hire(*SHOP)
    await stock(office.server, theirs.tenant_id, o1043="processing")
    errors = await refused_at_once(
        office, mine, wish("cancel_order", order_id="1043"), wish("get_order_status", order_id="1043")
    )
    assert errors == ["order_not_found"] * 2
    assert await order(office.server, theirs.tenant_id, "1043") == ("processing", 0)


async def test_the_way_out(office: Office) -> None:
    """S4-41: the fallback needs nobody's permission."""
    conversation = await office.hire("fallback_respond", permission="read")
    office.upstream.enqueue(wants(wish("fallback_respond", question="What is love?")), says("I cannot tell."))
    answer = await office.client.ask(conversation.id, "What is love?")
    assert [(tool, error) for tool, _, error in finished(answer)] == [("fallback_respond", None)]
    assert answer.end["status"] == "completed"


async def test_tools_are_described(office: Office) -> None:
    """`GET /tools` says what an employee can be given, and nobody is given what there is not."""
    listed = {tool["name"]: tool for tool in (await office.client.get("/tools")).expect(200).json}
    assert {*SHOP, "calculate", "current_time", "fetch_url", "fallback_respond"} <= listed.keys()
    assert {"file_read", "list_dir", "shell_exec_safe"} <= listed.keys()
    assert [listed[name]["effect"] for name in SHOP] == ["read", "read", "idempotent", "idempotent", "idempotent"]
    for tool in listed.values():
        assert tool["description"]
        assert tool["parameters"]["type"] == "object"
    tenant = await office.client.create_tenant()
    body = {"tenant_id": tenant.id, "name": "Ada", "role": "x", "system_prompt": "", "tools": ["rm_rf"]}
    (await office.client.post("/employees", body)).expect(422)
