"""What was revoked while a stream is open."""

import asyncio
from time import time
from uuid import UUID

import pytest

from retinue.crypto import Keyring
from retinue.domain.access import Scope
from retinue.security.key_book import FRESH_SECONDS
from retinue.security.secrets import load_server_secrets
from retinue.security.tokens import Claims, sign
from retinue.security.watch import CHECK_SECONDS
from tests.e2e.access.conftest import Office
from tests.e2e.streams.talk import after_tokens, begin, check_frames, check_stream, open_stream, problem, settled
from tests.support.client import RetinueClient
from tests.support.roles import open_database
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

ANSWER = tokens(20)


async def watch_events(client: RetinueClient, conversation: UUID) -> EventStream:
    """All of a conversation, for as long as it lasts."""
    response = await client._open("GET", f"/conversations/{conversation}/events", None, None, {})
    assert response.status == 200
    return EventStream(response)


async def is_cut(stream: EventStream) -> bool:
    """Whether it breaks off instead of ending; what came before is in order."""
    frames = await stream.to_any_end()
    check_frames([frame for frame in stream.seen if frame.data is not None])
    return stream.response.ending == "cut" and not any(frame.event == "message_end" for frame in frames)


def test_the_server_as_it_comes_is_in_time() -> None:
    """These tests' servers look oftener; the promise is a minute."""
    assert CHECK_SECONDS + FRESH_SECONDS < 45


@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
async def test_a_revoked_key_s_stream_breaks_off_and_the_run_goes_on(
    office: Office, upstream: ThreadedUpstream, on_disconnect: str
) -> None:
    lost, kept = await office.key(), await office.key()
    other = await office.more()
    upstream.enqueue(ANSWER.hold(3), ANSWER.hold(3))
    async with (
        await begin(lost.client, office.conversation.id, on_disconnect=on_disconnect) as stream,
        await begin(kept.client, other.id, on_disconnect=on_disconnect) as untouched,
        await watch_events(lost.client, other.id) as events,
        await watch_events(kept.client, office.conversation.id) as followed,
    ):
        await after_tokens(stream, 3)
        await after_tokens(untouched, 3)
        await events.until("token")
        await office.revoke(lost)
        assert await is_cut(stream)
        assert await is_cut(events)
        upstream.release()
        check_stream([*untouched.seen, *await untouched.to_any_end()])
        await followed.until("message_end")
    for conversation in (office.conversation, other):
        _, answer = await settled(office.operator, conversation.id)
        assert (answer.content, answer.status.value) == (ANSWER.text, "completed")
    assert "Traceback" not in office.server.output
    assert "never retrieved" not in office.server.output


async def test_a_token_s_stream_ends_with_its_key(office: Office, upstream: ThreadedUpstream) -> None:
    key = await office.key()
    browser = office.client(await office.token(key))
    upstream.enqueue(ANSWER.hold(3))
    async with await begin(browser, office.conversation.id) as stream:
        await after_tokens(stream, 3)
        last = stream.seen[-1].id
        await office.revoke(key)
        assert await is_cut(stream)
    async with await open_stream(browser, office.conversation.id, last_event_id=last) as response:
        await problem(response, 401, "unauthenticated")
    upstream.release()
    other = office.client(await office.token(await office.key()))
    async with await begin(other, office.conversation.id, last_event_id=last) as resumed:
        frames = await resumed.to_any_end()
    told = [frame.json["content"] for frame in (*stream.seen, *frames) if frame.event == "token"]
    assert "".join(told) == ANSWER.text
    assert frames[-1].event == "message_end"


async def short_lived(office: Office, key_id: str, seconds: int) -> str:
    """A token such as the server makes, with less time than it gives."""
    environment = office.server.environment
    database = open_database(environment["RETINUE_DATABASE_URL"])
    try:
        secrets = await load_server_secrets(database, Keyring.parse(environment["RETINUE_MASTER_KEYS"]))
    finally:
        await database.aclose()
    claims = Claims(
        tenant_id=office.tenant,
        key_id=UUID(key_id),
        user_id=office.conversation.user_id,
        scopes=(Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE),
        expires=int(time()) + seconds,
    )
    return sign(claims, secrets)[1]


async def test_a_token_s_stream_ends_with_its_time(office: Office, upstream: ThreadedUpstream) -> None:
    key = await office.key()
    browser = office.client(await short_lived(office, key.id, 3))
    upstream.enqueue(ANSWER.hold(3))
    async with (
        await begin(browser, office.conversation.id) as stream,
        await watch_events(key.client, office.conversation.id) as followed,
    ):
        await after_tokens(stream, 3)
        assert await is_cut(stream)
        (await browser.get("/conversations")).problem(401, "unauthenticated")
        upstream.release()
        await followed.until("message_end")


async def test_who_waits_for_an_answer_is_let_out_too(office: Office, upstream: ThreadedUpstream) -> None:
    key = await office.key()
    upstream.enqueue(ANSWER.hold(3))
    body = {"content": "Hello", "respond": True}
    asking = asyncio.create_task(key.client.post(f"/conversations/{office.conversation.id}/messages", body))
    await asyncio.to_thread(upstream.wait_for_request)
    await office.revoke(key)
    (await asking).problem(401, "access_ended")
    upstream.release()
    _, answer = await settled(office.operator, office.conversation.id)
    assert answer.content == ANSWER.text
