"""The fake upstream, read with a client that sees every byte."""

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support import http1
from tests.support.upstream import (
    Comment,
    Cut,
    FakeUpstream,
    Pause,
    Scenario,
    Text,
    Tool,
    refusal,
    says,
    tokens,
    upstream_in_thread,
)
from tests.support.upstream.catalogue import SERIES_MARK
from tests.unit.support.asking import CHAT, MESSAGES, PATHS, ask, read, read_from, text_of


@PATHS
async def test_echoes_the_last_user_message_unless_told_otherwise(upstream: FakeUpstream, path: str) -> None:
    response = await read(upstream, path, content="héllo  wörld\n")
    assert response.ending == "complete"
    assert response.header("content-type") == "text/event-stream; charset=utf-8"
    assert text_of(response) == "You said: héllo  wörld\n"
    assert upstream.requests[0].completed_at is not None
    assert not upstream.requests[0].was_abandoned


@PATHS
async def test_takes_scenarios_from_the_queue_in_order(upstream: FakeUpstream, path: str) -> None:
    upstream.enqueue(says("one"), refusal(429, retry_after="2"))
    assert text_of(await read(upstream, path)) == "one"
    second = await read(upstream, path)
    assert (second.status, second.header("retry-after")) == (429, "2")
    assert "error" in msgspec.json.decode(second.body)


@PATHS
async def test_plays_one_scenario_per_step_if_told_so(upstream: FakeUpstream, path: str) -> None:
    series = SERIES_MARK + msgspec.json.encode([says("one"), says("two")]).decode()
    asked = {"role": "user", "content": series}
    answered = {"role": "assistant", "content": "calls"}
    is_chat = path == CHAT
    result: object = "done" if is_chat else [{"type": "tool_result", "tool_use_id": "1", "content": "done"}]
    told = {"role": "tool" if is_chat else "user", "content": result}
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert text_of(await read(upstream, path, messages=[*earlier, asked])) == "one"
    assert text_of(await read(upstream, path, messages=[*earlier, asked, answered, told])) == "two"


async def test_complains_about_a_scenario_that_nobody_asked_for() -> None:
    with pytest.raises(AssertionError, match="1 enqueued"):
        async with FakeUpstream() as upstream:
            upstream.enqueue(says("never"))


async def test_complains_about_a_scenario_that_cannot_be_played() -> None:
    upstream = FakeUpstream()
    await upstream.start()
    upstream.enqueue(Scenario(pieces=(Tool("{}"),)))
    assert (await read(upstream, MESSAGES)).ending == "cut"
    await upstream.stop()
    with pytest.raises(AssertionError, match="belongs to no open block"):
        upstream.check()


async def test_plays_a_scenario_that_the_user_message_spells_out(upstream: FakeUpstream) -> None:
    content = 'scenario:{"pieces": [{"do": "text", "text": "Hel"}, {"do": "cut", "how": "fin"}]}'
    response = await read(upstream, content=content)
    assert (text_of(response), response.ending) == ("Hel", "cut")


@PATHS
@pytest.mark.parametrize(
    ("cut", "ending"),
    [(Cut("rst"), "cut"), (Cut("fin"), "cut"), (Cut("rst", mid_frame=True), "cut"), (Cut("clean"), "complete")],
)
async def test_cuts_where_it_is_told(upstream: FakeUpstream, path: str, cut: Cut, ending: str) -> None:
    upstream.enqueue(Scenario(pieces=(Text("a"), Text("b"), cut, Text("c"))))
    response = await read(upstream, path)
    assert (text_of(response), response.ending) == ("ab", ending)
    assert b"stop" not in response.body.split(b"content_block_delta")[-1]


async def test_a_cut_in_a_frame_leaves_half_of_it() -> None:
    async with FakeUpstream() as upstream:
        upstream.enqueue(Scenario(pieces=(Cut("fin", mid_frame=True), Text("never"))))
        reader, writer = await asyncio.open_connection(*upstream.address.split(":"))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 15\r\n\r\n" + b'{"stream":true}')
        received = await reader.read()
        writer.close()
    announced, half = received.rsplit(b"\r\n", 1)
    assert int(announced.rsplit(b"\r\n", 1)[1], 16) // 2 == len(half) > 20


@PATHS
async def test_knows_when_the_client_goes_away(upstream: FakeUpstream, path: str) -> None:
    response = await ask(upstream, path, model="stall-after-1")
    await anext(response.pieces())
    assert not upstream.requests[0].was_abandoned
    await response.close()
    record = await upstream.wait_for_close(0, within=2)
    assert record.completed_at is None


