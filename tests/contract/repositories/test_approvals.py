"""Approvals: each is decided once and in time."""

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.session import Database
from retinue.domain.approvals import Approval, ApprovalStatus, Decision
from retinue.domain.conversations import Conversation
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import Run, WaitingFor
from retinue.domain.tools import Risk
from tests.contract.repositories.builders import LATER, NEVER, NOON, a_conversation, a_grant, a_run, an_approval
from tests.contract.repositories.conftest import Add

YES: dict[str, Any] = {
    "status": ApprovalStatus.GRANTED,
    "decision": Decision.ALLOW_ONCE,
    "decided_by": "operator",
    "comment": "go",
}
NO: dict[str, Any] = {
    "status": ApprovalStatus.DENIED,
    "decision": Decision.DENY,
    "decided_by": "somebody",
    "comment": None,
}


async def add(database: Database, *approvals: Approval) -> None:
    async with database.unit(approvals[0].tenant_id) as unit:
        for approval in approvals:
            await unit.approvals.add(approval)


async def test_an_approval_comes_back_as_it_went_in(database: Database, run: Run) -> None:
    full = an_approval(
        run,
        2,
        **NO,
        risk=Risk.HIGH,
        decided_at=LATER,
        password_expires_at=NEVER,
        password_tries=2,
        args=["\x00", {"a": None}],
    )
    plain = an_approval(run, 1)
    await add(database, full, plain)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.approvals.get(full.id) == full
        assert await unit.approvals.get_for_update(plain.id) == plain
        assert await unit.approvals.find(new_id()) is None
        assert await unit.approvals.of_run(run.id) == [plain, full]
        for look in (unit.approvals.get, unit.approvals.get_for_update):
            with pytest.raises(NotFound):
                await look(new_id())
    with pytest.raises(NotFound):
        async with database.unit(run.tenant_id) as unit:
            await unit.approvals.add(an_approval(msgspec.structs.replace(run, id=new_id())))


async def test_pending_ones_are_listed_oldest_first(database: Database, run: Run) -> None:
    made = [an_approval(run, 9 - number) for number in range(5)]
    late = an_approval(run, 4, expires_at=NOON)
    await add(database, late, *reversed(made))
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.decide(made[1].id, **YES)
        await unit.approvals.supersede_one(made[3].id)
        assert await unit.approvals.list_pending(limit=2) == [made[0], made[2]]
        assert await unit.approvals.list_pending(limit=9, after=made[1].id) == [made[2], made[4]]
        assert await unit.approvals.is_late(late.id)
        for other in made:
            assert not await unit.approvals.is_late(other.id)


async def test_the_first_decision_counts(database: Database, run: Run) -> None:
    approval, other = an_approval(run), an_approval(run, 2)
    await add(database, approval, other)
    async with database.unit(run.tenant_id) as unit:
        before = await unit.clock()
        decided = await unit.approvals.decide(approval.id, **YES)
        assert decided is not None
        assert decided.decided_at is not None
        assert before <= decided.decided_at <= await unit.clock()
        assert decided == msgspec.structs.replace(approval, **YES, decided_at=decided.decided_at)
        assert await unit.approvals.decide(approval.id, **NO) is None
        assert await unit.approvals.decide(new_id(), **NO) is None
        assert await unit.approvals.of_run(run.id) == [decided, other]


async def test_of_fifty_decisions_at_once_one_wins(database: Database, run: Run) -> None:
    approval = an_approval(run)
    await add(database, approval)

    async def decide(number: int) -> Approval | None:
        async with database.unit(run.tenant_id) as unit:
            word = {**(YES, NO)[number % 2], "decided_by": f"d{number}"}
            return await unit.approvals.decide(approval.id, **word)

    results = await asyncio.gather(*(decide(number) for number in range(50)))
    won = [result for result in results if result is not None]
    assert len(won) == 1
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert await unit.approvals.get(approval.id) == won[0]


async def test_a_late_decision_does_not_count(database: Database, run: Run) -> None:
    approval = an_approval(run, expires_at=NOON)
    await add(database, approval)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.approvals.decide(approval.id, **YES) is None
        assert await unit.approvals.get(approval.id) == approval


