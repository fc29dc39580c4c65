"""How long messages may be, how fast they may come, and how long a session lasts: on both sides of each edge."""

import pytest

from tests.e2e.tools.shelves import age_conversation
from tests.e2e.tools.work import SHOP, Office, continued, pause, paused, wants, wish
from tests.support.client import RetinueClient
from tests.support.upstream import says

pytestmark = pytest.mark.slow

EDGE = 10_000
HOUR = 3600


@pytest.mark.parametrize("char", ["x", "й", "🚚"])
async def test_the_length_of_a_message(office: Office, char: str) -> None:
    """S4-27: counted in characters, whatever they take in bytes."""
    conversation = await office.hire()
    (await office.client.post_message(conversation.id, char * EDGE)).expect(200)
    (await office.client.post_message(conversation.id, char * (EDGE + 1))).problem(422, "validation_failed")
    office.upstream.enqueue(says("Long."))
    assert (await office.client.ask(conversation.id, char * EDGE)).end["status"] == "completed"
    path = f"/conversations/{conversation.id}/messages"
    for body in ({"respond": True}, {}):
        way = path if body else f"{path}/stream"
        (await office.client.post(way, {"content": char * (EDGE + 1), **body})).problem(422, "validation_failed")
    for content in ("", " \t\n"):
        (await office.client.post_message(conversation.id, content)).problem(422, "validation_failed")
    assert [len(message.content) for message in await office.client.messages(conversation.id)] == [EDGE, EDGE, 5]


async def fill(client: RetinueClient, conversation: object, count: int = 10) -> None:
    for number in range(count):
        (await client.post(f"/conversations/{conversation}/messages", {"content": f"{number}"})).expect(200)


async def test_the_eleventh_message(strict: Office) -> None:
    """S4-29: ten in ten seconds; one that is refused does not count, nor does one that is too long."""
    conversation = await strict.hire()
    client, path = strict.client, f"/conversations/{conversation.id}/messages"
    await fill(client, conversation.id, 9)
    (await client.post(path, {"content": "x" * (EDGE + 1)})).problem(422, "validation_failed")
    await fill(client, conversation.id, 1)
    for way, more in ((path, {}), (path, {"respond": True}), (f"{path}/stream", {})):
        answer = await client.post(way, {"content": "One too many", **more})
        answer.problem(429, "rate_limited")
        assert 1 <= int(answer.header("retry-after") or "0") <= 10
    neighbour = await client.create_conversation(conversation.tenant_id, conversation.employee_id)
    (await client.post_message(neighbour.id, "Here it is quiet")).expect(200)
    # The length is looked at before the rate.
    (await client.post(path, {"content": "x" * (EDGE + 1)})).problem(422, "validation_failed")
    await age_conversation(strict.server, conversation.id, seconds=10)
    await fill(client, conversation.id)
    (await client.post_message(conversation.id, "One too many")).problem(429, "rate_limited")
    assert len(await client.messages(conversation.id)) == 20
    assert strict.times_asked == 0


async def test_the_window_slides(strict: Office) -> None:
    conversation = await strict.hire()
    await fill(strict.client, conversation.id, 4)
    await age_conversation(strict.server, conversation.id, seconds=6)
    await fill(strict.client, conversation.id, 6)
    answer = await strict.client.post_message(conversation.id, "One too many")
    answer.problem(429, "rate_limited")
    assert int(answer.header("retry-after") or "0") <= 4, "until the oldest of them leaves the window"
    await age_conversation(strict.server, conversation.id, seconds=4)
    await fill(strict.client, conversation.id, 4)
    (await strict.client.post_message(conversation.id, "One too many")).problem(429, "rate_limited")