async def test_knows_that_a_client_went_away_before_the_headers(upstream: FakeUpstream) -> None:
    waiting = asyncio.create_task(ask(upstream, model="no-headers"))
    await upstream.wait_for_request(0)
    waiting.cancel()
    record = await upstream.wait_for_close(0, within=2)
    assert record.answered_at is None


async def test_waiting_for_a_close_that_does_not_come_fails(upstream: FakeUpstream) -> None:
    await read(upstream)
    with pytest.raises(TimeoutError):
        await upstream.wait_for_close(0, within=0.05)


async def test_drips_one_byte_at_a_time(upstream: FakeUpstream) -> None:
    async with await ask(upstream, model="drip", content="é") as response:
        sizes = [len(piece) async for piece in response.pieces()]
    assert set(sizes) == {1}
    assert text_of(response) == "You said: é"


@PATHS
async def test_line_ends_comments_and_endings_are_chosen(upstream: FakeUpstream, path: str) -> None:
    upstream.enqueue(
        says("a", newline="\r\n"),
        Scenario(pieces=(Comment("wait"), Text("a"))),
        says("a", done=False, finish=None),
        says("a", framing="close"),
    )
    crlf, commented, bare, unframed = [await read(upstream, path) for _ in range(4)]
    assert crlf.body.count(b"\r\n") == crlf.body.count(b"\n") > 4
    assert b"\n: wait\n\n" in commented.body
    assert b"[DONE]" not in bare.body
    assert b"message_stop" not in bare.body
    assert b'"stop' not in bare.body.replace(b'"stop_reason":null,"stop_sequence":null', b"")
    assert unframed.ending == "unframed"
    assert text_of(unframed) == "a"


async def test_delays_are_kept(upstream: FakeUpstream) -> None:
    clock = asyncio.get_running_loop().time
    upstream.enqueue(
        tokens(3, between=0.03, before_headers=0.05, before_first=0.04),
        Scenario(pieces=(Text("a"), Pause(0.06))),
    )
    for expected in (0.15, 0.06):
        started = clock()
        await read(upstream)
        assert expected <= clock() - started < expected + 0.5


async def test_bodies_without_a_stream(upstream: FakeUpstream) -> None:
    html, empty, redirect = [await read(upstream, model=model) for model in ("html-502", "empty", "redirect")]
    assert (html.status, html.header("content-type")) == (502, "text/html")
    assert (empty.status, bytes(empty.body)) == (200, b"")
    assert (redirect.status, redirect.header("location")) == (302, "/v1/elsewhere")


async def test_refuses_keys_that_it_does_not_know() -> None:
    async with FakeUpstream(accepted_keys=["right"]) as upstream:
        for path in (CHAT, MESSAGES):
            assert (await read(upstream, path)).status == 401
        for headers in ({"authorization": "Bearer right"}, {"x-api-key": "right"}, {"api-key": "right"}):
            async with await http1.request(upstream.address, "GET", "/v1/models", headers=headers) as response:
                assert response.status == 200


@pytest.mark.slow
async def test_200_streams_of_200_tokens_keep_their_pace(upstream: FakeUpstream) -> None:
    clock = asyncio.get_running_loop().time
    started = clock()
    responses = await asyncio.gather(*(read(upstream, model="tokens-200-5ms") for _ in range(200)))
    assert {text_of(response) for response in responses} == {tokens(200).text}
    assert clock() - started < 15


def test_runs_on_a_loop_of_its_own() -> None:
    with upstream_in_thread() as upstream:
        upstream.enqueue(says("one"))
        response = asyncio.run(read_from(upstream.address))
        assert text_of(response) == "one"
        assert upstream.wait_for_request(0).body["model"] == "any"
        upstream.reset()
        assert upstream.requests == []


@pytest.fixture
async def by_hand() -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "tests.support.upstream", "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_runs_by_hand_and_says_how(by_hand: asyncio.subprocess.Process) -> None:
    assert by_hand.stdout is not None
    async with asyncio.timeout(20):
        first = (await by_hand.stdout.readline()).decode()
        assert text_of(await read_from(first.split()[-1])) == "You said: "
        by_hand.terminate()
        rest = (await by_hand.stdout.read()).decode()
        assert await by_hand.wait() == 0
    assert "cut-after-5" in rest
    assert "curl -N http://127.0.0.1:" in rest