async def test_what_nobody_decided_in_time_expires_once(database: Database, run: Run) -> None:
    second, first = an_approval(run, 2, expires_at=NOON), an_approval(run, 1, expires_at=NOON)
    in_time, denied = an_approval(run, 3), an_approval(run, 4, expires_at=NOON, **NO)
    await add(database, second, first, in_time, denied)
    async with database.unit(run.tenant_id) as unit:
        before = await unit.clock()
        expired = await unit.approvals.expire(run.id)
        assert [approval.id for approval in expired] == [first.id, second.id]
        assert {approval.status for approval in expired} == {ApprovalStatus.EXPIRED}
        assert all(approval.decided_at is not None and approval.decided_at >= before for approval in expired)
        assert await unit.approvals.of_run(run.id) == [*expired, in_time, denied]
        assert await unit.approvals.expire(run.id) == []
        assert await unit.approvals.decide(first.id, **YES) is None


async def test_a_run_that_goes_another_way_asks_nothing_more(database: Database, run: Run, elsewhere: Run) -> None:
    asked, kept, denied = an_approval(run, 1), an_approval(run, 2), an_approval(run, 3, **NO)
    awaited = an_approval(run, 4, status=ApprovalStatus.GRANTED, password_expires_at=NEVER)
    foreign = an_approval(elsewhere)
    await add(database, asked, kept, denied, awaited, foreign)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.supersede(run.id, but=[kept.id])
        assert await unit.approvals.of_run(run.id) == [
            msgspec.structs.replace(asked, status=ApprovalStatus.SUPERSEDED),
            kept,
            denied,
            msgspec.structs.replace(awaited, password_expires_at=None),
        ]
        await unit.approvals.supersede(run.id)
        assert (await unit.approvals.get(kept.id)).status is ApprovalStatus.SUPERSEDED
        assert await unit.approvals.decide(kept.id, **YES) is None
        assert await unit.approvals.get(foreign.id) == foreign


async def test_one_approval_is_superseded_once(database: Database, run: Run) -> None:
    approval, denied = an_approval(run), an_approval(run, 2, **NO)
    await add(database, approval, denied)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.approvals.supersede_one(approval.id)
        assert not await unit.approvals.supersede_one(approval.id)
        assert not await unit.approvals.supersede_one(denied.id)
        assert (await unit.approvals.get(approval.id)).status is ApprovalStatus.SUPERSEDED


async def test_a_pause_moves_for_what_is_still_open(database: Database, run: Run, elsewhere: Run) -> None:
    pending, denied = an_approval(run, 1), an_approval(run, 2, **NO)
    awaited = an_approval(run, 3, status=ApprovalStatus.GRANTED, password_expires_at=NEVER)
    foreign = an_approval(elsewhere)
    await add(database, pending, denied, awaited, foreign)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.move_pause(run.id, attempt=4, seq=9)
        moved = [
            (approval.paused_attempt, approval.paused_seq)
            for approval in [*await unit.approvals.of_run(run.id), await unit.approvals.get(foreign.id)]
        ]
    assert moved == [(4, 9), (1, 7), (4, 9), (1, 7)]


async def test_a_password_is_awaited_for_what_was_allowed(database: Database, run: Run) -> None:
    pending, allowed = an_approval(run, 1), an_approval(run, 2, status=ApprovalStatus.GRANTED)
    await add(database, pending, allowed)
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.approvals.await_password(pending.id, expires_at=NEVER, tries=0)
        assert not await unit.approvals.end_password(allowed.id)
        assert await unit.approvals.await_password(allowed.id, expires_at=NEVER, tries=2)
        awaited = msgspec.structs.replace(allowed, password_expires_at=NEVER, password_tries=2)
        assert await unit.approvals.of_run(run.id) == [pending, awaited]
        assert await unit.approvals.end_password(allowed.id)
        assert not await unit.approvals.end_password(allowed.id)
        ended = msgspec.structs.replace(awaited, password_expires_at=None)
        assert await unit.approvals.get(allowed.id) == ended, "the tries are counted on"


