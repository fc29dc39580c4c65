"""The process is gone while somebody is to decide, or while the password is in use."""

import asyncio
import signal

import pytest

from tests.e2e.streams.runs import run_of, stored_events
from tests.e2e.streams.store import execute
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.passwords import asked_for_password, found_in
from tests.e2e.tools.shelves import age_approval, coupons, journal, literal, moment
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import (
    SHOP,
    Office,
    continued,
    open_continue,
    open_password,
    pause,
    pending,
    refused,
    wish,
)
from tests.support.sse import EventStream
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 10}


async def status_is(office: Office, run: str, status: str) -> None:
    async def probe() -> bool | None:
        return True if (await run_of(office.client, run)).status == status else None

    await eventually(probe)


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_while_it_waits(own_office: Office, how: str) -> None:
    """kill -9 or an orderly stop, then a start: the same questions, and the run goes on at its call."""
    office = own_office
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    await asyncio.to_thread(office.server.kill if how == "kill" else office.server.stop)
    await asyncio.to_thread(office.server.start)
    [listed] = await pending(office.client, conversation.tenant_id)
    assert (listed["approval_id"], listed["args"]) == (stop.approval, COUPON)
    assert (await run_of(office.client, stop.run)).status == "waiting"
    office.upstream.enqueue(says("Done", "."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True)
    assert (rest.end["status"], rest.text) == ("completed", "Done.")
    assert office.times_asked == 2
    assert len(await coupons(office.server, conversation.tenant_id)) == 1
    assert await journal(office.server, stop.run) == [("generate_coupon", "succeeded", None)]


async def test_decided_and_lost(own_office: Office) -> None:
    """The decision was stored and its process is gone before the call: the run is found when a process is back.

    A wait whose time ran out meanwhile is over, and a late decision about it is refused.
    """
    office = own_office
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    neighbour = await office.client.create_conversation(conversation.tenant_id, conversation.employee_id)
    late = await pause(office, neighbour, wish("generate_coupon", COUPON))
    await asyncio.to_thread(office.server.kill)
    await age_approval(office.server, late.approval)
    # As the transaction of a decision leaves it, before anybody has claimed the run.
    mine = literal(office.server, stop.run)
    decision = "status = 'granted', decision = 'allow_once', decided_by = 'operator'"
    await execute(office.server, f"UPDATE approvals SET {decision} WHERE run_id = {mine}")
    woken = f"status = 'running', waiting_for = NULL, lease_expires_at = {moment(office.server)}, pauses = 1"
    await execute(office.server, f"UPDATE runs SET {woken} WHERE id = {mine}")
    office.upstream.enqueue(says("Done."))
    await asyncio.to_thread(office.server.start)
    rest = await continued(office.client, stop.run, stop.approval)
    assert rest.end["status"] == "completed"
    response = await open_continue(office.client, late.run, late.approval, approved=True)
    await refused(response, 409, "approval_expired")
    assert (await run_of(office.client, late.run)).status == "expired"
    assert len(await coupons(office.server, conversation.tenant_id)) == 1
    assert office.times_asked == 3


async def test_while_a_password_is_awaited_and_while_it_is_used(own_office: Office, sudo: FakeSudo) -> None:
    """Nobody knows what the killed command has done: it is not repeated. The crash leaves nothing of the password."""
    office, secret = own_office, sudo.password()
    conversation = await office.hire("shell_exec_safe")
    stop = await asked_for_password(office, conversation, f"sudo hang {secret[-6:]}-1")
    await asyncio.to_thread(office.server.kill)
    await asyncio.to_thread(office.server.start)

    async def has_begun() -> bool | None:
        return True if sudo.seen("hang", f"{secret[-6:]}-1") else None

    async with EventStream(await open_password(office.client, stop.run, stop.approval, secret)) as stream:
        await eventually(has_begun)
        office.server.process.send(signal.SIGABRT)
        await stream.to_any_end()
    await asyncio.to_thread(office.server.process.kill)
    await asyncio.to_thread(office.server.start)
    await status_is(office, stop.run, "waiting")
    assert (await run_of(office.client, stop.run)).waiting_for == "effect_unknown"
    assert [status for _, status, _ in await journal(office.server, stop.run)] == ["outcome_unknown"]
    [seen] = sudo.seen("hang", f"{secret[-6:]}-1")
    assert (seen.line, seen.shown_in) == (f"{secret}\n", [])
    files = [file for file in office.server.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if found_in(file.read_bytes().decode("latin-1"), [secret])]

    office.upstream.enqueue(says("I see."))
    events = await stored_events(office.client, stop.run)
    call = next(event["tool_call_id"] for event in events if event["type"] == "tool_call.requested")
    body = {"tool_call_id": call, "outcome": "did_not_happen"}
    (await office.client.post(f"/runs/{stop.run}/resolve-effect", body)).expect(200)
    await status_is(office, stop.run, "completed")
    (await office.client.post(f"/runs/{stop.run}/resolve-effect", body)).expect(409)
