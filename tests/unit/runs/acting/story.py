"""What people do with a run, in few words."""

from typing import Any
from uuid import UUID

from retinue.domain import events as e
from retinue.domain.approvals import Approval, Decision
from retinue.domain.conversations import Conversation
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from retinue.domain.policy import Permission
from retinue.domain.runs import Run
from retinue.domain.secret import Secret
from retinue.domain.tools import Resolution
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Step
from tests.unit.runs.process import Process

ADA = "user:ada"


async def office_with(
    world: World, *calls: list[Step], permission: Permission = Permission.WRITE, **more: Any
) -> Process:
    """A process whose employee may use all its tools."""
    office = Process(world, *calls, **more)
    await office.configure()
    await office.change_employee(permission=permission)
    return office


async def started(office: Process, content: str = "Hi") -> tuple[Run, list[RecordedEvent]]:
    """A run in a new conversation, followed until it has ended or waits."""
    run = await office.start(await office.world.conversation(), content)
    events = await office.follow(run)
    await office.idle()
    return run, events


async def conversation_of(world: World, run: Run) -> Conversation:
    async with world.database.unit(run.tenant_id, read_only=True) as unit:
        return await unit.conversations.get(run.conversation_id)


def pause_of(events: list[RecordedEvent]) -> e.RunPaused:
    pause = events[-1].event
    assert isinstance(pause, e.RunPaused), pause
    return pause


async def pending(office: Process) -> list[UUID]:
    """In the order in which they were asked for."""
    return [approval.id for approval in await office.approvals.pending(office.world.tenant.id, limit=100)]


async def decide(
    office: Process, approval_id: UUID, decision: Decision = Decision.ALLOW_ONCE, comment: str | None = None
) -> Approval:
    return await office.approvals.decide(office.world.tenant.id, approval_id, decision, decided_by=ADA, comment=comment)


async def decide_next(
    office: Process, decision: Decision = Decision.ALLOW_ONCE, comment: str | None = None
) -> Approval:
    return await decide(office, (await pending(office))[0], decision, comment)


async def goes_on(office: Process, run: Run, after: Position = START) -> list[RecordedEvent]:
    """Follow the run once more until it has ended or waits, and until the process is done with it."""
    await office.errands.finish()
    events = await office.follow(run, after)
    await office.idle()
    return events


async def allow_all(office: Process, run: Run) -> list[RecordedEvent]:
    """Follow a run to its end and allow whatever it asks for."""
    events = await goes_on(office, run)
    while isinstance(events[-1].event, e.RunPaused):
        await decide_next(office)
        events = await goes_on(office, run)
    return events


async def give_password(office: Process, run: Run, approval_id: UUID, password: str) -> Position:
    return await office.approvals.give_password(run.tenant_id, run.id, approval_id, Secret(password))


async def resolve(office: Process, run: Run, call_id: str, resolution: Resolution, result: Any = None) -> Run:
    return await office.approvals.resolve_effect(
        run.tenant_id, run.id, call_id, resolution, result=result, resolved_by=ADA
    )


async def let_time_pass(world: World) -> None:
    """Move the ends of all waits into the past."""
    async with world.database._engine.begin() as connection:
        for column in ("expires_at", "password_expires_at"):
            await connection.exec_driver_sql(
                f"UPDATE approvals SET {column} = datetime('now', '-1 seconds') WHERE {column} IS NOT NULL"
            )
