"""Who owns the tasks of runs: admission, stopping, draining, isolation."""

import asyncio
import gc
from typing import cast
from uuid import UUID

import pytest

from retinue.domain.errors import ServerStopping, Unavailable
from retinue.domain.ids import new_id
from retinue.domain.runs import Run, RunStatus
from retinue.runs.ending import Cancelled, Ending, Failed
from retinue.runs.runner import Runner
from retinue.runs.supervisor import Supervisor
from tests.support.runs import AT
from tests.unit.runs.doubles import DEADLINE, until

TENANT = new_id()


class StubRunner:
    """A run that goes on until it is let go or stopped."""

    def __init__(self, *, tenant_id: UUID = TENANT, conversation_id: UUID | None = None) -> None:
        self.run = Run(
            id=new_id(),
            tenant_id=tenant_id,
            conversation_id=conversation_id or new_id(),
            employee_id=new_id(),
            user_message_id=new_id(),
            message_id=new_id(),
            status=RunStatus.RUNNING,
            attempt=1,
            created_at=AT,
        )
        self.crash: Exception | None = None
        self.has_begun = False
        self.started = asyncio.Event()
        self.released = asyncio.Event()
        self.ending: Ending | None = None
        self.is_over = False
        self.is_lost = False

    def begin(self) -> None:
        self.has_begun = True

    def lose(self) -> None:
        self.is_lost = True
        self.released.set()

    def stop(self, ending: Ending) -> None:
        self.ending = self.ending or ending
        self.released.set()

    async def execute(self) -> None:
        self.started.set()
        await self.released.wait()
        self.is_over = True
        if self.crash is not None:
            raise self.crash


def start(supervisor: Supervisor, runner: StubRunner) -> StubRunner:
    with supervisor.admit():
        supervisor.start(cast("Runner", runner))
    return runner


async def until_idle(supervisor: Supervisor) -> None:
    await until(lambda: supervisor.active_count == 0)


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(max_active=3)


async def test_a_run_has_begun_when_it_is_taken_over_and_is_forgotten_at_its_end(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    assert runner.has_begun
    assert supervisor.active_count == 1
    runner.released.set()
    await until_idle(supervisor)
    assert runner.is_over


async def test_no_more_runs_than_allowed(supervisor: Supervisor) -> None:
    runners = [start(supervisor, StubRunner()) for _ in range(3)]
    with pytest.raises(Unavailable) as refused, supervisor.admit():
        pytest.fail("there is no place")
    assert refused.value.problem_code == "too_many_runs"
    assert refused.value.headers["Retry-After"] == "1"
    runners[0].released.set()
    await until(lambda: supervisor.active_count < 3)
    runners.append(start(supervisor, StubRunner()))
    for runner in runners:
        runner.released.set()
    await until_idle(supervisor)


async def test_a_run_that_is_being_prepared_holds_a_place() -> None:
    """Otherwise many requests at once would all be let in before the first of them starts its run."""
    supervisor = Supervisor(max_active=1)
    with supervisor.admit(), pytest.raises(Unavailable), supervisor.admit():
        pytest.fail("the place is taken")
    with pytest.raises(ZeroDivisionError), supervisor.admit():
        raise ZeroDivisionError
    start(supervisor, StubRunner()).released.set()
    await until_idle(supervisor)


@pytest.mark.parametrize("crash", [ZeroDivisionError(), ExceptionGroup("x", [ValueError()])])
async def test_a_failing_run_does_not_touch_another(supervisor: Supervisor, crash: Exception) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    failing, other = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    failing.crash = crash
    failing.released.set()
    await until(lambda: supervisor.active_count < 2)
    assert supervisor.active_ids == {other.run.id}
    assert other.ending is None
    other.released.set()
    await until_idle(supervisor)
    assert other.is_over
    gc.collect()
    assert unhandled == []


async def test_cancelling_a_conversation_waits_for_its_run_and_leaves_the_others(supervisor: Supervisor) -> None:
    conversation = new_id()
    meant = start(supervisor, StubRunner(conversation_id=conversation))
    other = start(supervisor, StubRunner())
    foreign = start(supervisor, StubRunner(tenant_id=new_id(), conversation_id=conversation))
    async with asyncio.timeout(DEADLINE):
        await supervisor.cancel_conversation(TENANT, conversation)
    assert (meant.ending, meant.is_over) == (Cancelled(), True)
    assert [other.ending, foreign.ending] == [None, None]
    async with asyncio.timeout(DEADLINE):
        await supervisor.cancel_conversation(TENANT, new_id())
        await supervisor.cancel_tenant(TENANT)
    assert (other.ending, other.is_over, foreign.ending) == (Cancelled(), True, None)
    foreign.released.set()
    await until_idle(supervisor)


async def test_stopping_reaches_a_run_whose_task_has_not_started(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    assert not runner.started.is_set()
    async with asyncio.timeout(DEADLINE):
        await supervisor.cancel_tenant(TENANT)
    assert (runner.ending, runner.is_over) == (Cancelled(), True)


async def test_draining_lets_runs_finish(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    draining = asyncio.create_task(supervisor.drain(3600))
    async with asyncio.timeout(DEADLINE):
        await runner.started.wait()
    assert supervisor.is_draining
    with pytest.raises(Unavailable) as refused, supervisor.admit():
        pytest.fail("nothing new may start")
    assert refused.value.problem_code == "shutting_down"
    assert not draining.done()
    runner.released.set()
    async with asyncio.timeout(DEADLINE):
        await draining
    assert (runner.ending, supervisor.active_count) == (None, 0)


async def test_draining_ends_what_is_left_after_the_grace_period(supervisor: Supervisor) -> None:
    runners = [start(supervisor, StubRunner()) for _ in range(3)]
    async with asyncio.timeout(DEADLINE):
        await supervisor.drain(0.01)
    for runner in runners:
        assert isinstance(runner.ending, Failed)
        assert isinstance(runner.ending.error, ServerStopping)
    assert supervisor.active_count == 0


async def test_draining_an_idle_supervisor_is_over_at_once(supervisor: Supervisor) -> None:
    async with asyncio.timeout(DEADLINE):
        await supervisor.drain(3600)
        await supervisor.drain(3600)


async def test_draining_waits_for_a_run_that_is_being_prepared_and_stops_it(supervisor: Supervisor) -> None:
    """Its user message is about to be stored; the run must still come to an end of its own."""
    runner = StubRunner()
    with supervisor.admit():
        draining = asyncio.create_task(supervisor.drain(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not draining.done()
        supervisor.start(cast("Runner", runner))
    async with asyncio.timeout(DEADLINE):
        await draining
    assert runner.has_begun
    assert isinstance(runner.ending, Failed)
    assert runner.is_over


async def test_lost_runs_are_stopped_and_the_others_go_on(supervisor: Supervisor) -> None:
    lost, kept = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    assert supervisor.active_ids == {lost.run.id, kept.run.id}
    supervisor.lose([lost.run.id, new_id()])
    await until(lambda: supervisor.active_ids == {kept.run.id})
    assert (lost.is_lost, kept.is_lost) == (True, False)
    kept.released.set()
    await until_idle(supervisor)
