"""Messages that do not wait: the active run makes way."""

from retinue.domain import events as e
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.logs import kinds, whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_queue import asked, begun, enqueue, said, starts


async def test_an_interruption_keeps_what_was_said_and_comes_first(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("Par"), gate], says("urgent"), says("patient"))
    first, conversation = await begun(office, gate)
    (patient,) = await enqueue(office, conversation, "Patient")
    urgent = await office.start(conversation, "Urgent", on_busy="interrupt")
    assert (urgent.status, urgent.is_urgent) == (RunStatus.QUEUED, True)
    assert isinstance(whole(await office.follow(first)), e.RunCancelled)
    for run in (urgent, patient):
        whole(await office.follow(run))
    assert asked(office) == ["First", "Urgent", "Patient"]
    assert await starts(world, first, urgent, patient) == [1, 2, 3]
    assert await said(world, conversation) == [
        ("First", "completed"),
        ("Par", "cancelled"),
        ("Patient", "completed"),
        ("patient", "completed"),
        ("Urgent", "completed"),
        ("urgent", "completed"),
    ]
    receipt = (await world.run_now(first)).receipt
    assert receipt is not None
    assert receipt.socket_closed_at is not None


async def test_an_interruption_takes_the_place_of_one_that_still_waits(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], name="first")
    _, conversation = await begun(office, gate)
    elsewhere = Process(world, name="elsewhere")
    superseded = await elsewhere.start(conversation, "Urgent", on_busy="interrupt")
    urgent = await elsewhere.start(conversation, "More urgent", on_busy="interrupt")
    events = await elsewhere.follow(superseded)
    assert isinstance(end := whole(events), e.RunCancelled)
    assert (end.finish_reason, kinds(events)) == ("withdrawn", ["run.started", "status.changed", "run.cancelled"])
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        assert [run.id for run in await unit.runs.queued(conversation.id)] == [urgent.id]
        active = await unit.runs.active(conversation.id)
    assert active is not None
    assert active.cancel_requested_at is not None
    assert (await said(world, conversation))[2:4] == [("Urgent", "cancelled"), ("", "cancelled")]
