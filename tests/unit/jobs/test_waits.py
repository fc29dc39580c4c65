"""The job that ends what has waited for too long."""

import asyncio

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.runs import RunStatus
from retinue.jobs.waits import keep_expiring
from tests.unit.runs.acting.story import let_time_pass, office_with, started
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import until


async def test_it_sweeps_again_and_again_whatever_goes_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send")])
    run, _ = await started(office)
    await let_time_pass(world)
    rounds = 0
    sweep = office.expiry.sweep

    async def fail_first() -> int:
        nonlocal rounds
        rounds += 1
        match rounds:
            case 1:
                raise Unavailable
            case 2:
                raise ZeroDivisionError
        return await sweep() if rounds == 3 else 0

    monkeypatch.setattr(office.expiry, "sweep", fail_first)
    job = asyncio.create_task(keep_expiring(office.expiry, 0))
    await until(lambda: rounds > 3)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert (await world.run_now(run)).status is RunStatus.EXPIRED
