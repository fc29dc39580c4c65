"""kill -9 at random points, again and again, while people talk: nothing lost, nothing doubled, nothing left open."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median

import pytest

from retinue.domain.conversations import Conversation
from tests.chaos.books import Active, active_runs, all_over, check_books, recovery_of
from tests.chaos.posts import GONE, Post, draw_post
from tests.chaos.sizes import SIZES
from tests.chaos.world import LEASE_SECONDS, PATIENCE, RECOVERY_SECONDS, hire
from tests.e2e.streams.runs import cancel
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import more_conversations
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.server import is_ready
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

LEASE = LEASE_SECONDS


STOPPED = 0.2
KILLED_TWICE = 0.3
KILLED_TOGETHER = 0.15
"""Shares of the posts, of the rounds, and of the kills."""


class Storm:
    """One round: posts from everywhere, a kill in the middle, and what is left of it."""

    def __init__(
        self, world: Replicas, upstream: ThreadedUpstream, rng: random.Random, conversations: Sequence[Conversation]
    ) -> None:
        self.world, self.upstream, self.rng = world, upstream, rng
        self.conversations = [conversation.id for conversation in conversations]
        self.clients = [server.client() for server in world]
        self.posts: list[Post] = []
        self.recoveries: list[float] = []
        self.kills = 0
        self.lost: list[Active] = []

    async def rage(self, number: int) -> None:
        """Let everybody post and a few press stop; meanwhile kill one process, or all, once or twice."""
        for conversation in self.conversations:
            for _ in range(self.rng.randint(1, 4)):
                self.posts.append(draw_post(self.rng, conversation, f"<{number}.{len(self.posts)}>"))
        posting = [asyncio.create_task(self._post(post)) for post in self.posts]
        stopping = [asyncio.create_task(self._stop(post)) for post in self.posts if self.rng.random() < STOPPED]
        await asyncio.sleep(self.rng.uniform(0.1, 1.2))
        await self._kill()
        if self.rng.random() < KILLED_TWICE:
            await asyncio.sleep(self.rng.uniform(0, LEASE_SECONDS + 1))
            await self._kill()
        await self._see_recovery()
        await asyncio.gather(*posting, *stopping)

    async def _kill(self) -> None:
        """Kill one or all, and start them again."""
        together = self.rng.random() < KILLED_TOGETHER
        victims = [*dict.fromkeys(self.world)] if together else [self.rng.choice(self.world)]
        for victim in victims:
            victim.kill()
        self.kills += len(victims)
        self.lost = await active_runs(self.world.here)
        for victim in victims:
            victim.start_soon()

    async def _see_recovery(self) -> None:
        """What was lost is taken over in time, counted from when somebody lives who can do it."""
        killed_at = time.monotonic()
        await asyncio.to_thread(wait_for_any, self.world)
        # What a survivor runs is among them; it is short and ends by itself.
        took = await recovery_of(self.world.here, self.lost, within=RECOVERY_SECONDS)
        self.recoveries += [time.monotonic() - killed_at] if took > 0.1 else []
        for server in set(self.world):
            await asyncio.to_thread(server.wait_until_ready)

    async def _post(self, post: Post) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.8))
        await post.attempt(self.rng.choice(self.clients))
        deadline = time.monotonic() + PATIENCE
        while post.key and not post.is_acknowledged and not post.is_refused and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            await post.attempt(self.rng.choice(self.clients))

    async def _stop(self, post: Post) -> None:
        """Cancel the run of a post, if it is known by then and somebody listens."""
        await asyncio.sleep(self.rng.uniform(0.2, 2.0))
        if post.run is not None:
            with suppress(*GONE):
                answer = await cancel(self.rng.choice(self.clients), post.run)
                post.note += f" cancel: {answer.status}"

    async def settle(self) -> int:
        """Wait for all ends, then look at everything; returns how many attempts there were beyond the first."""
        await asyncio.gather(*(post.read_to_the_end(self.clients, self.rng, within=PATIENCE) for post in self.posts))
        await all_over(self.world.here, within=PATIENCE)
        client = self.rng.choice(self.clients)
        runs = await check_books(client, self.world.here, self.upstream, self.conversations, self.posts)
        for post in self.posts:
            post.check()
        return sum(run.attempt - 1 for run in runs)


def wait_for_any(world: Replicas) -> None:
    """Until one of them is ready."""
    world.here.process.wait_until(lambda: any(is_ready(server.port) for server in world), within=PATIENCE)


async def _rounds(
    world: Replicas, upstream: ThreadedUpstream, rng: random.Random, figure: Callable[[str], None]
) -> None:
    client: RetinueClient = world.here.client()
    first = await hire(client, upstream)
    recoveries: list[float] = []
    attempts = posts = kills = 0
    started = time.monotonic()
    for number in range(SIZES.kill_rounds):
        conversations = await more_conversations(client, first, SIZES.kill_conversations)
        upstream.reset()
        storm = Storm(world, upstream, rng, conversations)
        try:
            await storm.rage(number)
            attempts += await storm.settle()
        except BaseException as error:
            error.add_note(f"in round {number}; posts:\n" + "\n".join(_line(post) for post in storm.posts))
            raise
        recoveries += storm.recoveries
        posts += len(storm.posts)
        kills += storm.kills
    recovery = (
        "nothing was lost"
        if not recoveries
        else f"recovery median {median(recoveries):.2f} s, longest {max(recoveries):.2f} s"
    )
    took = time.monotonic() - started
    figure(f"{SIZES.kill_rounds} rounds, {kills} kills, {posts} posts, {attempts} runs taken over, {took:.0f} s in all")
    figure(recovery)


def _line(post: Post) -> str:
    seen = post.seen[-1].id if post.seen else None
    word = "acknowledged" if post.is_acknowledged else "refused" if post.is_refused else "unknown"
    return f"  {post.marker} {post.kind} {post.on_busy} key={bool(post.key)} {word} last={seen} {post.note[:120]}"


async def test_one_process_on_sqlite(
    alone: ForkedServer, upstream: ThreadedUpstream, rng: random.Random, figure: Callable[[str], None]
) -> None:
    await _rounds(Replicas(alone, alone), upstream, rng, figure)


async def test_two_replicas_on_postgresql(
    replicas: Replicas, upstream: ThreadedUpstream, rng: random.Random, figure: Callable[[str], None]
) -> None:
    await _rounds(replicas, upstream, rng, figure)
