"""Many people decide about one call at the same time, over two replicas: one of them does."""

import asyncio

import pytest

from tests.e2e.streams.runs import run_of
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.shelves import coupons
from tests.e2e.tools.work import SHOP, Office, approval_of, continued, decide, open_continue, pause, wish
from tests.support.client import Answer
from tests.support.upstream import says

pytestmark = pytest.mark.slow

CROWD = 50
COUPON = {"discount_percent": 10}
Offices = tuple[Office, Office]


async def ended(office: Office, run: str) -> str:
    async def probe() -> str | None:
        status = (await run_of(office.client, run)).status
        return status if status not in ("running", "waiting") else None

    return str(await eventually(probe))


def check(answers: list[Answer]) -> Answer:
    """One success; the others are all told the same, and which decision it was."""
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1, [answer.status for answer in answers]
    lost = [answer.problem(409, "approval_decided") for answer in answers if answer.status != 200]
    assert len(lost) == len(answers) - 1
    assert {document["detail"] for document in lost} == {f"This was decided before: {won[0].json['decision']}."}
    return won[0]


@pytest.mark.parametrize(
    "ways", [("allow_once",), ("allow_once", "deny", "allow_for_conversation")], ids=["same", "mixed"]
)
async def test_fifty_decisions(offices: Offices, ways: tuple[str, ...]) -> None:
    here, there = offices
    conversation = await here.hire(*SHOP)
    stop = await pause(here, conversation, wish("generate_coupon", COUPON))
    here.upstream.enqueue(says("Well."))
    answers = await asyncio.gather(
        *(decide(offices[at % 2].client, stop.approval, ways[at % len(ways)]) for at in range(CROWD))
    )
    won = check(answers)
    assert await ended(here, stop.run) == "completed"
    is_allowed = won.json["decision"] != "deny"
    assert len(await coupons(here.server, conversation.tenant_id)) == int(is_allowed)
    assert here.times_asked == 2
    assert (await approval_of(there.client, stop.approval))["decision"] == won.json["decision"]
    query = f"tenant_id={conversation.tenant_id}&action=approval.decided"
    assert len((await here.client.get(f"/audit?{query}")).expect(200).json) == 1


async def test_fifty_decisions_at_one_process(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Well."))
    check(await asyncio.gather(*(decide(office.client, stop.approval) for _ in range(CROWD))))
    assert await ended(office, stop.run) == "completed"
    assert len(await coupons(office.server, conversation.tenant_id)) == 1
    assert office.times_asked == 2


async def test_many_decide_and_follow(offices: Offices) -> None:
    """`continue/stream` that decides: one is told the rest, the others that it was decided."""
    here, there = offices
    conversation = await here.hire(*SHOP)
    stop = await pause(here, conversation, wish("generate_coupon", COUPON))
    here.upstream.enqueue(says("Well."))
    responses = await asyncio.gather(
        *(open_continue(offices[at % 2].client, stop.run, stop.approval, approved=True) for at in range(16))
    )
    for response in responses:
        async with response:
            body = await response.read()
            assert (b"message_end" in body) is (response.status == 200)
            assert (b"approval_decided" in body and b"urn:retinue:problem" in body) is (response.status == 409)
    assert sorted(response.status for response in responses) == [200] + [409] * 15
    assert (await continued(there.client, stop.run, stop.approval)).end["status"] == "completed"
    assert len(await coupons(here.server, conversation.tenant_id)) == 1


async def test_a_decision_races_with_a_cancel(offices: Offices) -> None:
    """Whoever wins: the run ends, and the tool has run only if the decision came through."""
    here, there = offices
    for _ in range(5):
        conversation = await here.hire(*SHOP)
        stop = await pause(here, conversation, wish("generate_coupon", COUPON))
        decided, cancelled = await asyncio.gather(
            decide(there.client, stop.approval), here.client.post(f"/runs/{stop.run}/cancel")
        )
        assert decided.status in (200, 409)
        assert cancelled.status in (200, 202, 409)
        status = await ended(here, stop.run)
        assert status in ("cancelled", "completed")
        assert decided.status == 200 or not await coupons(here.server, conversation.tenant_id)
        if decided.status == 409:
            decided.problem(409, "approval_superseded")
            assert status == "cancelled"
