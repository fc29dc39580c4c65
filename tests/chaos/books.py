"""The database after the storm: what must hold for every conversation, run and page of the ledger."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from tests.chaos.logs import check_log, counting_text, sha256, stored_log, tail_of
from tests.chaos.posts import Post
from tests.chaos.world import asked_for
from tests.e2e.streams.store import rows
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream

ANSWER_OF = {
    RunStatus.COMPLETED: MessageStatus.COMPLETED,
    RunStatus.FAILED: MessageStatus.FAILED,
    RunStatus.CANCELLED: MessageStatus.CANCELLED,
}


class Active(NamedTuple):
    run: str
    status: str
    attempt: int


async def active_runs(server: ForkedServer) -> list[Active]:
    """Runs that are not over, as the database has them; the server need not live."""
    found = await rows(server, "SELECT id, status, attempt FROM runs WHERE finished_at IS NULL")
    return [Active(str(run), status, attempt) for run, status, attempt in found]


async def recovery_of(server: ForkedServer, lost: Sequence[Active], *, within: float) -> float:
    """Seconds until each of these runs has another owner, waits for a person, or has ended."""
    started = time.monotonic()
    left = {(one.run, one.attempt) for one in lost if one.status == "running"}
    while left:
        now = {(one.run, one.attempt) for one in await active_runs(server) if one.status == "running"}
        left &= now
        took = time.monotonic() - started
        assert not left or took < within, f"nobody has taken over {sorted(left)} within {within} s"
        await asyncio.sleep(0.05 if left else 0)
    return time.monotonic() - started


async def all_over(server: ForkedServer, *, within: float) -> None:
    """Wait until no run is active any more."""
    deadline = time.monotonic() + within
    while active := await active_runs(server):
        assert time.monotonic() < deadline, f"still not over after {within} s: {active}"
        await asyncio.sleep(0.05)


async def check_books(
    client: RetinueClient,
    server: ForkedServer,
    upstream: ThreadedUpstream,
    conversations: Sequence[UUID],
    posts: Sequence[Post],
) -> list[Run]:
    """Everything that must hold once all is over; returns all runs of these conversations."""
    found: list[Run] = []
    for conversation in conversations:
        messages = await _messages(client, conversation)
        runs = await _runs(client, conversation)
        _check_messages(messages, [post for post in posts if post.conversation == conversation])
        stored = {message.id: message for message in messages}
        for run in runs:
            await _check_run(client, run, stored)
        _check_requests(upstream, messages, runs, [post for post in posts if post.conversation == conversation])
        found += runs
    assert not await rows(server, "SELECT run_id FROM ledger WHERE closed_at IS NULL OR outcome = 'open'")
    return found


async def _pages(client: RetinueClient, path: str) -> list[Any]:
    following: str | None = f"{path}?limit=200"
    items: list[Any] = []
    while following is not None:
        answer = (await client.get(following)).expect(200)
        items += answer.json
        link = answer.header("link")
        following = None if link is None else link.partition("<")[2].partition(">")[0]
    return items


async def _messages(client: RetinueClient, conversation: UUID) -> list[Message]:
    return msgspec.convert(await _pages(client, f"/conversations/{conversation}/messages"), list[Message])


async def _runs(client: RetinueClient, conversation: UUID) -> list[Run]:
    return msgspec.convert(await _pages(client, f"/conversations/{conversation}/runs"), list[Run])


def _check_messages(messages: Sequence[Message], posts: Sequence[Post]) -> None:
    positions = [message.position for message in messages]
    assert positions == list(range(1, len(messages) + 1)), positions
    open_ones = [message for message in messages if message.status in {MessageStatus.PENDING, MessageStatus.STREAMING}]
    assert not open_ones, open_ones
    for post in posts:
        copies = [one for one in messages if one.role is Role.USER and one.content == post.content]
        bounds = (1, 1) if post.is_acknowledged else (0, 1 if post.key else post.tries)
        assert bounds[0] <= len(copies) <= bounds[1], f"{len(copies)} of {post}"
        if post.is_refused and not post.is_acknowledged and post.tries == 1:
            assert not copies, post


async def _check_run(client: RetinueClient, run: Run, stored: dict[UUID, Message]) -> None:
    assert run.status not in ACTIVE_STATUSES, run
    log = await stored_log(client, run.id)
    try:
        end = check_log(log)
        answer = stored[run.message_id]
        text = counting_text(log)
        assert answer.content == text, f"stored {answer.content!r}, told {text!r}"
        assert run.text_sha256 == end["text_sha256"] == sha256(text)
        assert run.event_count == end["event_count"]
        assert end["type"] == f"run.{run.status.value}"
        assert answer.status is ANSWER_OF[run.status]
        assert run.finished_at is not None
        assert answer.run_id == run.id
        question = stored[run.user_message_id]
        assert question.role is Role.USER
        assert question.position < answer.position
    except AssertionError as error:
        raise AssertionError(f"{error}\n{run}\n{tail_of(log)}") from error


def _check_requests(
    upstream: ThreadedUpstream, messages: Sequence[Message], runs: Sequence[Run], posts: Sequence[Post]
) -> None:
    """The provider is asked at most once per attempt for each message; only a run's end may keep it unasked."""
    run_of = {run.user_message_id: run for run in runs}
    by_id = {run.id: run for run in runs}
    for post in posts:
        asked = len(asked_for(upstream, post.marker))
        for message in (one for one in messages if one.role is Role.USER and one.content == post.content):
            run = run_of.get(message.id) or (by_id.get(message.run_id) if message.run_id else None)
            limit = run.attempt if run else 0
            if post.key or post.is_acknowledged:
                assert asked <= limit, f"asked {asked} times for {post.marker}: {run}"
