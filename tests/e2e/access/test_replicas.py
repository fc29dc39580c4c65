"""Revoked at one replica, closed at the other, by the real clock."""

from time import monotonic

import pytest

from tests.e2e.access.conftest import open_office
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import after_tokens, begin, eventually, settled
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

PROMISED = 5.0
ANSWER = tokens(10)


async def test_a_revoked_key_opens_nothing_at_the_other_replica_after_five_seconds(
    replicas: Replicas, upstream: ThreadedUpstream
) -> None:
    office = await open_office(replicas.here, upstream)
    key = await office.key()
    there = office.client(key.client.headers["authorization"].removeprefix("Bearer "), at=replicas.there)
    upstream.enqueue(ANSWER.hold(2))
    async with await begin(there, office.conversation.id) as stream:
        await after_tokens(stream, 2)

        async def is_closed() -> bool | None:
            answer = await there.get("/conversations")
            assert answer.status in {200, 401}, answer
            return answer.status == 401 or None

        revoked_at = monotonic()
        await office.revoke(key)
        assert (await key.client.get("/conversations")).status == 401
        assert await eventually(is_closed, within=PROMISED)
        assert monotonic() - revoked_at < PROMISED
        await stream.to_any_end()
        assert stream.response.ending == "cut"
    upstream.release()
    _, answer = await settled(office.operator, office.conversation.id)
    assert answer.content == ANSWER.text


async def test_a_page_that_was_listed_at_one_replica_reads_at_the_other(
    replicas: Replicas, upstream: ThreadedUpstream
) -> None:
    office = await open_office(replicas.here, upstream)
    page, key = "https://app.example.com", await office.key("admin")
    there = office.client(key.client.headers["authorization"].removeprefix("Bearer "), at=replicas.there)

    async def reads() -> str | None:
        answer = await there.call("GET", "/conversations", headers={"origin": page})
        return answer.expect(200).header("access-control-allow-origin")

    assert await reads() is None
    (await key.client.put(f"/tenants/{office.tenant}/origins", {"origins": [page]})).expect(200)
    assert await eventually(reads, within=PROMISED) == page