async def test_a_late_password_does_not_count(database: Database, run: Run) -> None:
    late = an_approval(run, status=ApprovalStatus.GRANTED, password_expires_at=NOON)
    await add(database, late)
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.approvals.end_password(late.id)
        assert await unit.approvals.get(late.id) == late


async def test_of_many_passwords_at_once_one_is_taken(database: Database, run: Run) -> None:
    allowed = an_approval(run, status=ApprovalStatus.GRANTED, password_expires_at=NEVER)
    await add(database, allowed)

    async def give() -> bool:
        async with database.unit(run.tenant_id) as unit:
            return await unit.approvals.end_password(allowed.id)

    assert sorted(await asyncio.gather(*(give() for _ in range(20)))) == [False] * 19 + [True]


async def test_damaged_arguments_come_back_as_they_are(database: Database, run: Run) -> None:
    await add(database, an_approval(run))
    async with database.unit(run.tenant_id) as unit:
        await unit._executor.change(sa.update(t.Approval).values(args='{"order_id": 1'))
        assert [approval.args for approval in await unit.approvals.list_pending(limit=9)] == ['{"order_id": 1']


async def test_waits_that_took_too_long_are_found(
    database: Database, add_run: Add, run: Run, conversation: Conversation, elsewhere: Run
) -> None:
    """Of the runs that wait for just this, and each once."""
    await add(
        database,
        an_approval(run, 1, expires_at=NOON),
        an_approval(run, 2, expires_at=NOON),
        an_approval(run, 3, status=ApprovalStatus.GRANTED, password_expires_at=NOON),
        an_approval(elsewhere, 1, status=ApprovalStatus.GRANTED, expires_at=NOON, password_expires_at=NEVER),
        an_approval(elsewhere, 2),
        an_approval(elsewhere, 3, expires_at=NOON, **NO),
    )
    assert await expired(database) == [], "nobody waits yet"
    for what, found in (
        (WaitingFor.EFFECT_UNKNOWN, []),
        (WaitingFor.APPROVAL, [(run.tenant_id, run.id)]),
        (WaitingFor.PASSWORD, [(run.tenant_id, run.id)]),
    ):
        async with database.unit(run.tenant_id) as unit:
            await unit.runs.wake(run.id, 1)
            await unit.runs.wake(elsewhere.id, 1)
            await unit.runs.pause(run.id, 1, waiting_for=what)
            await unit.runs.pause(elsewhere.id, 1, waiting_for=what)
        assert await expired(database) == found
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.expire(run.id)
        allowed = (await unit.approvals.of_run(elsewhere.id))[0]
        await unit.approvals.await_password(allowed.id, expires_at=NOON, tries=1)
    both = [(run.tenant_id, run.id), (run.tenant_id, elsewhere.id)]
    assert await expired(database) == sorted(both)
    assert len(await expired(database, limit=1)) == 1


async def expired(database: Database, limit: int = 9) -> list[Any]:
    async with database.operator(read_only=True) as operator:
        return sorted(await operator.expired_waits(limit))


async def test_grants_belong_to_a_conversation(database: Database, run: Run, elsewhere: Run) -> None:
    first = a_grant(an_approval(run), risk=Risk.LOW, scope="")
    second, foreign = a_grant(an_approval(run)), a_grant(an_approval(elsewhere))
    async with database.unit(run.tenant_id) as unit:
        for grant in (second, first, foreign):
            await unit.grants.add(grant)
        assert await unit.grants.list(run.conversation_id) == [first, second]
        assert await unit.grants.list(new_id()) == []
    with pytest.raises(NotFound):
        async with database.unit(run.tenant_id) as unit:
            await unit.grants.add(a_grant(an_approval(run), conversation_id=new_id()))


@pytest.fixture
async def elsewhere(database: Database, add_run: Add, conversation: Conversation) -> Run:
    """A run of another conversation of the same tenant."""
    async with database.unit(conversation.tenant_id) as unit:
        other = a_conversation(await unit.employees.get(conversation.employee_id))
        await unit.conversations.add(other)
    return await add_run(a_run(other))
