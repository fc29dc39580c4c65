"""Who follows a run or a conversation over a pause."""

import asyncio
from time import monotonic

import pytest

from tests.e2e.streams.runs import events_of, expect_nothing, follow, place_told, position
from tests.e2e.streams.talk import VENDORS, Vendor, begin, check_frames, resume
from tests.e2e.tools.work import (
    SHOP,
    Office,
    continued,
    finished,
    open_continue,
    pause,
    paused,
    refused,
    wants,
    wish,
)
from tests.support.client import StreamedAnswer
from tests.support.upstream import says

pytestmark = pytest.mark.slow

COUPON = {"discount_percent": 10}
TALK = ["message_start", "runtime_status", "tool_call_started", "runtime_status", "tool_approval_requested"]


async def test_the_stream_of_a_conversation_stays_open(office: Office) -> None:
    """It tells the pause, waits with the run, and tells the rest and the next run."""
    conversation = await office.hire(*SHOP)
    async with await follow(office.client, events_of(conversation)) as stream:
        await place_told(stream)
        stop = await pause(office, conversation, wish("generate_coupon", COUPON))
        await stream.until("message_end")
        assert stream.seen[-1].id == stop.last_event_id
        office.upstream.enqueue(says("Here."))
        rest = await continued(office.client, stop.run, stop.approval, approved=True)
        await stream.until("message_end")
        seen = [frame for frame in stream.seen if frame.data is not None]
        assert [frame.id for frame in seen] == [frame.id for frame in (*stop.answer.frames, *rest.frames)]
        office.upstream.enqueue(says("Next."))
        await office.client.ask(conversation.id, "And?")
        end = await stream.until("message_end")
        assert end.json["status"] == "completed"
    check_frames(seen)
    assert [frame.json["status"] for frame in seen if frame.event == "message_end"] == [
        "waiting_for_approval",
        "completed",
    ]


async def test_who_comes_to_a_conversation_while_it_waits(office: Office) -> None:
    """From the beginning, or after what was seen last; it is told the rest as soon as there is one."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    path = events_of(conversation)
    async with (
        await follow(office.client, path) as late,
        await follow(office.client, path, last_event_id=stop.last_event_id) as back,
    ):
        await late.until("message_end")
        office.upstream.enqueue(says("Here."))
        await continued(office.client, stop.run, stop.approval, approved=True)
        for stream in (late, back):
            assert (await stream.until("message_end")).json["status"] == "completed"
    told = [frame.event for frame in back.seen if frame.data is not None]
    assert told[:2] == ["attempt_started", "tool_approval_decided"]
    whole = [frame.id for frame in late.seen if frame.data is not None]
    assert whole == sorted(set(whole), key=lambda each: position(each or ""))


async def test_the_stream_of_a_run_ends_at_the_pause(office: Office) -> None:
    """And 204 keeps an EventSource away until there is more."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    path = f"/runs/{stop.run}/stream"
    async with await follow(office.client, path) as stream:
        frames = await stream.rest()
    assert [frame.raw for frame in frames[1:]] == [frame.raw for frame in stop.answer.frames[1:]]
    await expect_nothing(office.client, path, last_event_id=stop.last_event_id)
    await expect_nothing(office.client, path, after=stop.last_event_id)
    office.upstream.enqueue(says("Here."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True)
    async with await follow(office.client, path, last_event_id=stop.last_event_id) as stream:
        assert [frame.id for frame in await stream.rest()] == [frame.id for frame in rest.frames]
    async with await follow(office.client, path) as stream:
        whole = StreamedAnswer(await stream.rest())
    assert [frame["status"] for frame in whole.of("message_end")] == ["completed"], "a pause that is over is no end"
    await expect_nothing(office.client, path, last_event_id=rest.frames[-1].id)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("protocol", ["messages", "events"])
async def test_going_on_after_an_event_before_the_pause(office: Office, vendor: Vendor, protocol: str) -> None:
    """`Last-Event-ID` of any event before the decision: what comes after it, in either protocol, without the pause."""
    conversation = await office.hire(*SHOP, vendor=vendor)
    office.upstream.enqueue(wants(wish("generate_coupon", COUPON), say=("A ", "moment. ")))
    stop = paused(await office.client.ask(conversation.id, "A coupon"))
    office.upstream.enqueue(says("Here."))
    await continued(office.client, stop.run, stop.approval, approved=True)
    async with await follow(office.client, f"/runs/{stop.run}/stream", protocol=protocol) as stream:
        whole = await stream.rest()
    for seen in stop.answer.frames[:-1]:
        async with await resume(office.client, conversation.id, seen.id or "", protocol=protocol) as stream:
            rest = await stream.rest()
        later = [frame for frame in whole if position(frame.id or "") > position(seen.id or "")]
        assert [frame.id for frame in rest] == [frame.id for frame in later]
        assert [frame.data for frame in rest] == [frame.data for frame in later]
    assert office.times_asked == 2


async def test_the_pause_itself_as_last_event(office: Office) -> None:
    """`continue` takes it for what it is: the place from where to go on, not a decision that was made."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Here", " it is."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True, last_event_id=stop.last_event_id)
    assert rest.end["status"] == "completed"
    token = next(frame for frame in rest.frames if frame.event == "token")
    again = await continued(office.client, stop.run, stop.approval, approved=True, last_event_id=token.id)
    assert [frame.id for frame in again.frames] == [
        frame.id for frame in rest.frames if position(frame.id or "") > position(token.id or "")
    ]
    strange = await open_continue(office.client, stop.run, stop.approval, last_event_id=f"{stop.run}:9-9")
    await refused(strange, 422, "unknown_event_id")


async def test_it_goes_on_at_once(office: Office) -> None:
    """A decision wakes who follows it; nobody has to look again every now and then."""
    conversation = await office.hire(*SHOP)
    took: list[float] = []
    while len(took) < 10 and min(took, default=1.0) > 0.4:
        stop = await pause(office, conversation, wish("generate_coupon", COUPON))
        office.upstream.enqueue(says("Here."))
        since = monotonic()
        await continued(office.client, stop.run, stop.approval, approved=True)
        took.append(monotonic() - since)
    assert min(took) <= 0.4, took


async def test_a_repeated_continue_decides_once(office: Office) -> None:
    """With the same key: the same stream again; another body under the key is refused."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Here."))
    first = await continued(office.client, stop.run, stop.approval, approved=True, key="k")
    again = await continued(office.client, stop.run, stop.approval, approved=True, key="k")
    assert [frame.id for frame in again.frames] == [frame.id for frame in first.frames]
    response = await open_continue(office.client, stop.run, stop.approval, approved=False, key="k")
    await refused(response, 422, "idempotency_key_reused")


