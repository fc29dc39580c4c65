"""What every provider makes of bad weather: a typed error, soon, without a word that the upstream wrote."""

import asyncio

import pytest

from retinue.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRefused,
    ProviderReset,
    ProviderTimeout,
    ProviderTruncated,
)
from retinue.domain.model_io import Finished, FinishReason
from retinue.domain.policy import ByteCaps
from retinue.providers.base import Provider
from tests.contract.providers.conftest import Open
from tests.contract.providers.subjects import FINISH, REQUEST, Subject, collect, failure, text_of
from tests.support.upstream import (
    Cut,
    Error,
    FakeUpstream,
    Pause,
    Raw,
    Scenario,
    Stall,
    Text,
    refusal,
    tokens,
)
from tests.support.upstream.scenario import AnyPiece

HTML = "<html><body>upstream secret detail</body></html>"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ProviderProtocol),
        (400, ProviderRefused),
        (401, ProviderAuth),
        (402, ProviderRefused),
        (403, ProviderAuth),
        (404, ProviderRefused),
        (408, ProviderTimeout),
        (409, ProviderOverloaded),
        (413, ProviderRefused),
        (418, ProviderRefused),
        (422, ProviderRefused),
        (429, ProviderRateLimited),
        (500, ProviderOverloaded),
        (501, ProviderProtocol),
        (502, ProviderOverloaded),
        (503, ProviderOverloaded),
        (504, ProviderTimeout),
        (529, ProviderOverloaded),
    ],
)
@pytest.mark.parametrize("body", [None, HTML, ""])
async def test_statuses(
    provider: Provider, upstream: FakeUpstream, status: int, kind: type[ProviderError], body: str | None
) -> None:
    upstream.enqueue(refusal(status, body=body))
    error, came = await failure(provider)
    assert type(error) is kind
    assert came == []
    assert len(upstream.requests) == 1


async def test_a_redirect_is_not_followed(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(refusal(307, headers={"Location": f"http://{upstream.address}/v1/elsewhere"}))
    error, _ = await failure(provider)
    assert type(error) is ProviderProtocol
    assert len(upstream.requests) == 1


async def test_the_pause_asked_for_is_passed_on(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(refusal(429, retry_after="7"), refusal(503, retry_after="Thu, 01 Jan 1970 00:00:00 GMT"))
    assert (await failure(provider))[0].retry_after == 7
    assert (await failure(provider))[0].retry_after == 0


@pytest.mark.parametrize("form", ["native", "openai", "anthropic"])
async def test_an_error_in_the_stream(provider: Provider, upstream: FakeUpstream, form: str) -> None:
    upstream.enqueue(Scenario(pieces=(Text("Hel"), Error(form=form))))  # type: ignore[arg-type]
    error, came = await failure(provider)
    assert type(error) is ProviderOverloaded
    assert text_of(came) == "Hel"


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (HTML, "text/html", ProviderProtocol),
        ('{"error": {"type": "overloaded_error", "message": "upstream secret detail"}}', None, ProviderOverloaded),
        ('{"error": "upstream secret detail"}', "application/problem+json", ProviderOverloaded),
        ('{"answer": "upstream secret detail"}', "application/json", ProviderProtocol),
        ("[" * 100_000, "application/json", ProviderProtocol),
        ("data: upstream secret detail\n\n", "text/event-stream", ProviderProtocol),
        ('data: {"choices": 7, "index": "x"}\n\n', "text/event-stream", ProviderProtocol),
        ("data: " + "[" * 100_000 + "\n\n", "text/event-stream", ProviderProtocol),
        ("\x00\x01\x02 garbage \xff", "text/event-stream", ProviderTruncated),
        ("", "text/event-stream", ProviderTruncated),
    ],
)
async def test_answers_that_are_none(
    provider: Provider, upstream: FakeUpstream, body: str, content_type: str | None, kind: type[ProviderError]
) -> None:
    upstream.enqueue(Scenario(body=body, content_type=content_type or "application/json"))
    error, came = await failure(provider)
    assert type(error) is kind
    assert came == []


@pytest.mark.parametrize("mid_frame", [False, True])
@pytest.mark.parametrize(
    ("how", "kinds"),
    [("rst", {ProviderReset}), ("fin", {ProviderReset}), ("clean", {ProviderTruncated, ProviderReset})],
)
async def test_cuts(
    provider: Provider, upstream: FakeUpstream, how: str, kinds: set[type[ProviderError]], mid_frame: bool
) -> None:
    upstream.enqueue(tokens(6).cut(3, how, mid_frame=mid_frame))  # type: ignore[arg-type]
    error, came = await failure(provider)
    assert type(error) in kinds
    assert " w1 w2 w3".startswith(text_of(came))


@pytest.mark.parametrize("framing", ["chunked", "close"])
async def test_an_end_without_a_reason_is_a_truncation(
    provider: Provider, upstream: FakeUpstream, framing: str
) -> None:
    upstream.enqueue(tokens(3, finish=None, framing=framing))
    error, came = await failure(provider)
    assert type(error) is ProviderTruncated
    assert text_of(came) == " w1 w2 w3"


async def test_a_cut_inside_a_character(provider: Provider, upstream: FakeUpstream) -> None:
    half = 'data: {"choices":[{"delta":{"content":"☃'.encode()[:-1]
    upstream.enqueue(Scenario(pieces=(Text("Hel"), Raw(data=half), Cut("clean"))))
    error, came = await failure(provider)
    assert type(error) in {ProviderTruncated, ProviderProtocol}
    assert text_of(came) == "Hel"


@pytest.mark.parametrize(
    "after", [Stall(), Cut("rst"), Cut("fin"), Cut("clean"), Raw(text="data: garbage\n\n"), Error()], ids=repr
)
async def test_what_breaks_after_the_finish_reason_takes_nothing_away(
    subject: Subject, provider: Provider, upstream: FakeUpstream, after: AnyPiece, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinue.providers.reading.TAIL_SECONDS", 0.1)
    pieces = (Text("whole"), Raw(text=FINISH[subject.name]), Pause(0.02), after)
    upstream.enqueue(Scenario(pieces=pieces, finish=None, done=False))
    async with asyncio.timeout(10):
        events = await collect(provider.stream(REQUEST))
    assert text_of(events) == "whole"
    assert events[-1] == Finished(FinishReason.STOP)


async def test_an_answer_that_is_refused_for_its_kind_is_hung_up(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Text("a"), Stall()), content_type="text/html"))
    error, _ = await failure(provider)
    assert type(error) is ProviderProtocol
    await upstream.wait_for_close()


async def test_nobody_listens(open_provider: Open, upstream: FakeUpstream) -> None:
    provider = open_provider()
    await upstream.stop()
    assert type((await failure(provider))[0]) is ProviderReset


async def test_a_line_that_never_ends_is_cut_off(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Raw(text="data: " + "x" * 5_000_000), Stall())))
    error, _ = await failure(provider)
    assert type(error) is ProviderProtocol
    await upstream.wait_for_close()


async def test_an_answer_that_never_ends_is_cut_off(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(tokens(10_000).stall(10_000))
    error, came = await failure(open_provider(caps=ByteCaps(turn=50_000)))
    assert type(error) is ProviderProtocol
    assert came
    await upstream.wait_for_close()
