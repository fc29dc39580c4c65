"""A message comes while a run waits for a person: G4-6 and the four ways of `on_busy`."""

import asyncio

import pytest

from tests.e2e.streams.runs import cancel, run_of, runs_of
from tests.e2e.streams.talk import begin, check_stream, open_stream
from tests.e2e.tools.shelves import coupons, journal
from tests.e2e.tools.work import SHOP, Office, approval_of, continued, decide, pause, pending, refused, wants, wish
from tests.support.client import StreamedAnswer
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 10}


async def test_reject(office: Office) -> None:
    """The default: refused, and the approval is what it was."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    document = await refused(await open_stream(office.client, conversation.id, "Hello?"), 409, "conversation_busy")
    assert "waits for an approval" in document["detail"]
    assert [one["approval_id"] for one in await pending(office.client, conversation.tenant_id)] == [stop.approval]
    office.upstream.enqueue(says("Here."))
    assert (await continued(office.client, stop.run, stop.approval, approved=True)).end["status"] == "completed"
    assert len(await office.client.messages(conversation.id)) == 2


async def test_enqueue(office: Office) -> None:
    """Answered after the run that waits, however long that takes."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    async with await begin(office.client, conversation.id, "Next", on_busy="enqueue") as stream:
        await stream.until("runtime_status")
        assert [run.status for run in await runs_of(office.client, conversation.id)] == ["waiting", "queued"]
        office.upstream.enqueue(says("Here."), says("Answered."))
        await continued(office.client, stop.run, stop.approval, approved=True)
        async with asyncio.timeout(20):
            await stream.rest()
    assert check_stream([frame for frame in stream.seen if frame.data is not None]).text == "Answered."
    assert [message.content for message in await office.client.messages(conversation.id)] == [
        "Please do it.",
        "Here.",
        "Next",
        "Answered.",
    ]


async def test_nobody_waits_for_an_answer_behind_a_person(office: Office) -> None:
    """Without a stream there is nothing to see meanwhile: the request is answered, and the run keeps its place."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    path = f"/conversations/{conversation.id}/messages"
    body = {"content": "Next", "respond": True, "on_busy": "enqueue"}
    async with asyncio.timeout(20):
        first = (await office.client.call("POST", path, body, headers={"idempotency-key": "1"})).expect(202).json
    assert (first["status"], first["finish_reason"], first["message"]["status"]) == ("queued", None, "pending")
    assert (await run_of(office.client, first["run_id"])).status == "queued"
    office.upstream.enqueue(says("Here."), says("Answered."))
    await continued(office.client, stop.run, stop.approval, approved=True)
    async with asyncio.timeout(20):
        again = (await office.client.call("POST", path, body, headers={"idempotency-key": "1"})).expect(200).json
    assert (again["run_id"], again["message"]["id"]) == (first["run_id"], first["message"]["id"])
    assert (again["status"], again["message"]["content"]) == ("completed", "Answered.")


async def test_nobody_waits_on_when_the_run_before_begins_to_wait(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    office.upstream.enqueue(wants(wish("generate_coupon", COUPON), say=("Wait.",)).hold(1))
    async with await begin(office.client, conversation.id, "A coupon") as stream:
        await stream.until("token")
        body = {"content": "Next", "respond": True, "on_busy": "enqueue"}
        asking = asyncio.create_task(office.client.post(f"/conversations/{conversation.id}/messages", body))
        while len(await runs_of(office.client, conversation.id)) < 2:
            assert not asking.done()
        office.upstream.release()
        await stream.rest()
    async with asyncio.timeout(20):
        assert (await asking).expect(202).json["status"] == "queued"


async def test_interrupt(office: Office) -> None:
    """The waiting run is cancelled, its approval is superseded and nothing is done; the new message is answered."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Rather this."))
    answer = await office.client.ask(conversation.id, "Stop, something else", on_busy="interrupt")
    assert (answer.end["status"], answer.text) == ("completed", "Rather this.")
    assert (await run_of(office.client, stop.run)).status == "cancelled"
    assert (await approval_of(office.client, stop.approval))["status"] == "superseded"
    (await decide(office.client, stop.approval)).problem(409, "approval_superseded")
    assert await coupons(office.server, conversation.tenant_id) == []
    assert [status for _, status, _ in await journal(office.server, stop.run)] in (["failed"], ["denied"])
    statuses = [message.status.value for message in await office.client.messages(conversation.id)]
    assert statuses == ["completed", "cancelled", "completed", "completed"]


async def test_append(office: Office) -> None:
    """Taken when the run goes on: the model sees it with the tool's result."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    async with await begin(office.client, conversation.id, "And make it pretty", on_busy="append") as stream:
        # It tells the run from its beginning, and ends at the pause like every other stream of it.
        told = StreamedAnswer(await stream.rest())
    assert told.end["status"] == "waiting_for_approval"
    assert (await run_of(office.client, stop.run)).status == "waiting"
    assert [one["approval_id"] for one in await pending(office.client, conversation.tenant_id)] == [stop.approval]
    office.upstream.enqueue(says("Here, and pretty."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True)
    assert rest.end["status"] == "completed"
    [appended] = rest.of("message_appended")
    turns = office.upstream.requests[1].body["messages"]
    assert [turn["role"] for turn in turns[-2:]] == ["tool", "user"]
    assert turns[-1]["content"] == "And make it pretty"
    messages = await office.client.messages(conversation.id)
    assert [message.status.value for message in messages] == ["completed"] * 3
    assert [message.content for message in messages] == ["Please do it.", "And make it pretty", "Here, and pretty."]
    assert str(messages[1].id) == appended["user_message_id"]
    assert office.times_asked == 2


async def test_cancel(office: Office) -> None:
    """A run that waits is cancelled at once; what it said stays, and its question cannot be answered any more."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    answer = (await cancel(office.client, stop.run)).expect(200).json
    assert answer["status"] == "cancelled"
    (await decide(office.client, stop.approval)).problem(409, "approval_superseded")
    assert await pending(office.client, conversation.tenant_id) == []
    assert await coupons(office.server, conversation.tenant_id) == []
    [_, stored] = await office.client.messages(conversation.id)
    assert stored.status.value == "cancelled"
    assert [(entry.name, entry.result, entry.error) for entry in stored.tool_log] == [
        ("generate_coupon", None, "cancelled")
    ]
    assert office.times_asked == 1


async def test_the_conversation_is_deleted_while_it_waits(office: Office) -> None:
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    (await office.client.delete(f"/conversations/{conversation.id}")).expect(204)
    (await decide(office.client, stop.approval)).problem(404, "not_found")
    assert await pending(office.client, conversation.tenant_id) == []
    assert await coupons(office.server, conversation.tenant_id) == []
