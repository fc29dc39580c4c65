"""Somebody has changed what is stored: an approval covers exactly what was shown, and nothing else runs."""

from uuid import UUID

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.runs import cancel, run_of
from tests.e2e.streams.store import execute, rows
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.shelves import coupons, journal, literal
from tests.e2e.tools.work import SHOP, Office, Pause, allow, approval_of, continued, decide, pause, wish
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 7}


async def stored(office: Office, table: str, column: str, run: str) -> str:
    [[text]] = await rows(office.server, f"SELECT {column} FROM {table} WHERE run_id = {{}}", UUID(run))
    return str(text)


async def store(office: Office, table: str, column: str, run: str, text: str) -> None:
    quoted = text.replace("'", "''")
    await execute(
        office.server, f"UPDATE {table} SET {column} = '{quoted}' WHERE run_id = {literal(office.server, run)}"
    )


def flips(text: str) -> list[str]:
    """The text with the lowest bit of one byte turned over, for each of its bytes."""
    return [text[:at] + chr(ord(char) ^ 1) + text[at + 1 :] for at, char in enumerate(text)]


async def prepared(office: Office, conversation: Conversation) -> Pause:
    return await pause(office, conversation, wish("generate_coupon", COUPON))


async def ended(office: Office, run: str) -> str:
    """The status of a run that has gone on after a decision."""

    async def probe() -> str | None:
        status = (await run_of(office.client, run)).status
        return status if status not in ("running", "waiting") else None

    return str(await eventually(probe, within=10))


@pytest.mark.parametrize("column", ["args", "digest"])
async def test_every_byte_of_an_approval(office: Office, column: str) -> None:
    """The decision finds out: it is refused, and can be made once everything is as it was."""
    conversation = await office.hire(*SHOP)
    stop = await prepared(office, conversation)
    text = await stored(office, "approvals", column, stop.run)
    for changed in flips(text):
        await store(office, "approvals", column, stop.run, changed)
        (await decide(office.client, stop.approval)).problem(409, "approval_altered")
    (await decide(office.client, stop.approval, "deny")).problem(409, "approval_altered")
    assert (await run_of(office.client, stop.run)).status == "waiting"
    assert await coupons(office.server, conversation.tenant_id) == []
    await store(office, "approvals", column, stop.run, text)
    assert (await approval_of(office.client, stop.approval))["status"] == "pending"
    office.upstream.enqueue(says("Here."))
    assert (await continued(office.client, stop.run, stop.approval, approved=True)).end["status"] == "completed"
    assert [percent for _, percent in await coupons(office.server, conversation.tenant_id)] == [7]


async def test_every_byte_of_the_call(office: Office) -> None:
    """What would run is not what was shown: it does not run, whatever the change makes of it.

    As many calls as there are bytes, each allowed and each changed in another byte, and one that is left as it was.
    """
    conversation = await office.hire(*SHOP)
    spelled = msgspec.json.encode(COUPON).decode()
    changes = [*flips(spelled), spelled]
    stop = await pause(office, conversation, *(wish("generate_coupon", COUPON) for _ in changes))
    for approval in stop.approvals[1:]:
        await allow(office.client, approval)
    kept = await rows(office.server, "SELECT arguments FROM tool_calls WHERE run_id = {}", UUID(stop.run))
    assert kept == [(spelled,)] * len(changes)
    cases = " ".join(f"WHEN {at} THEN '{text}'" for at, text in enumerate(changes, 1))
    mine = f"run_id = {literal(office.server, stop.run)}"
    await execute(office.server, f"UPDATE tool_calls SET arguments = CASE position {cases} END WHERE {mine}")
    office.upstream.enqueue(says("They were altered."))
    rest = await continued(office.client, stop.run, stop.approvals[0], approved=True)
    assert rest.end["status"] == "completed"
    assert [status for _, status, _ in await journal(office.server, stop.run)] == [
        *["failed"] * len(spelled),
        "succeeded",
    ]
    assert [percent for _, percent in await coupons(office.server, conversation.tenant_id)] == [7]


@pytest.mark.parametrize(
    ("column", "value"),
    [("name", "cancel_order"), ("call_id", "call_x"), ("arguments", '{"discount_percent":99}')],
)
async def test_another_call_in_its_place(office: Office, column: str, value: str) -> None:
    conversation = await office.hire(*SHOP)
    stop = await prepared(office, conversation)
    await store(office, "tool_calls", column, stop.run, value)
    office.upstream.enqueue(says("Hm."))
    await allow(office.client, stop.approval)
    assert await ended(office, stop.run) in ("completed", "failed")
    office.upstream.reset()
    assert await coupons(office.server, conversation.tenant_id) == []


async def test_changed_between_the_decision_and_the_call(office: Office) -> None:
    """The second of two calls was allowed early; before its turn comes, it is exchanged."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON), wish("generate_coupon", COUPON))
    await allow(office.client, stop.approvals[1])
    where = f"run_id = {literal(office.server, stop.run)}"
    changed = """'{"discount_percent":99}'"""
    await execute(office.server, f"UPDATE tool_calls SET arguments = {changed} WHERE {where} AND position = 2")
    await execute(office.server, f"UPDATE approvals SET args = {changed} WHERE {where} AND call_position = 2")
    office.upstream.enqueue(says("One of them."))
    rest = await continued(office.client, stop.run, stop.approvals[0], approved=True)
    assert [entry["error"] for entry in rest.end["tool_log"]] == [None, "approval_altered"]
    assert [percent for _, percent in await coupons(office.server, conversation.tenant_id)] == [7]


async def test_a_run_whose_approval_was_altered_can_be_cancelled(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    stop = await prepared(office, conversation)
    await store(office, "approvals", "args", stop.run, '{"discount_percent":99}')
    (await decide(office.client, stop.approval)).problem(409, "approval_altered")
    assert (await cancel(office.client, stop.run)).expect(200).json["status"] == "cancelled"
    assert await coupons(office.server, conversation.tenant_id) == []