async def test_decisions_are_not_counted(strict: Office) -> None:
    """S4-29: who has said enough may still decide."""
    conversation = await strict.hire(*SHOP)
    await fill(strict.client, conversation.id, 9)
    stop = await pause(strict, conversation, *(wish("generate_coupon", discount_percent=1) for _ in range(3)))
    for approval in stop.approvals[:-1]:
        paused(await continued(strict.client, stop.run, approval, approved=True))
    strict.upstream.enqueue(says("Three."))
    rest = await continued(strict.client, stop.run, stop.approvals[-1], approved=True)
    assert rest.end["status"] == "completed"
    (await strict.client.post_message(conversation.id, "Hello?")).problem(429, "rate_limited")


async def test_a_session_expires_and_is_reopened(office: Office) -> None:
    """S4-32, X-12: not before its time; then every message is refused until somebody reopens it."""
    conversation = await office.hire(session_ttl_seconds=HOUR)
    client, path = office.client, f"/conversations/{conversation.id}"
    (await client.post_message(conversation.id, "Hello")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=HOUR - 60)
    (await client.post_message(conversation.id, "Still there")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=HOUR - 60)
    (await client.post_message(conversation.id, "And again: the session slides")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=HOUR + 1)
    for way, more in (("messages", {}), ("messages", {"respond": True}), ("messages/stream", {})):
        answer = await client.post(f"{path}/{way}", {"content": "Too late", **more})
        answer.problem(409, "session_expired")
    assert len(await client.messages(conversation.id)) == 3
    (await client.patch(path, {"title": "Later"})).expect(200)
    (await client.post_message(conversation.id, "A title reopens nothing")).problem(409, "session_expired")
    reopened = (await client.patch(path, {"status": "active"})).expect(200).json
    assert reopened["reopened_at"] is not None
    (await client.post_message(conversation.id, "Welcome back")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=HOUR + 1)
    (await client.post_message(conversation.id, "Too late again")).problem(409, "session_expired")
    (await client.patch(path, {"status": "active"})).expect(200)
    await age_conversation(office.server, conversation.id, seconds=HOUR - 60)
    office.upstream.enqueue(says("Welcome."))
    assert (await client.ask(conversation.id, "Back in time")).end["status"] == "completed"


async def test_a_session_of_no_length(office: Office) -> None:
    """S4-32: it takes the first message, and expires at once."""
    conversation = await office.hire(session_ttl_seconds=0)
    office.upstream.enqueue(says("Hello."))
    assert (await office.client.ask(conversation.id, "Hello")).end["status"] == "completed"
    (await office.client.post_message(conversation.id, "Again")).problem(409, "session_expired")
    (await office.client.patch(f"/conversations/{conversation.id}", {"session_ttl_seconds": None})).expect(200)
    (await office.client.post_message(conversation.id, "Again")).expect(200)


async def test_what_waits_keeps_a_session_alive(office: Office) -> None:
    """S4-33: even one of no length; it expires after the run's end."""
    conversation = await office.hire(*SHOP, session_ttl_seconds=0)
    stop = await pause(office, conversation, wish("generate_coupon", discount_percent=1))
    await age_conversation(office.server, conversation.id, seconds=HOUR)
    (await office.client.post_message(conversation.id, "Hm", respond=True)).problem(409, "conversation_busy")
    office.upstream.enqueue(wants(wish("generate_coupon", discount_percent=2)))
    again = paused(await continued(office.client, stop.run, stop.approval, approved=True))
    office.upstream.enqueue(says("Two."))
    rest = await continued(office.client, stop.run, again.approval, approved=True)
    assert rest.end["status"] == "completed"
    (await office.client.post_message(conversation.id, "Hm")).problem(409, "session_expired")


async def test_the_servers_own_session_length(office: Office) -> None:
    """S4-32: 1800 seconds where the conversation says nothing."""
    conversation = await office.hire()
    (await office.client.post_message(conversation.id, "Hello")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=1790)
    (await office.client.post_message(conversation.id, "Hello")).expect(200)
    await age_conversation(office.server, conversation.id, seconds=1801)
    (await office.client.post_message(conversation.id, "Hello")).problem(409, "session_expired")
