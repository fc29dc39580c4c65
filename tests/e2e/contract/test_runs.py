"""Runs over the wire: read, followed, cancelled."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import Vendor
from tests.e2e.contract.wire import RawAnswer, fetch
from tests.support import http1
from tests.support.client import API
from tests.support.server import RetinueServer
from tests.support.sse import EventStream
from tests.support.upstream import Hold, Scenario, Text, ThreadedUpstream

pytestmark = pytest.mark.slow

HELD = Scenario(pieces=(Text("One"), Hold(), Text(" two")))
CONNECTED = b": connected\n"


def get(server: RetinueServer, path: str, **headers: str) -> RawAnswer:
    given = {"x-api-key": server.key or "", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return fetch(server.address, "GET", API + path, headers=given)


def body_of(answer: RawAnswer) -> bytes:
    """The content of a chunked answer that ended properly."""
    content, rest = b"", answer.body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return content
        content, rest = content + rest[:length], rest[length + 2 :]


async def follow(client: CheckedClient, path: str) -> EventStream:
    response = await client._open("GET", path, None, None, {})
    assert response.status == 200, await response.read()
    return EventStream(response)


async def held(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> tuple[Conversation, EventStream, str]:
    """A conversation with a run whose model does not go on after its first word."""
    upstream.enqueue(HELD)
    conversation = await vendor.hire(client)
    stream = await client.stream(conversation.id, "Hi")
    run = (await anext(stream)).json["run_id"]
    await stream.until("token")
    return conversation, stream, run


@pytest.mark.parametrize("protocol", ["messages", "events"])
async def test_a_run_is_told_again_to_the_byte(client: CheckedClient, retinue: RetinueServer, protocol: str) -> None:
    conversation = await client.hire()
    asked = await client.ask(conversation.id, "Hello there", protocol=protocol)
    run = asked.frames[0].json["run_id"]
    told = b"".join(frame.raw for frame in asked.frames)
    path = f"/runs/{run}/stream?protocol={protocol}"
    assert body_of(get(retinue, path)) == CONNECTED + told
    for number, frame in enumerate(asked.frames[:-1]):
        rest = CONNECTED + b"".join(later.raw for later in asked.frames[number + 1 :])
        assert body_of(get(retinue, path, last_event_id=frame.id or "")) == rest
        assert body_of(get(retinue, f"{path}&after={frame.id}")) == rest
    done = get(retinue, path, last_event_id=asked.frames[-1].id or "")
    assert (done.status, done.body) == (204, b"")
    read = (await client.get(f"/runs/{run}")).expect(200).json
    assert (read["status"], read["finish_reason"]) == ("completed", "stop")
    assert [each["id"] for each in (await client.get(f"/conversations/{conversation.id}/runs")).json] == [run]


async def test_stored_events_are_those_of_the_stream(client: CheckedClient) -> None:
    conversation = await client.hire()
    asked = await client.ask(conversation.id, "Hello there, once more", protocol="events")
    path: str | None = f"/runs/{asked.frames[0].json['run_id']}/events?limit=3"
    found: list[Any] = []
    while path:
        answer = await client.get(path)
        found += answer.expect(200).json
        link = answer.header("link")
        path = link[1 : link.index(">")] if link else None
    assert found == [frame.json for frame in asked.frames]


async def test_an_event_that_is_not_there_is_refused(client: CheckedClient) -> None:
    conversation = await client.hire()
    run = (await client.post_message(conversation.id, "Hi", respond=True)).expect(200).json["run_id"]
    other = (await client.post_message(conversation.id, "Hi", respond=True)).expect(200).json["run_id"]
    for path in (f"/runs/{run}/stream", f"/runs/{run}/events", f"/conversations/{conversation.id}/events"):
        (await client.get(f"{path}?after={run}:1-999")).problem(422, "unknown_event_id")
        (await client.get(f"{path}?after={run}:2-1")).problem(422, "unknown_event_id")
        (await client.get(f"{path}?after=nonsense")).problem(422, "invalid_event_id")
    (await client.get(f"/runs/{run}/stream?after={other}:1-1")).problem(422, "unknown_event_id")
    stranger = await client.hire()
    (await client.get(f"/conversations/{stranger.id}/events?after={run}:1-1")).problem(404, "not_found")


async def test_a_conversation_is_followed_from_run_to_run(client: CheckedClient, retinue: RetinueServer) -> None:
    conversation = await client.hire()
    path = f"/conversations/{conversation.id}/events"
    async with await follow(client, path) as stream:
        asked = [await client.ask(conversation.id, text) for text in ("One", "Two")]
        expected = [frame.id for answer in asked for frame in answer.frames]
        assert [frame.id for frame in await stream.take(len(expected))] == expected
        (await client.patch(f"/conversations/{conversation.id}", {"status": "closed"})).expect(200)
        assert await stream.rest() == []
    assert get(retinue, path, last_event_id=expected[-1] or "").status == 204
    assert get(retinue, path).status == 204
    first_end = asked[0].frames[-1].id
    rest = body_of(get(retinue, f"{path}?after={first_end}"))
    assert rest == CONNECTED + b"".join(frame.raw for frame in asked[1].frames)


async def test_a_conversation_that_is_silent_greets_at_once(client: CheckedClient) -> None:
    conversation = await client.hire()
    async with await client._open("GET", f"/conversations/{conversation.id}/events", None, None, {}) as response:
        assert response.header("content-type") == "text/event-stream; charset=utf-8"
        assert await anext(response.pieces()) == CONNECTED + b"id: %b:0-0\n\n" % str(conversation.id).encode()
    last = (await client.ask(conversation.id, "One")).frames[-1].id or ""
    async with await client._open("GET", f"/conversations/{conversation.id}/events", None, None, {}) as response:
        assert await anext(response.pieces()) == CONNECTED + b"id: %b\n\n" % last.encode()


async def test_a_conversation_from_its_beginning(client: CheckedClient, retinue: RetinueServer) -> None:
    conversation = await client.hire()
    path, start = f"/conversations/{conversation.id}/events", f"{conversation.id}:0-0"
    asked = [await client.ask(conversation.id, text) for text in ("One", "Two")]
    (await client.patch(f"/conversations/{conversation.id}", {"status": "closed"})).expect(200)
    whole = CONNECTED + b"".join(frame.raw for answer in asked for frame in answer.frames)
    assert body_of(get(retinue, f"{path}?after={start}")) == whole
    assert body_of(get(retinue, path, last_event_id=start)) == whole
    stranger = await client.hire()
    (await client.get(f"/conversations/{stranger.id}/events?after={start}")).problem(404, "not_found")
    (await client.get(f"/runs/{asked[0].start['run_id']}/stream?after={start}")).problem(422, "unknown_event_id")


async def test_a_cancelled_run_keeps_what_it_said_and_says_what_it_cost(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation, stream, run = await held(client, upstream, vendor)
    async with stream:
        first = (await client.post(f"/runs/{run}/cancel")).expect(200).json
        await stream.rest()
    assert (first["run_id"], first["status"]) == (run, "cancelled")
    receipt = first["receipt"]
    assert receipt["requested_at"] <= receipt["socket_closed_at"]
    assert receipt["tokens_received"] >= 1
    assert stream.seen[-1].json["status"] == "cancelled"
    assert (await client.post(f"/runs/{run}/cancel")).expect(200).json == first
    assert (await client.get(f"/runs/{run}")).json["receipt"] == receipt
    _, answer = await client.messages(conversation.id)
    assert (answer.content, answer.status.value) == ("One", "cancelled")
    assert (await client.post(f"/conversations/{conversation.id}/cancel")).expect(200).json == []


async def test_a_run_that_completed_cannot_be_cancelled(client: CheckedClient) -> None:
    conversation = await client.hire()
    run = (await client.post_message(conversation.id, "Hi", respond=True)).expect(200).json["run_id"]
    problem = (await client.post(f"/runs/{run}/cancel")).problem(409, "run_ended")
    assert "completed" in problem["detail"]


async def test_a_conversation_is_cancelled_with_all_that_waits(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation, stream, run = await held(client, upstream, vendor)
    async with stream, await client.stream(conversation.id, "Next", on_busy="enqueue") as waiting:
        queued = (await anext(waiting)).json["run_id"]
        listed = (await client.get(f"/conversations/{conversation.id}/runs?status=queued")).expect(200).json
        assert [each["id"] for each in listed] == [queued]
        cancelled = (await client.post(f"/conversations/{conversation.id}/cancel")).expect(200).json
        assert {(each["run_id"], each["status"]) for each in cancelled} == {(run, "cancelled"), (queued, "cancelled")}
        await waiting.rest()
        await stream.rest()
    assert waiting.seen[-1].json["finish_reason"] == "withdrawn"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_client_that_goes_takes_its_run_along_if_it_said_so(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor, is_streamed: bool
) -> None:
    upstream.enqueue(HELD)
    conversation = await vendor.hire(client)
    body = {"content": "Hi", "on_disconnect": "cancel"} | ({} if is_streamed else {"respond": True})
    path = f"{API}/conversations/{conversation.id}/messages" + ("/stream" if is_streamed else "")
    await _send_and_leave(client, path, body, upstream)
    await asyncio.to_thread(upstream.wait_for_close)
    [run] = (await client.get(f"/conversations/{conversation.id}/runs")).expect(200).json
    async with await follow(client, f"/runs/{run['id']}/stream") as stream:
        assert (await stream.rest())[-1].json["status"] == "cancelled"
    assert (await client.get(f"/runs/{run['id']}")).expect(200).json["status"] == "cancelled"


async def _send_and_leave(client: CheckedClient, path: str, body: object, upstream: ThreadedUpstream) -> None:
    """Go away as soon as the model has been asked."""
    host, _, port = client.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    content = msgspec.json.encode(body)
    headers = client.headers | {"content-type": "application/json"}
    writer.write(http1._head("POST", path, client.address, content, headers) + content)
    await asyncio.to_thread(upstream.wait_for_request)
    writer.close()
    await writer.wait_closed()
