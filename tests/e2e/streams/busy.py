"""A conversation in which an answer is being written, for as long as the test wants."""

import asyncio
from typing import NamedTuple

from retinue.domain.conversations import Conversation
from tests.e2e.streams.runs import run_id
from tests.e2e.streams.talk import check_stream
from tests.support.client import RetinueClient, StreamedAnswer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

FIRST = tokens(6)
SAID = tokens(3).text


class Busy(NamedTuple):
    """A conversation whose answer stands still after three tokens."""

    here: RetinueClient
    there: RetinueClient
    conversation: Conversation
    stream: EventStream
    upstream: ThreadedUpstream

    @property
    def run(self) -> str:
        return run_id(self.stream.seen[0])

    async def statuses(self) -> list[str]:
        return [message.status.value for message in await self.there.messages(self.conversation.id)]

    async def contents(self) -> list[str]:
        return [message.content for message in await self.there.messages(self.conversation.id)]

    def asked(self, index: int) -> list[str]:
        """What the model was shown of the conversation, with its request of this number."""
        return [turn["content"] for turn in self.upstream.requests[index].body["messages"] if turn["role"] != "system"]


async def whole(stream: EventStream) -> StreamedAnswer:
    """A stream of the `messages` protocol, read to its end."""
    async with asyncio.timeout(20):
        await stream.rest()
    return check_stream(stream.seen)
