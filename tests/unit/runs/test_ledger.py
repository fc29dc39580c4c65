"""What is booked for a model call, however it ends."""

import asyncio

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ProviderAuth, ProviderOverloaded, ProviderReset
from retinue.domain.model_io import Finished, FinishReason, TextPiece, ToolCallEnded, ToolCallStarted, UsageReported
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.usage import Provenance, Usage
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, StubProvider, says

REPORT = UsageReported(Usage(input_tokens=10, output_tokens=4))
EAGER = RetryPolicy(max_tries=3, base_delay=0.0, max_delay=0.0)


async def booked(world: World, *calls: list[Step]) -> list[LedgerEntry]:
    runner = await world.runner(StubProvider(*calls), retries=EAGER)
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    entries = list(await world.ledger_now(runner.run))
    assert all(entry.outcome is not CallOutcome.OPEN and entry.closed_at is not None for entry in entries)
    return entries


async def test_a_report_is_booked_as_it_is(world: World) -> None:
    (entry,) = await booked(world, [TextPiece("Hello"), REPORT, Finished(FinishReason.STOP)])
    assert (entry.outcome, entry.usage, entry.error_code) == (CallOutcome.COMPLETED, REPORT.usage, None)
    assert (entry.step, entry.tries, entry.attempt) == (1, 1, 1)


async def test_a_completed_call_without_a_report_is_estimated(world: World) -> None:
    (entry,) = await booked(world, says("12345678"))
    assert entry.usage is not None
    assert (entry.usage.output_tokens, entry.usage.provenance) == (2, Provenance.ESTIMATED)
    assert (entry.usage.input_tokens or 0) > 0


@pytest.mark.parametrize(
    ("reported", "input_tokens", "output_tokens"), [(Usage(input_tokens=10), 10, 2), (Usage(output_tokens=7), None, 7)]
)
async def test_what_a_report_does_not_tell_is_estimated(
    world: World, reported: Usage, input_tokens: int | None, output_tokens: int
) -> None:
    """Otherwise its cost is not known, and no budget would ever end."""
    (entry,) = await booked(world, [TextPiece("12345678"), UsageReported(reported), Finished(FinishReason.STOP)])
    assert entry.usage is not None
    assert (entry.usage.output_tokens, entry.usage.provenance) == (output_tokens, Provenance.ESTIMATED)
    assert entry.usage.input_tokens == input_tokens or (input_tokens is None and entry.usage.input_tokens)


async def test_every_try_has_a_row(world: World) -> None:
    entries = await booked(world, [ProviderOverloaded()], [ProviderReset()], [REPORT, *says("Yes")])
    assert [(entry.tries, entry.outcome, entry.error_code) for entry in entries] == [
        (1, CallOutcome.FAILED, "provider_overloaded"),
        (2, CallOutcome.FAILED, "provider_reset"),
        (3, CallOutcome.COMPLETED, None),
    ]
    assert [entry.usage for entry in entries] == [None, None, REPORT.usage]


async def test_a_call_that_nothing_came_from_stays_unknown(world: World) -> None:
    (entry,) = await booked(world, [ProviderAuth()])
    assert (entry.outcome, entry.usage, entry.cost) == (CallOutcome.FAILED, None, None)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (None, (Provenance.ESTIMATED, 5)),
        (Usage(input_tokens=10, output_tokens=1), (Provenance.ESTIMATED, 5)),
        (Usage(input_tokens=10, output_tokens=7), (Provenance.REPORTED, 7)),
    ],
)
async def test_a_call_that_broke_off_counts_what_came(
    world: World, reported: Usage | None, expected: tuple[Provenance, int]
) -> None:
    report: list[Step] = [UsageReported(reported)] if reported else []
    (entry,) = await booked(world, [*report, TextPiece("a" * 20), ProviderReset()])
    assert entry.usage is not None
    assert (entry.usage.provenance, entry.usage.output_tokens) == expected
    assert (entry.outcome, entry.error_code) == (CallOutcome.FAILED, "provider_reset")


async def test_an_aborted_call_is_booked_too(world: World) -> None:
    gate = Gate()
    runner = await world.runner(StubProvider([TextPiece("a" * 40), gate]))
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    runner.cancel()
    async with asyncio.timeout(DEADLINE):
        await task
    (entry,) = await world.ledger_now(runner.run)
    assert entry.outcome is CallOutcome.ABORTED
    assert entry.usage is not None
    assert (entry.usage.output_tokens, entry.usage.provenance) == (10, Provenance.ESTIMATED)


async def test_a_run_that_never_called_closes_its_row(world: World) -> None:
    runner = await world.runner(StubProvider())
    runner.cancel()
    await runner.execute()
    (entry,) = await world.ledger_now(runner.run)
    assert (entry.outcome, entry.usage) == (CallOutcome.ABORTED, None)


async def test_the_run_sums_its_steps(world: World) -> None:
    call: list[Step] = [ToolCallStarted(id="a", name="x"), ToolCallEnded(id="a")]
    runner = await world.runner(
        StubProvider([*call, REPORT, Finished(FinishReason.TOOL_CALLS)], [REPORT, *says("Yes")]), retries=EAGER
    )
    await runner.execute()
    first, second = await world.ledger_now(runner.run)
    assert (first.step, second.step) == (1, 2)
    end = (await world.stored(runner.run))[-1].event
    assert isinstance(end, e.RunCompleted)
    assert end.usage == Usage(input_tokens=20, output_tokens=8)
    assert (await world.run_now(runner.run)).usage == end.usage
