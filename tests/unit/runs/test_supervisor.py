"""Who owns the tasks of runs: admission, stopping, draining, isolation."""

import asyncio
import gc
from typing import cast
from uuid import UUID

import pytest

from retinue.domain.errors import ProcessLost, Unavailable
from retinue.domain.ids import new_id
from retinue.domain.runs import Run, RunStatus
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
            position=1,
            created_at=AT,
        )
        self.crash: Exception | None = None
        self.has_begun = False
        self.started = asyncio.Event()
        self.released = asyncio.Event()
        self.told: list[str] = []
        self.renewed_at: float | None = None
        self.is_over = False

    def begin(self) -> None:
        self.has_begun = True

    def renew(self, asked_at: float) -> None:
        self.renewed_at = asked_at

    def cancel(self) -> None:
        self._stop("cancel")

    def lose(self) -> None:
        self._stop("lose")

    def hand_over(self) -> None:
        self._stop("hand_over")

    def _stop(self, how: str) -> None:
        self.told.append(how)
        self.released.set()

    async def execute(self) -> None:
        self.started.set()
        await self.released.wait()
        self.is_over = True
        if self.crash is not None:
            raise self.crash


def start(supervisor: Supervisor, runner: StubRunner) -> StubRunner:
    with supervisor.admit(TENANT):
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
    with pytest.raises(Unavailable) as refused, supervisor.admit(TENANT):
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
    with supervisor.admit(TENANT), pytest.raises(Unavailable), supervisor.admit(TENANT):
        pytest.fail("the place is taken")
    with pytest.raises(ZeroDivisionError), supervisor.admit(TENANT):
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
    assert other.told == []
    other.released.set()
    await until_idle(supervisor)
    assert other.is_over
    gc.collect()
    assert unhandled == []


async def test_only_a_run_of_the_tenant_that_is_here_can_be_cancelled(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    assert not supervisor.cancel(new_id(), runner.run.id)
    assert not supervisor.cancel(TENANT, new_id())
    assert runner.told == []
    assert supervisor.cancel(TENANT, runner.run.id)
    async with asyncio.timeout(DEADLINE):
        await supervisor.ended(runner.run.id)
        await supervisor.ended(new_id())
    assert (runner.told, runner.is_over) == (["cancel"], True)


async def test_what_the_database_says_is_to_be_cancelled(supervisor: Supervisor) -> None:
    asked, other = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    supervisor.cancel_asked([asked.run.id, new_id()])
    assert (asked.told, other.told) == (["cancel"], [])
    other.released.set()
    await until_idle(supervisor)


async def test_stopping_reaches_a_run_whose_task_has_not_started(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    assert not runner.started.is_set()
    assert supervisor.cancel(TENANT, runner.run.id)
    async with asyncio.timeout(DEADLINE):
        await supervisor.ended(runner.run.id)
    assert (runner.told, runner.is_over) == (["cancel"], True)


async def test_where_a_run_is(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    assert supervisor.runs(runner.run.id)
    assert supervisor.runs_in(runner.run.conversation_id)
    assert not supervisor.runs(new_id())
    assert not supervisor.runs_in(new_id())
    runner.released.set()
    await until_idle(supervisor)
    assert not supervisor.runs(runner.run.id)
    assert not supervisor.runs_in(runner.run.conversation_id)


async def test_room_and_load(supervisor: Supervisor) -> None:
    assert (supervisor.room, supervisor.load) == (3, 0.0)
    runner = start(supervisor, StubRunner())
    with supervisor.admit(TENANT):
        assert supervisor.room == 1
    assert supervisor.load == pytest.approx(1 / 3)
    supervisor.stop_admitting()
    assert supervisor.room == 0, "a process that stops looks for nothing new"
    runner.released.set()
    await until_idle(supervisor)


async def test_each_end_is_told_once_when_the_run_is_not_here_any_more(supervisor: Supervisor) -> None:
    ended: list[tuple[UUID, bool]] = []
    supervisor.on_end = lambda run: ended.append((run.id, supervisor.runs_in(run.conversation_id)))
    runner, failing = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    failing.crash = ZeroDivisionError()
    runner.released.set()
    await until(lambda: len(ended) == 1)
    failing.released.set()
    await until_idle(supervisor)
    assert ended == [(runner.run.id, False), (failing.run.id, False)]


async def test_a_run_that_cannot_even_begin_is_not_kept(supervisor: Supervisor) -> None:
    runner = StubRunner()
    runner.begin = _lost  # type: ignore[method-assign]
    with pytest.raises(ProcessLost), supervisor.admit(TENANT):
        supervisor.start(cast("Runner", runner))
    assert (supervisor.active_count, supervisor.room) == (0, 3)


def _lost() -> None:
    raise ProcessLost


async def test_renewals_reach_the_runs_they_are_for(supervisor: Supervisor) -> None:
    kept, other = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    supervisor.renew([kept.run.id, new_id()], 12.5)
    assert (kept.renewed_at, other.renewed_at) == (12.5, None)
    for runner in (kept, other):
        runner.released.set()
    await until_idle(supervisor)


async def test_draining_lets_runs_finish(supervisor: Supervisor) -> None:
    runner = start(supervisor, StubRunner())
    draining = asyncio.create_task(supervisor.drain(3600))
    async with asyncio.timeout(DEADLINE):
        await runner.started.wait()
    assert supervisor.is_draining
    with pytest.raises(Unavailable) as refused, supervisor.admit(TENANT):
        pytest.fail("nothing new may start")
    assert refused.value.problem_code == "shutting_down"
    assert not draining.done()
    runner.released.set()
    async with asyncio.timeout(DEADLINE):
        await draining
    assert (runner.told, supervisor.active_count) == ([], 0)


async def test_draining_hands_over_what_is_left_after_the_grace_period(supervisor: Supervisor) -> None:
    runners = [start(supervisor, StubRunner()) for _ in range(3)]
    async with asyncio.timeout(DEADLINE):
        await supervisor.drain(0.01)
    assert [runner.told for runner in runners] == [["hand_over"]] * 3
    assert supervisor.active_count == 0


async def test_draining_an_idle_supervisor_is_over_at_once(supervisor: Supervisor) -> None:
    async with asyncio.timeout(DEADLINE):
        await supervisor.drain(3600)
        await supervisor.drain(3600)


async def test_draining_waits_for_a_run_that_is_being_prepared_and_hands_it_over(supervisor: Supervisor) -> None:
    """Its user message is about to be stored; the run must not stay behind without a process."""
    runner = StubRunner()
    with supervisor.admit(TENANT):
        draining = asyncio.create_task(supervisor.drain(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not draining.done()
        supervisor.start(cast("Runner", runner))
    async with asyncio.timeout(DEADLINE):
        await draining
    assert runner.has_begun
    assert (runner.told, runner.is_over) == (["hand_over"], True)


async def test_lost_runs_are_stopped_and_the_others_go_on(supervisor: Supervisor) -> None:
    lost, kept = start(supervisor, StubRunner()), start(supervisor, StubRunner())
    assert supervisor.active_ids == {lost.run.id, kept.run.id}
    supervisor.lose([supervisor.runners[lost.run.id]])
    await until(lambda: supervisor.active_ids == {kept.run.id})
    assert (lost.told, kept.told) == (["lose"], [])
    kept.released.set()
    await until_idle(supervisor)