async def test_many_follow_at_once(office: Office) -> None:
    """Whoever asks, before and after the decision, is told the same rest."""
    conversation = await office.hire(*SHOP)
    stop = await pause(office, conversation, wish("generate_coupon", COUPON))
    office.upstream.enqueue(says("Here", " it", " is.").hold(1))
    first, *others = await asyncio.gather(
        continued_after_release(office, stop.run, stop.approval, approved=True),
        *(followed(office, events_of(conversation)) for _ in range(4)),
    )
    for other in others:
        assert [frame.id for frame in other.frames][-len(first.frames) :] == [frame.id for frame in first.frames]


async def continued_after_release(office: Office, run: str, approval: str, **fields: bool) -> StreamedAnswer:
    office.upstream.release()
    return await continued(office.client, run, approval, **fields)


async def followed(office: Office, path: str) -> StreamedAnswer:
    async with await follow(office.client, path) as stream:
        while (await stream.until("message_end")).json["status"] != "completed":
            pass
        return StreamedAnswer([frame for frame in stream.seen if frame.data is not None])


async def test_a_reconnect_at_the_pause(office: Office) -> None:
    """A client that missed the end of its stream, and one that posts again with the same key, both find the pause."""
    conversation = await office.hire(*SHOP)
    office.upstream.enqueue(wants(wish("generate_coupon", COUPON)))
    async with await begin(office.client, conversation.id, key="k") as stream:
        frames = await stream.rest()
    stop = paused(StreamedAnswer(frames))
    async with await begin(office.client, conversation.id, key="k") as stream:
        assert [frame.id for frame in await stream.rest()] == [frame.id for frame in frames]
    async with await resume(office.client, conversation.id, frames[2].id or "") as stream:
        assert [frame.id for frame in await stream.rest()] == [frame.id for frame in frames[3:]]
    office.upstream.enqueue(says("Here."))
    rest = await continued(office.client, stop.run, stop.approval, approved=True)
    assert finished(rest)[0][1]["status"] == "generated"
    assert frames[0].event == TALK[0]
    assert office.times_asked == 2
