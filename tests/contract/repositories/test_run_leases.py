"""Who owns a run, and for how long."""

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.ids import new_id
from retinue.domain.runs import Run, WaitingFor
from tests.contract.repositories.builders import LATER, a_conversation, a_run
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.test_runs import END


@pytest.fixture
async def lost(add_run: Add, conversation: Conversation) -> Run:
    """Its lease has run out."""
    return await add_run(a_run(conversation), lease_seconds=-5)


@pytest.fixture
async def alive(database: Database, add_run: Add, employee: Employee) -> Run:
    """Its lease holds."""
    conversation = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(conversation)
    return await add_run(a_run(conversation))


async def test_leases_run_out_on_the_database_clock(database: Database, lost: Run, alive: Run) -> None:
    async with database.operator() as operator:
        assert await operator.active_runs_with_expired_lease(10) == [(lost.tenant_id, lost.id)]
        assert await operator.active_runs_with_expired_lease(0) == []
        assert await operator.renew_leases("me", {lost.id, alive.id}, 30) == {lost.id, alive.id}
        assert await operator.active_runs_with_expired_lease(10) == []
        assert await operator.renew_leases("somebody", {lost.id, alive.id}, 30) == frozenset()
        assert await operator.renew_leases("me", set(), 30) == frozenset()


async def test_only_an_expired_lease_can_be_claimed_and_only_once(database: Database, lost: Run, alive: Run) -> None:
    async with database.unit(lost.tenant_id) as unit:
        assert await unit.runs.claim(alive.id, 1, owner="you", lease_seconds=30) is None
        assert await unit.runs.claim(lost.id, 2, owner="you", lease_seconds=30) is None
        claimed = await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30)
        assert claimed == msgspec.structs.replace(lost, attempt=2)
        assert await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30) is None
        assert not await unit.runs.finish(lost.id, 1, **END, at=LATER), "the old owner must be fenced off"
        assert await unit.runs.finish(lost.id, 2, **END, at=LATER)
    async with database.operator() as operator:
        assert await operator.renew_leases("me", {lost.id, alive.id}, 30) == {alive.id}


async def test_a_run_that_waits_for_somebody_is_not_lost(database: Database, lost: Run) -> None:
    async with database.unit(lost.tenant_id) as unit:
        await unit.runs.pause(lost.id, 1, waiting_for=WaitingFor.APPROVAL)
        assert await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30) is None
    async with database.operator(read_only=True) as operator:
        assert await operator.active_runs_with_expired_lease(10) == []


async def test_a_finished_run_has_no_lease(database: Database, lost: Run) -> None:
    async with database.unit(lost.tenant_id) as unit:
        await unit.runs.finish(lost.id, 1, **END, at=LATER)
        assert await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30) is None
        assert not await unit.runs.release(lost.id, 1)
    async with database.operator(read_only=True) as operator:
        assert await operator.active_runs_with_expired_lease(10) == []


async def test_a_released_run_can_be_claimed_at_once(database: Database, alive: Run) -> None:
    async with database.unit(alive.tenant_id) as unit:
        assert await unit.runs.release(alive.id, 1)
        assert await unit.runs.claim(alive.id, 1, owner="you", lease_seconds=30) is not None
        assert not await unit.runs.release(alive.id, 1), "it is somebody else's now"


async def test_a_released_run_is_found_and_not_renewed(database: Database, alive: Run) -> None:
    async with database.unit(alive.tenant_id) as unit:
        await unit.runs.release(alive.id, 1)
    async with database.operator() as operator:
        assert await operator.renew_leases("me", {alive.id}, 30) == frozenset()
        assert await operator.active_runs_with_expired_lease(10) == [(alive.tenant_id, alive.id)]


async def test_requests_to_cancel_are_seen_until_the_end(database: Database, lost: Run, alive: Run) -> None:
    async with database.unit(lost.tenant_id) as unit:
        await unit.runs.request_cancel(lost.id)
    async with database.operator(read_only=True) as operator:
        assert await operator.cancel_requests({lost.id, alive.id, new_id()}) == {lost.id}
        assert await operator.cancel_requests({alive.id}) == frozenset()
        assert await operator.cancel_requests(set()) == frozenset()
    async with database.unit(lost.tenant_id) as unit:
        await unit.runs.finish(lost.id, 1, **END, at=LATER)
    async with database.operator(read_only=True) as operator:
        assert await operator.cancel_requests({lost.id}) == frozenset()
