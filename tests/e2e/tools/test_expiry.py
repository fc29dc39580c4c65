"""Nobody decides in time: the run ends, whoever follows it is told, and a late decision changes nothing."""

import asyncio
from typing import Any

import pytest

from tests.e2e.streams.runs import events_of, follow, place_told, run_of, stored_events
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.shelves import age_approval, coupons, journal
from tests.e2e.tools.work import (
    SHOP,
    Office,
    Pause,
    allow,
    approval_of,
    continued,
    decide,
    open_continue,
    pause,
    pending,
    refused,
    wish,
)
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 10}


async def expired(office: Office, run: str) -> dict[str, Any]:
    """The last event of a run that has expired, as soon as it has."""

    async def probe() -> dict[str, Any] | None:
        found = (await run_of(office.client, run)).status
        assert found in ("waiting", "expired")
        return (await stored_events(office.client, run))[-1] if found == "expired" else None

    return await eventually(probe)


async def check_nothing_was_done(office: Office, stop: Pause, tenant: Any) -> None:
    assert await coupons(office.server, tenant) == []
    assert office.times_asked == 1, "the model was asked again"
    assert await journal(office.server, stop.run) == [("generate_coupon", "expired", "expired")]
    assert (await approval_of(office.client, stop.approval))["status"] == "expired"
    assert await pending(office.client, tenant) == []


async def test_the_time_of_the_setting_runs_out(hasty: Office) -> None:
    """S4-38, G4-4: the sweeper tells it to who follows the conversation, and ends the run."""
    conversation = await hasty.hire(*SHOP)
    async with await follow(hasty.client, events_of(conversation)) as stream:
        await place_told(stream)
        stop = await pause(hasty, conversation, wish("generate_coupon", COUPON))
        await stream.until("tool_approval_requested")
        told = (await stream.until("tool_approval_expired")).json
        end = (await stream.until("message_end")).json
    assert (told["approval_id"], told["tool"]) == (stop.approval, "generate_coupon")
    assert (end["status"], end["run_id"]) == ("expired", stop.run)
    [entry] = end["tool_log"]
    assert (entry["name"], entry["result"], entry["error"]) == ("generate_coupon", None, "expired")
    (await decide(hasty.client, stop.approval)).problem(409, "approval_expired")
    await check_nothing_was_done(hasty, stop, conversation.tenant_id)
    stored = await hasty.client.messages(conversation.id)
    assert [message.status.value for message in stored] == ["completed", "expired"]


async def test_what_the_sweeper_says(office: Office) -> None:
    """S4-24: the text names the action, says that it has expired, and the time that there was in whole minutes."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    await age_approval(office.server, stop.approval)
    end = await expired(office, stop.run)
    told = next(event for event in await stored_events(office.client, stop.run) if event["type"] == "approval.expired")
    for part in ("generate_coupon", "expired", "30 minutes"):
        assert part in told["message"]
    assert end["type"] == "run.expired"
    for how in ("allow_once", "deny", "allow_for_conversation"):
        (await decide(office.client, stop.approval, how)).problem(409, "approval_expired")
    for fields in ({}, {"approved": True}, {"approved": False}):
        response = await open_continue(office.client, stop.run, stop.approval, **fields)
        await refused(response, 409, "approval_expired")
    await check_nothing_was_done(office, stop, conversation.tenant_id)
    query = f"tenant_id={conversation.tenant_id}&object_id={stop.run}&action=approval.expired"
    [entry] = (await office.client.get(f"/audit?{query}")).expect(200).json
    assert entry["actor"] == "system"
    (await office.client.post(f"/runs/{stop.run}/cancel")).problem(409, "run_ended")


@pytest.mark.parametrize("how", ["allow_once", "deny", "decision", "continue"])
async def test_a_late_decision(strict: Office, how: str) -> None:
    """S4-36, G4-1, G4-2: nobody has swept yet; the decision itself finds out, and the run is not resumed."""
    conversation = await strict.hire(*SHOP)
    stop = await pause(strict, conversation, wish("generate_coupon", COUPON))
    await age_approval(strict.server, stop.approval)
    assert (await run_of(strict.client, stop.run)).status == "waiting"
    if how == "continue":
        response = await open_continue(strict.client, stop.run, stop.approval, approved=True)
        await refused(response, 409, "approval_expired")
    else:
        body = True if how == "decision" else None
        (await strict.client.post(f"/approvals/{stop.approval}/{how}", body)).problem(409, "approval_expired")
    run = await run_of(strict.client, stop.run)
    assert (run.status, run.finish_reason) == ("expired", "expired")
    events = await stored_events(strict.client, stop.run)
    assert [event["type"] for event in events[-3:]] == ["approval.expired", "tool_call.finished", "run.expired"]
    await check_nothing_was_done(strict, stop, conversation.tenant_id)


async def test_expired_approvals_are_not_listed_and_cannot_be_used_before_they_are_swept(strict: Office) -> None:
    conversation = await strict.hire(*SHOP)
    stop = await pause(strict, conversation, wish("generate_coupon", COUPON))
    await age_approval(strict.server, stop.approval, seconds=1799)
    assert [one["approval_id"] for one in await pending(strict.client, conversation.tenant_id)] == [stop.approval]
    await age_approval(strict.server, stop.approval, seconds=2)
    assert await pending(strict.client, conversation.tenant_id) == []
    assert (await run_of(strict.client, stop.run)).status == "waiting"
    await refused(await open_continue(strict.client, stop.run, stop.approval), 409, "approval_expired")
    assert (await run_of(strict.client, stop.run)).status == "expired"
    assert await coupons(strict.server, conversation.tenant_id) == []


async def test_the_conversation_goes_on_afterwards(office: Office) -> None:
    """G4-10: what expired is the run. The next message is answered, and knows nothing of a call that was not made."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    await age_approval(office.server, stop.approval)
    await expired(office, stop.run)
    office.upstream.enqueue(says("Hello again."))
    answer = await office.client.ask(conversation.id, "Are you there?")
    assert (answer.end["status"], answer.text) == ("completed", "Hello again.")
    assert not [turn for turn in office.upstream.requests[1].body["messages"] if turn["role"] == "tool"]
    stored = await office.client.messages(conversation.id)
    assert [message.status.value for message in stored] == ["completed", "expired", "completed", "completed"]


async def test_what_waited_behind_it_starts(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Second."))
    async with await office.client.stream(conversation.id, "Next", on_busy="enqueue") as stream:
        await stream.until("message_start")
        await age_approval(office.server, stop.approval)
        async with asyncio.timeout(20):
            await stream.rest()
    assert stream.seen[-1].json["status"] == "completed"
    assert (await run_of(office.client, stop.run)).status == "expired"


async def test_a_decision_in_time_is_not_swept(office: Office) -> None:
    """The other approval of the run is old, and was decided when it was not."""
    conversation = await office.hire(*SHOP)
    first, second = wish("generate_coupon", COUPON), wish("generate_coupon", discount_percent=20)
    stop = await pause(office, conversation, first, second)
    await allow(office.client, stop.approvals[1])
    await age_approval(office.server, stop.approvals[1])
    office.upstream.enqueue(says("Both."))
    rest = await continued(office.client, stop.run, stop.approvals[0], approved=True)
    assert rest.end["status"] == "completed"
    assert sorted(percent for _, percent in await coupons(office.server, conversation.tenant_id)) == [10, 20]
