"""Two hundred answers at once, twice: every text as it was sent, and a process that does not grow."""

import asyncio

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
"""Bytes that the second round may add; a round that kept its events would add some fifteen megabytes."""


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


async def test_two_hundred_streams(retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream) -> None:
    """Once on PostgreSQL: what a process keeps does not depend on the database."""
    first = await hire(client, upstream, model=f"tokens-{TOKENS}-{BETWEEN * 1000:.0f}ms")
    conversations = [first, *await more_conversations(client, first, STREAMS - 1)]
    await _round(client, conversations)
    if is_twice := "sqlite" in retinue.environment["RETINUE_DATABASE_URL"]:
        before = memory(retinue)
        await _round(client, conversations)
        growth = memory(retinue) - before
        assert growth < GROWTH, f"{growth / 2**20:+.1f} MB on top of {before / 2**20:.0f} MB"
    stored = await asyncio.gather(*(client.messages(one.id) for one in conversations))
    expected = tokens(TOKENS).text
    for messages in stored:
        assert [message.content for message in messages] == ["Hello", expected] * (1 + is_twice)
        assert {message.status.value for message in messages} == {"completed"}
