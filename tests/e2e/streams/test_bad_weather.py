"""Whatever a provider does: a typed failure, nothing lost, nothing leaked."""

import pytest

from retinue.domain.messages import Message
from tests.e2e.streams.store import Call, calls_of, run_status
from tests.e2e.streams.talk import VENDORS, Vendor, check_stream, hire
from tests.e2e.streams.weather import FAIR, SECRET, TABLE, Weather
from tests.support.client import StreamedAnswer
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, refusal, tokens

pytestmark = pytest.mark.slow

_TABLE = [pytest.param(vendor, weather, id=f"{vendor}-{weather.name}") for vendor, weather in TABLE]
_ON_ANY_DATABASE = [
    pytest.param(vendor, weather, id=f"{vendor}-{weather.name}")
    for vendor, weather in TABLE
    if weather.name in {"401", "reset", "garbage", "error", "end-without-finish"}
]


@pytest.mark.parametrize(("vendor", "weather"), _TABLE)
async def test_every_weather(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor, weather: Weather
) -> None:
    await _expect_failure(impatient, upstream, vendor, weather)


@pytest.mark.parametrize(("vendor", "weather"), _ON_ANY_DATABASE)
async def test_some_weather_on_any_database(
    retinue: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor, weather: Weather
) -> None:
    await _expect_failure(retinue, upstream, vendor, weather)


async def _expect_failure(server: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor, weather: Weather) -> None:
    client = server.client()
    conversation = await hire(client, upstream, vendor)
    upstream.enqueue(*[weather.scenario] * weather.requests)
    written = len(server.output)

    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    question, stored = await client.messages(conversation.id)

    _check_end(answer, weather)
    assert (question.content, question.status.value) == ("Hello", "completed")
    _check_stored(stored, answer, weather)
    await _check_books(server, answer, weather)
    assert len(upstream.requests) == weather.requests
    seen = b"".join(frame.raw for frame in answer.frames) + repr(stored).encode() + server.output[written:].encode()
    assert SECRET.encode() not in seen
    assert b"Traceback" not in seen

    again = await client.ask(conversation.id, "Once more")
    assert again.text == "You said: Once more"


def _check_end(answer: StreamedAnswer, weather: Weather) -> None:
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"], error["status"]) == (
        weather.code,
        weather.is_retryable,
        weather.status,
    )
    assert error["title"]
    assert error["detail"]
    assert (answer.end["status"], answer.end["finish_reason"]) == ("failed", "error")
    assert answer.text == weather.text


def _check_stored(stored: Message, answer: StreamedAnswer, weather: Weather) -> None:
    assert (stored.content, stored.status.value) == (weather.text, "failed")
    assert (stored.error_code, stored.finish_reason) == (weather.code, "error")
    assert str(stored.id) == answer.end["message_id"]


async def _check_books(server: RetinueServer, answer: StreamedAnswer, weather: Weather) -> None:
    run = answer.start["run_id"]
    calls = await calls_of(server, run)
    assert [(call.step, call.tries) for call in calls] == [(1, n) for n in range(1, weather.requests + 1)]
    assert {(call.outcome, call.error_code, call.is_closed) for call in calls} == {("failed", weather.code, True)}
    assert not weather.text or calls[-1].output_tokens, "what was cut off costs too"
    assert await run_status(server, run) == "failed"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", FAIR)
async def test_unusual_but_whole(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor, name: str
) -> None:
    client = impatient.client()
    conversation = await hire(client, upstream, vendor)
    upstream.enqueue(FAIR[name])
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    assert (answer.end["status"], answer.text) == ("completed", "Привет мир")
    assert answer.end["usage"]["provenance"] == ("estimated" if name == "no-usage" else "reported")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_try_that_failed_before_the_first_delta_is_repeated(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    client = impatient.client()
    conversation = await hire(client, upstream, vendor)
    upstream.enqueue(refusal(500), tokens(3))
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    assert (answer.end["status"], answer.text) == ("completed", tokens(3).text)
    failed, completed = await calls_of(impatient, answer.start["run_id"])
    assert failed == Call(1, 1, "failed", "provider_overloaded", True, None)
    assert completed == Call(1, 2, "completed", None, True, 3)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_pause_that_the_provider_asks_for_is_kept(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    client = impatient.client()
    conversation = await hire(client, upstream, vendor)
    upstream.enqueue(refusal(429, retry_after="1"), tokens(3))
    answer = await client.ask(conversation.id, "Hello")
    assert answer.end["status"] == "completed"
    first, second = upstream.requests
    assert second.received_at - first.received_at >= 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_without_a_stream_a_failure_is_a_problem(
    impatient: RetinueServer, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    client = impatient.client()
    conversation = await hire(client, upstream, vendor)
    upstream.enqueue(tokens(6).cut(3))
    document = (await client.post_message(conversation.id, "Hello", respond=True)).problem(502, "provider_reset")
    assert document["retryable"] is True
    question, stored = await client.messages(conversation.id)
    assert (question.content, stored.content, stored.status.value) == ("Hello", tokens(3).text, "failed")
