"""Two hundred answers at once, more than once: every text as it was sent, and a process that does not grow."""

import asyncio
from collections.abc import Awaitable, Callable

import psutil
import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.talk import check_stream, hire, more_conversations
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

STREAMS, TOKENS = 200, 100
BETWEEN = 0.02
DEADLINE = 60.0
GROWTH = 7 * 1024 * 1024
"""Bytes that a round may add; one that kept its events would add some fifteen megabytes."""
MOST_ROUNDS = 4
"""Until one adds next to nothing: a process takes a while to have as much of caches and garbage as it wants.
One that leaks adds to itself in each round."""


def memory(server: RetinueServer) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


async def _round(client: RetinueClient, conversations: list[Conversation]) -> None:
    async with asyncio.timeout(DEADLINE):
        answers = await asyncio.gather(*(client.ask(one.id, "Hello") for one in conversations))
    expected = tokens(TOKENS).text
    for answer in answers:
        assert answer.text == expected
        assert answer.end["status"] == "completed"
        assert answer.end["token_count"] == TOKENS
    check_stream(answers[0].frames)


async def _until_it_stays(server: RetinueServer, run: Callable[[], Awaitable[None]]) -> int:
    """How many rounds that took."""
    grown: list[float] = []
    while len(grown) < MOST_ROUNDS:
        before = memory(server)
        await run()
        grown.append((memory(server) - before) / 2**20)
        if grown[-1] * 2**20 < GROWTH:
            return len(grown)
    raise AssertionError(f"each round makes it larger, by {grown} MB")


async def test_two_hundred_streams(retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream) -> None:
    """Once on PostgreSQL: what a process keeps does not depend on the database."""
    first = await hire(client, upstream, model=f"tokens-{TOKENS}-{BETWEEN * 1000:.0f}ms")
    conversations = [first, *await more_conversations(client, first, STREAMS - 1)]
    await _round(client, conversations)
    rounds = 1
    if "sqlite" in retinue.environment["RETINUE_DATABASE_URL"]:
        rounds += await _until_it_stays(retinue, lambda: _round(client, conversations))
    stored = await asyncio.gather(*(client.messages(one.id) for one in conversations))
    expected = tokens(TOKENS).text
    for messages in stored:
        assert [message.content for message in messages] == ["Hello", expected] * rounds
        assert {message.status.value for message in messages} == {"completed"}
