"""What has been kept long enough goes; what goes wrong with one run holds up no other."""

import asyncio

import pytest

from retinue.domain import events as e
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.runs import Run, RunStatus
from retinue.jobs import retention as module
from retinue.jobs.retention import Retention, forget_idempotency_keys, keep_pruning, prune_events
from tests.support.runs import end_fields
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import until


async def ended(world: World, *, is_readable: bool = True) -> Run:
    """A run of which only its end was stored, now or in an unreadable form."""
    run = await world.run()
    recorder = world.recorder(run)
    recorder.record(e.TextDelta(delta="Hi"))
    end = recorder.seal(e.RunCompleted(**end_fields("Hi", event_count=2)))
    async with world.database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, [*recorder.take_unstored(), end])
        assert await unit.runs.finish(
            run.id, 1, status=RunStatus.COMPLETED, finish_reason="stop", error_code=None, usage=None, cost=None,
            generation_stats=None, event_count=2, text_sha256="0", at=run.created_at,
        )  # fmt: skip
    if not is_readable:
        async with world.database._engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE run_events SET payload = x'00' WHERE run_id = ?", (run.id.hex,))
    return run


async def test_in_batches_until_none_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    runs = [await ended(world) for _ in range(5)]
    active = await world.run()
    assert await prune_events(world.database, 0) == 5
    assert [len(await world.stored(run)) for run in runs] == [1] * 5
    assert (await world.run_now(active)).pruned_at is None


async def test_a_log_that_cannot_be_read_stays_and_is_in_nobody_s_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    bad = await ended(world, is_readable=False)
    good = [await ended(world) for _ in range(4)]
    async with asyncio.timeout(10):
        assert await prune_events(world.database, 0) == 4
    assert (await world.run_now(bad)).pruned_at is None
    assert [(await world.run_now(run)).pruned_at is None for run in good] == [False] * 4


async def test_only_logs_that_cannot_be_read_are_no_endless_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for _ in range(3):
        await ended(world, is_readable=False)
    async with asyncio.timeout(10):
        assert await prune_events(world.database, 0) == 0


async def test_keys_whose_time_is_over_are_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    keys = [IdempotencyKey(route="POST /x", key=f"k{number}", digest="d") for number in range(6)]
    async with world.database.unit(world.tenant.id) as unit:
        for key in keys:
            await unit.idempotency.claim(key, keep_seconds=-1 if key is not keys[0] else 60)
    await forget_idempotency_keys(world.database)
    async with world.database._engine.begin() as connection:
        rows = (await connection.exec_driver_sql("SELECT key FROM idempotency_records")).all()
    assert [row[0] for row in rows] == ["k0"]


async def test_the_job_goes_on_whatever_happens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await ended(world)
    rounds = 0
    prune = prune_events

    async def fail_first(database: object, seconds: float) -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ZeroDivisionError
        return await prune(database, seconds)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "prune_events", fail_first)
    job = asyncio.create_task(keep_pruning(world.database, Retention(events=0, interval=0)))
    await until(lambda: rounds > 2)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert (await world.run_now(run)).pruned_at is not None
