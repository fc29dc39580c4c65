"""A run that waits is in no process: it goes on wherever somebody decides, at whichever replica."""

import asyncio

import pytest

from tests.e2e.streams.runs import events_of, follow, place_told, stored_events
from tests.e2e.streams.talk import VENDORS, Vendor
from tests.e2e.tools.passwords import asked_for_password, found_in
from tests.e2e.tools.shelves import age_approval, coupons, order, stock
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import (
    SHOP,
    Office,
    allow,
    continued,
    decide,
    finished,
    pause,
    paused,
    pending,
    results_shown,
    wish,
    with_password,
)
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 10}
Offices = tuple[Office, Office]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_decided_at_another_replica(offices: Offices, vendor: Vendor) -> None:
    """Asked here, decided there, followed at both; the model is asked once more and not to plan again."""
    here, there = offices
    conversation = await here.hire(*SHOP, vendor=vendor)
    await stock(here.server, conversation.tenant_id, o1043="processing")
    cancel = wish("cancel_order", order_id="1043")
    async with await follow(there.client, events_of(conversation)) as stream:
        await place_told(stream)
        stop = await pause(here, conversation, cancel)
        assert [one["approval_id"] for one in await pending(there.client, conversation.tenant_id)] == [stop.approval]
        here.upstream.enqueue(says("Done."))
        await allow(there.client, stop.approval)
        rests = await asyncio.gather(
            continued(here.client, stop.run, stop.approval), continued(there.client, stop.run, stop.approval)
        )
        await stream.until("message_end")
        assert (await stream.until("message_end")).json["status"] == "completed"
    assert [frame.id for frame in rests[0].frames] == [frame.id for frame in rests[1].frames]
    assert finished(rests[0])[0][1]["status"] == "cancelled"
    assert await order(here.server, conversation.tenant_id, "1043") == ("cancelled", 0)
    assert [result.call for result in results_shown(here.upstream.requests[1])] == [cancel.id]
    assert here.times_asked == 2


async def test_two_approvals_at_two_replicas(offices: Offices) -> None:
    """One after the other, each at another replica, each followed at the one that did not decide."""
    here, there = offices
    conversation = await here.hire(*SHOP)
    stop = await pause(here, conversation, wish("generate_coupon", COUPON), wish("generate_coupon", COUPON))
    first, second = stop.approvals
    await allow(there.client, first)
    again = paused(await continued(here.client, stop.run, first))
    assert again.approvals == (second,)
    here.upstream.enqueue(says("Two."))
    await allow(here.client, second)
    rest = await continued(there.client, stop.run, second)
    assert rest.end["status"] == "completed"
    assert len(await coupons(here.server, conversation.tenant_id)) == 2


async def test_a_password_at_another_replica(offices: Offices, sudo: FakeSudo) -> None:
    """It is used in the process that it was given to, and the run goes on there."""
    here, there = offices
    conversation = await here.hire("shell_exec_safe")
    stop = await asked_for_password(here, conversation, "sudo echo over-there")
    here.upstream.enqueue(says("Done."))
    secret = sudo.password()
    async with await follow(here.client, events_of(conversation)) as stream:
        rest = await with_password(there.client, stop.run, stop.approval, secret)
        while (await stream.until("message_end")).json["status"] != "completed":
            pass
    assert finished(rest)[0][1]["stdout"] == "over-there\n"
    assert sudo.seen("over-there")[-1].line == f"{secret}\n"
    for office in offices:
        assert found_in(office.server.output, [secret]) == []


async def test_expired_at_one_replica_is_expired_at_the_other(offices: Offices) -> None:
    """Two sweepers, one end: it is told once, to the followers of both."""
    here, there = offices
    conversation = await here.hire(*SHOP)
    async with await follow(there.client, events_of(conversation)) as stream:
        await place_told(stream)
        stop = await pause(here, conversation, wish("generate_coupon", COUPON))
        await age_approval(here.server, stop.approval)
        await stream.until("tool_approval_expired")
        assert (await stream.until("message_end")).json["status"] == "expired"
    for office in offices:
        (await decide(office.client, stop.approval)).problem(409, "approval_expired")
    types = [event["type"] for event in await stored_events(there.client, stop.run)]
    assert types.count("approval.expired") == types.count("run.expired") == 1
