"""Stop means stop: from any process, at any moment, and twice."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.errors import Conflict, NotFound, ProviderOverloaded, ProviderReset
from retinue.domain.ids import new_id, now
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import TextPiece
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome, Run, RunStatus
from retinue.domain.signals import SignalKind
from retinue.domain.usage import Provenance
from retinue.runs import cancellation
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, FirstGate, Gate, says, until
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process


async def begun(office: Process, gate: Gate) -> Run:
    await office.configure()
    run = await office.start(await office.world.conversation())
    await gate.wait_until_reached()
    return run


async def cancelled(office: Process, run: Run) -> Run:
    async with asyncio.timeout(DEADLINE):
        return await office.service.cancel(run.tenant_id, run.id)


async def test_a_silent_provider_is_hung_up_on(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("a" * 40), gate])
    run = await begun(office, gate)
    before = now()
    ended = await cancelled(office, run)
    assert office.provider.open_streams == 0
    assert ended == await world.run_now(run)
    receipt = ended.receipt
    assert receipt is not None
    assert receipt.socket_closed_at is not None
    assert before <= receipt.requested_at <= receipt.socket_closed_at <= now()
    assert (receipt.tokens_received, receipt.provenance, receipt.charged) == (10, Provenance.ESTIMATED, None)
    assert isinstance(whole(await office.follow(run)), e.RunCancelled)
    answer = await world.answer_now(run)
    assert (answer.content, answer.status) == ("a" * 40, MessageStatus.CANCELLED)
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.ABORTED]


async def test_twice_gives_the_same_receipt(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    run = await begun(office, gate)
    once, twice = await asyncio.gather(cancelled(office, run), cancelled(office, run))
    assert once == twice == await cancelled(office, run)
    assert whole(await office.follow(run)).finish_reason == "cancelled"


async def test_before_the_provider_is_asked(world: World) -> None:
    office = Process(world)
    await office.configure()
    run = await office.start(await world.conversation())
    ended = await cancelled(office, run)
    assert (ended.status, office.provider.requests) == (RunStatus.CANCELLED, [])
    assert ended.receipt is not None
    assert (ended.receipt.socket_closed_at, ended.receipt.tokens_received) == (None, None)


async def test_while_a_retry_waits(world: World) -> None:
    office = Process(world, [ProviderOverloaded(retry_after=10)], retries=RetryPolicy(max_tries=2))
    await office.configure()
    run = await office.start(await world.conversation())
    await until(lambda: bool(office.provider.requests) and office.provider.open_streams == 0)
    ended = await cancelled(office, run)
    assert ended.status is RunStatus.CANCELLED
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.FAILED]


async def test_after_the_end_it_says_how_the_run_ended(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    run = await office.start(await world.conversation())
    await office.follow(run)
    with pytest.raises(Conflict, match="completed") as refused:
        await cancelled(office, run)
    assert refused.value.problem_code == "run_ended"


async def test_while_the_end_is_being_stored_it_comes_too_late(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("Yes")])
    run = await begun(office, gate)
    world.database.hold = end = FirstGate()
    gate.opened.set()
    await end.wait_until_reached()
    cancelling = asyncio.create_task(cancelled(office, run))
    await asyncio.sleep(0)
    end.opened.set()
    with pytest.raises(Conflict):
        await cancelling
    assert (await world.run_now(run)).status is RunStatus.COMPLETED


async def test_what_is_not_there_or_somebody_else_s_cannot_be_cancelled(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    run = await begun(office, gate)
    for tenant_id, run_id in ((run.tenant_id, new_id()), (new_id(), run.id)):
        with pytest.raises(NotFound):
            await office.service.cancel(tenant_id, run_id)
    with pytest.raises(NotFound):
        await office.service.cancel_conversation(new_id(), run.conversation_id)
    stored = await world.run_now(run)
    assert (stored.cancel_requested_at, office.supervisor.active_count) == (None, 1)


async def test_a_run_of_another_process_hears_the_signal(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, name="second", coordination=first.coordination)
    run = await begun(first, gate)
    ended = await cancelled(second, run)
    assert ended.status is RunStatus.CANCELLED
    assert first.provider.open_streams == 0
    assert SignalKind.CANCEL in first.heard


async def test_a_signal_that_gets_lost_is_made_good_by_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, name="second")
    run = await begun(first, gate)
    monkeypatch.setattr(cancellation, "WAIT_SECONDS", 0.01)
    asked = await cancelled(second, run)
    assert (asked.status, asked.receipt) == (RunStatus.RUNNING, None)
    assert asked.cancel_requested_at is not None
    await first.look()
    await first.idle()
    ended = await cancelled(second, run)
    assert ended.status is RunStatus.CANCELLED
    assert ended.receipt is not None
    assert ended.receipt.requested_at == asked.cancel_requested_at, "when it was asked, not when it was heard"


async def test_a_run_whose_process_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    first, second = Process(world, [TextPiece("Hel"), gate], name="first"), Process(world, name="second")
    run = await begun(first, gate)
    await first.flush()
    await first.freeze(run)
    monkeypatch.setattr(cancellation, "WAIT_SECONDS", 0.01)
    assert (await cancelled(second, run)).status is RunStatus.RUNNING
    await second.look()
    ended = await cancelled(second, run)
    assert (ended.status, ended.attempt) == (RunStatus.CANCELLED, 2)
    assert (await world.answer_now(run)).content == "Hel"


async def test_a_run_that_waits_is_withdrawn(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    first = await begun(office, gate)
    async with world.database.unit(first.tenant_id, read_only=True) as unit:
        conversation = await unit.conversations.get(first.conversation_id)
    waiting = await office.start(conversation, "More", on_busy="enqueue")
    reader = asyncio.create_task(office.follow(waiting))
    ended = await cancelled(office, waiting)
    assert (ended.status, ended.finish_reason, ended.started_at) == (RunStatus.CANCELLED, "withdrawn", None)
    assert ended.receipt is not None
    assert (ended.receipt.socket_closed_at, ended.receipt.tokens_received) == (None, None)
    assert whole(await reader).finish_reason == "withdrawn"
    assert await cancelled(office, waiting) == ended
    assert (await world.run_now(first)).status is RunStatus.RUNNING
    *_, question, answer = await world.messages_now(conversation.id)
    assert {question.status, answer.status} == {MessageStatus.CANCELLED}


async def test_a_conversation_is_cancelled_with_all_that_waits_there(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("Hel"), gate], says("And on"))
    first = await begun(office, gate)
    async with world.database.unit(first.tenant_id, read_only=True) as unit:
        conversation = await unit.conversations.get(first.conversation_id)
    waiting = [await office.start(conversation, word, on_busy="enqueue") for word in ("One", "Two")]
    async with asyncio.timeout(DEADLINE):
        runs = await office.service.cancel_conversation(first.tenant_id, conversation.id)
    assert [run.id for run in runs] == [first.id, *(run.id for run in waiting)]
    assert [run.finish_reason for run in runs] == ["cancelled", "withdrawn", "withdrawn"]
    assert all(run.receipt is not None for run in runs)
    await office.errands.finish()
    assert len(office.provider.requests) == 1
    async with asyncio.timeout(DEADLINE):
        assert list(await office.service.cancel_conversation(first.tenant_id, conversation.id)) == []
    await office.ask(conversation, "And on?")


async def test_the_wish_to_cancel_a_conversation_outlives_a_lost_signal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    first, second = Process(world, [gate], name="first"), Process(world, name="second")
    run = await begun(first, gate)
    monkeypatch.setattr(cancellation, "WAIT_SECONDS", 0.01)
    (asked,) = await second.service.cancel_conversation(run.tenant_id, run.conversation_id)
    assert (asked.status, asked.receipt) == (RunStatus.RUNNING, None)
    await first.look()
    await first.idle()
    assert (await world.run_now(run)).status is RunStatus.CANCELLED


async def test_a_tenant_is_cancelled_wherever_its_runs_are(world: World) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, [gates[0]], name="first")
    second = Process(world, [gates[1]], name="second", coordination=first.coordination)
    runs = [await begun(office, gate) for office, gate in zip((first, second), gates, strict=True)]
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        conversation = await unit.conversations.get(runs[0].conversation_id)
    waiting = await first.start(conversation, "More", on_busy="enqueue")
    async with asyncio.timeout(DEADLINE):
        await first.service.cancel_tenant(new_id())
        assert {(await world.run_now(run)).status for run in runs} == {RunStatus.RUNNING}
        await first.service.cancel_tenant(world.tenant.id)
    ended = [await world.run_now(run) for run in (*runs, waiting)]
    assert [run.finish_reason for run in ended] == ["cancelled", "cancelled", "withdrawn"]
    assert first.provider.open_streams == second.provider.open_streams == 0


async def test_what_goes_wrong_while_the_provider_is_hung_up_on_changes_nothing(world: World) -> None:
    gate = Gate()

    async def is_cut_off() -> None:
        try:
            await gate()
        finally:
            raise ProviderReset

    office = Process(world, [is_cut_off])
    run = await begun(office, gate)
    assert (await cancelled(office, run)).status is RunStatus.CANCELLED


async def test_a_client_that_goes_away_waits_for_nothing(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    run = await begun(office, gate)
    office.service.cancel_soon(run.tenant_id, run.id)
    assert isinstance(whole(await office.follow(run)), e.RunCancelled)


async def test_a_client_that_goes_away_when_there_is_nothing_to_cancel_is_no_news(
    world: World, quiet: Sequence[Mapping[str, Any]]
) -> None:
    """Half of those who go away do so because they have read the end."""
    office = Process(world, says("Yes"))
    await office.configure()
    run = await office.start(await world.conversation())
    whole(await office.follow(run))
    await office.idle()
    for run_id in (run.id, new_id()):
        office.service.cancel_soon(run.tenant_id, run_id)
    await office.errands.finish()
    assert [line for line in quiet if line["log_level"] != "info"] == []
    assert (await world.run_now(run)).status is RunStatus.COMPLETED


async def test_a_client_that_goes_away_while_the_database_is_away_is(
    world: World, quiet: Sequence[Mapping[str, Any]]
) -> None:
    gate = Gate()
    office = Process(world, [gate])
    run = await begun(office, gate)
    elsewhere = Process(world, name="elsewhere")
    world.database.forecast.append("away")
    elsewhere.service.cancel_soon(run.tenant_id, run.id)
    await elsewhere.errands.finish()
    assert [line["event"] for line in quiet if line["log_level"] == "warning"] == ["errand_failed"]


async def test_a_process_that_stops_does_not_cancel_for_those_it_sends_away(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    run = await begun(office, gate)
    office.supervisor.stop_admitting()
    office.service.cancel_soon(run.tenant_id, run.id)
    await office.errands.finish()
    assert (await world.run_now(run)).cancel_requested_at is None
    assert office.supervisor.active_count == 1
