"""What a request does and the record that it did are one commit."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from retinue.db.session import Unit
from retinue.domain.approvals import Decision
from retinue.domain.errors import ToolError
from retinue.domain.runs import Run, RunStatus
from retinue.domain.secret import Secret
from retinue.domain.tools import Resolution
from retinue.runs.waiting.tickets import AnsweredBefore, Ticket
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import ADA, decide_next, goes_on, office_with, pending, started
from tests.unit.runs.acting.tools import a_sudo, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says
from tests.unit.runs.process import Process

Act = Callable[[Ticket], Awaitable[object]]


class Recording(Ticket):
    """Breaks where it is told to."""

    def __init__(self, *, at_begin: Exception | None = None, at_end: Exception | None = None) -> None:
        self._at_begin, self._at_end = at_begin, at_end
        self.kept: list[Any] = []

    async def begin(self, unit: Unit) -> None:
        await unit.clock()  # it is open
        if self._at_begin:
            raise self._at_begin

    async def end(self, unit: Unit, made: Any) -> None:
        await unit.clock()
        if self._at_end:
            raise self._at_end
        self.kept.append(made)


async def a_decision(world: World) -> tuple[Process, Run, Act]:
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send")])
    run, _ = await started(office)
    [approval] = await pending(office)

    def act(ticket: Ticket) -> Awaitable[object]:
        return office.approvals.decide(
            run.tenant_id, approval, Decision.ALLOW_ONCE, decided_by=ADA, comment=None, ticket=ticket
        )

    return office, run, act


async def a_password(world: World) -> tuple[Process, Run, Act]:
    office = await office_with(world, wants("sudo"), says("Done."), tools=[a_sudo()])
    run, _ = await started(office)
    approval = await decide_next(office)
    await goes_on(office, run)

    def act(ticket: Ticket) -> Awaitable[object]:
        return office.approvals.give_password(run.tenant_id, run.id, approval.id, Secret("x"), ticket=ticket)

    return office, run, act


async def a_resolution(world: World) -> tuple[Process, Run, Act]:
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send", ToolError("Lost."))])
    run, _ = await started(office)
    await decide_next(office)
    await goes_on(office, run)

    def act(ticket: Ticket) -> Awaitable[object]:
        return office.approvals.resolve_effect(
            run.tenant_id, run.id, "send-1", Resolution.HAPPENED, resolved_by=ADA, ticket=ticket
        )

    return office, run, act


Scene = Callable[[World], Awaitable[tuple[Process, Run, Act]]]
SCENES: list[Scene] = [a_decision, a_password, a_resolution]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("where", ["at_begin", "at_end"])
async def test_what_cannot_be_recorded_is_not_done(world: World, scene: Scene, where: str) -> None:
    office, run, act = await scene(world)
    before = await paused(world, run)
    with pytest.raises(AnsweredBefore):
        await act(Recording(**{where: AnsweredBefore()}))
    await office.look()
    await office.idle()
    assert await paused(world, run) == before, "nothing has happened, and nothing has gone on"
    ticket = Recording()
    await act(ticket)
    assert len(ticket.kept) == 1
    await goes_on(office, run)
    assert (await ended(world, run)).run.status is RunStatus.COMPLETED
