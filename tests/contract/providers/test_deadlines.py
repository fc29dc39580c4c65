"""Every provider keeps its deadlines, and closes its socket when nobody listens any more."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import pytest

from retinue.domain.errors import (
    ProviderAuth,
    ProviderRefused,
    ProviderTimeout,
)
from retinue.domain.model_io import ProviderEvent, TextPiece, UsageReported
from retinue.domain.policy import Deadlines
from retinue.providers.base import Provider
from tests.contract.providers.conftest import Open
from tests.contract.providers.subjects import REQUEST, SUBJECTS, Subject, collect, failure, text_of
from tests.support.upstream import (
    Comment,
    FakeUpstream,
    Pause,
    Raw,
    Scenario,
    Stall,
    Text,
    refusal,
    says,
    tokens,
)

QUICK = Deadlines(first_token=0.4, between_tokens=0.15, total=5)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(before_headers=30),
        Scenario(pieces=(Stall(),), role_chunk=False),
        Scenario(pieces=(Stall(),)),
        Scenario(pieces=(Comment(), Pause(0.01)) * 500),
        Scenario(pieces=(Raw(text="data: "), Stall())),
    ],
    ids=["no headers", "no byte", "no token", "comments only", "half a line"],
)
async def test_the_first_token_has_a_deadline(open_provider: Open, upstream: FakeUpstream, scenario: Scenario) -> None:
    upstream.enqueue(scenario)
    began = time.monotonic()
    error, came = await failure(open_provider(QUICK))
    assert type(error) is ProviderTimeout
    assert text_of(came) == ""
    assert time.monotonic() - began < 2
    await upstream.wait_for_close()


async def test_usage_is_no_token(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Stall(),), usage_on="every_chunk"))
    async with asyncio.timeout(10):
        error, came = await failure(open_provider(Deadlines(first_token=0.15)))
    assert type(error) is ProviderTimeout
    assert any(isinstance(event, UsageReported) for event in came)


async def test_every_further_token_has_a_deadline(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(tokens(3).stall(2))
    error, came = await failure(open_provider(QUICK))
    assert type(error) is ProviderTimeout
    assert text_of(came) == " w1 w2"
    await upstream.wait_for_close()


async def test_every_token_begins_the_wait_for_the_next_anew(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(tokens(5, between=0.3))
    came = await collect(open_provider(Deadlines(first_token=1.0, between_tokens=10, total=20)).stream(REQUEST))
    assert text_of(came) == " w1 w2 w3 w4 w5"


def _has_text(events: Sequence[ProviderEvent]) -> bool:
    return any(isinstance(event, TextPiece) for event in events)


async def test_the_whole_has_a_deadline(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(tokens(1000, between=0.02))
    error, came = await failure(open_provider(Deadlines(total=0.3)))
    assert type(error) is ProviderTimeout
    assert came


async def test_the_time_of_the_reader_is_not_the_provider_s(open_provider: Open, upstream: FakeUpstream) -> None:
    upstream.enqueue(tokens(4))
    came: list[ProviderEvent] = []
    async for events in open_provider(QUICK).stream(REQUEST):
        came += events
        if _has_text(events):
            await asyncio.sleep(0.2)
    assert text_of(came) == " w1 w2 w3 w4"


@pytest.mark.parametrize("moment", ["before the headers", "before the first token", "between tokens"])
async def test_cancelling_closes_the_socket_of_a_silent_provider(
    provider: Provider, upstream: FakeUpstream, moment: str
) -> None:
    silent = {
        "before the headers": Scenario(before_headers=30),
        "before the first token": Scenario(pieces=(Stall(),)),
        "between tokens": Scenario(pieces=(Text("Hel"), Stall())),
    }
    upstream.enqueue(silent[moment])
    came = asyncio.Event()

    async def read() -> None:
        async for events in provider.stream(REQUEST):
            if _has_text(events):
                came.set()

    task = asyncio.create_task(read())
    await upstream.wait_for_request()
    if moment == "between tokens":
        await asyncio.wait_for(came.wait(), 5)
    asked = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await upstream.wait_for_close()
    assert record.closed_at is not None
    assert record.closed_at - asked < 0.25


async def test_closing_the_generator_closes_the_socket(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Text("Hel"), Stall())))
    events = provider.stream(REQUEST)
    while not _has_text(await anext(events)):
        pass
    asked = time.monotonic()
    await events.aclose()
    record = await upstream.wait_for_close()
    assert record.closed_at is not None
    assert record.closed_at - asked < 0.25


async def test_a_check_hangs_up_at_the_first_piece(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(Scenario(pieces=(Text("ok"), Stall())))
    await provider.check(msgspec.structs.replace(REQUEST, model="model-9", max_output_tokens=2049))
    record = await upstream.wait_for_close()
    assert record.body["model"] == "model-9"
    assert 2049 in record.body.values()


async def test_a_check_says_what_is_wrong(provider: Provider, upstream: FakeUpstream) -> None:
    upstream.enqueue(refusal(401))
    with pytest.raises(ProviderAuth):
        await provider.check(REQUEST)


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.name == "anthropic"], ids=str, indirect=True)
async def test_a_check_finds_settings_that_do_not_go_together(provider: Provider, upstream: FakeUpstream) -> None:
    with pytest.raises(ProviderRefused):
        await provider.check(msgspec.structs.replace(REQUEST, max_output_tokens=1024, reasoning="high"))
    assert not upstream.requests


async def test_no_setting_of_the_environment_travels(
    subject: Subject, open_provider: Open, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_CUSTOM_HEADERS", "X-Operator: secret")
        monkeypatch.setenv(f"{vendor}_API_KEY", "sk-operator")
        monkeypatch.setenv(f"{vendor}_BASE_URL", "http://127.0.0.1:1")
        monkeypatch.setenv(f"{vendor}_AUTH_TOKEN", "sk-operator")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "operator")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    upstream.enqueue(says("ok"))
    await collect(open_provider().stream(REQUEST))
    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Bearer sk-test-0123456789"
    assert not any("operator" in f"{name} {value}".lower() for name, value in headers.items())
