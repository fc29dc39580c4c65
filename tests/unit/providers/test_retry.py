"""Retries, and the account of every try."""

import asyncio
import contextlib

import pytest

from retinue.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderReset,
    ProviderTimeout,
    ProviderTruncated,
)
from retinue.domain.model_io import Finished, FinishReason, ProviderEvent, TextPiece, UsageReported
from retinue.domain.policy import RetryPolicy
from retinue.domain.usage import Usage
from retinue.providers.base import Provider
from retinue.providers.retry import stream_with_retry
from tests.unit.providers.fakes import REQUEST, SILENCE, Account, PlayedProvider

POLICY = RetryPolicy(max_tries=3, base_delay=1.0, max_delay=3.0, max_retry_after=20.0)
DONE = Finished(FinishReason.STOP)
SOME = Usage(input_tokens=5, output_tokens=1)


class Naps:
    """Takes the place of sleeping."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def run(
    provider: Provider,
    account: Account,
    *,
    policy: RetryPolicy = POLICY,
    deadline: float | None = None,
    naps: Naps | None = None,
    draw: float = 0.5,
) -> list[ProviderEvent]:
    batches = stream_with_retry(
        provider,
        REQUEST,
        policy=policy,
        observer=account,
        deadline=deadline,
        sleep=naps or Naps(),
        draw=lambda: draw,
    )
    return [event async for events in batches for event in events]


async def test_a_healthy_call() -> None:
    provider, account = PlayedProvider([UsageReported(SOME), TextPiece("a"), TextPiece("b"), DONE]), Account()
    assert await run(provider, account) == [UsageReported(SOME), TextPiece("a"), TextPiece("b"), DONE]
    assert account.rows == ["opened 1", "completed 1"]
    assert (account.usages, account.errors) == ([SOME], [None])


async def test_the_account_is_closed_before_the_end_is_passed_on() -> None:
    account = Account()
    async for events in stream_with_retry(
        PlayedProvider([TextPiece("a"), DONE]), REQUEST, policy=POLICY, observer=account
    ):
        if DONE in events:
            assert account.rows == ["opened 1", "completed 1"]


async def test_an_empty_answer_is_an_answer() -> None:
    account = Account()
    assert await run(PlayedProvider([DONE]), account) == [DONE]
    assert account.rows == ["opened 1", "completed 1"]


async def test_pauses_double_up_to_their_bound() -> None:
    provider = PlayedProvider([ProviderReset()], [ProviderReset()], [ProviderReset()], [ProviderReset()], [DONE])
    naps, account = Naps(), Account()
    await run(provider, account, policy=RetryPolicy(max_tries=5, base_delay=1.0, max_delay=3.0), naps=naps)
    assert naps.taken == [0.5, 1.0, 1.5, 1.5]
    assert account.rows[-2:] == ["opened 5", "completed 5"]
    assert account.rows.count("opened 5") == 1
    assert provider.closed == 5


async def test_the_last_error_is_raised() -> None:
    last = ProviderTimeout()
    provider, account = PlayedProvider([ProviderReset()], [ProviderOverloaded()], [last], [DONE]), Account()
    with pytest.raises(ProviderError) as caught:
        await run(provider, account)
    assert caught.value is last
    assert account.rows == ["opened 1", "failed 1", "opened 2", "failed 2", "opened 3", "failed 3"]
    assert account.errors[-1] is last


async def test_usage_alone_is_no_delta() -> None:
    provider, account = PlayedProvider([UsageReported(SOME), ProviderReset()], [TextPiece("a"), DONE]), Account()
    assert await run(provider, account) == [TextPiece("a"), DONE]
    assert account.usages == [SOME, None]


async def test_nothing_is_repeated_after_the_first_delta() -> None:
    provider, account, naps = PlayedProvider([TextPiece("a"), ProviderReset()], [DONE]), Account(), Naps()
    with pytest.raises(ProviderReset):
        await run(provider, account, naps=naps)
    assert account.rows == ["opened 1", "failed 1"]
    assert naps.taken == []


async def test_what_will_not_get_better_is_not_repeated() -> None:
    account = Account()
    with pytest.raises(ProviderAuth):
        await run(PlayedProvider([ProviderAuth()], [DONE]), account)
    assert account.rows == ["opened 1", "failed 1"]


async def test_a_stream_of_nothing_is_truncated() -> None:
    account = Account()
    with pytest.raises(ProviderTruncated):
        await run(PlayedProvider([], [], []), account)
    assert account.rows.count("failed 3") == 1


async def test_the_pause_that_is_asked_for_is_kept() -> None:
    provider = PlayedProvider([ProviderRateLimited(retry_after=7.0)], [ProviderRateLimited(retry_after=0.0)], [DONE])
    naps = Naps()
    await run(provider, Account(), naps=naps)
    assert naps.taken == [7.5, 0.5]


async def test_a_longer_pause_is_not_waited_for() -> None:
    account = Account()
    with pytest.raises(ProviderRateLimited):
        await run(PlayedProvider([ProviderRateLimited(retry_after=20.1)], [DONE]), account)
    assert account.rows == ["opened 1", "failed 1"]


async def test_no_pause_reaches_the_deadline() -> None:
    now = asyncio.get_running_loop().time()
    naps = Naps()
    with pytest.raises(ProviderRateLimited):
        await run(
            PlayedProvider([ProviderRateLimited(retry_after=7.0)], [DONE]), Account(), deadline=now + 7, naps=naps
        )
    assert naps.taken == []
    assert await run(
        PlayedProvider([ProviderRateLimited(retry_after=7.0)], [DONE]), Account(), deadline=now + 60, naps=naps
    ) == [DONE]


async def test_an_account_that_cannot_be_opened_prevents_the_call() -> None:
    provider, account = PlayedProvider([DONE]), Account()
    account.refusal = RuntimeError("no database")
    with pytest.raises(RuntimeError):
        await run(provider, account)
    assert (provider.begun, account.rows) == (0, [])


@pytest.mark.parametrize("played", [[SILENCE], [UsageReported(SOME), TextPiece("a"), SILENCE]])
async def test_cancelling_closes_the_account_with_what_is_known(played: list[ProviderEvent | Exception | str]) -> None:
    provider, account = PlayedProvider(played), Account()
    task = asyncio.create_task(run(provider, account))
    await _until(lambda: provider.begun == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.rows == ["opened 1", "aborted 1"]
    assert account.usages == [SOME if len(played) > 1 else None]
    assert provider.closed == 1


async def test_cancelling_the_pause_opens_no_further_try() -> None:
    provider, account = PlayedProvider([ProviderReset()], [DONE]), Account()
    napping = asyncio.Event()

    async def nap(_: float) -> None:
        napping.set()
        await asyncio.get_running_loop().create_future()

    events = stream_with_retry(provider, REQUEST, policy=POLICY, observer=account, sleep=nap)
    task = asyncio.create_task(anext(events))
    await napping.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.rows == ["opened 1", "failed 1"]


async def test_a_second_cancel_does_not_lose_the_account() -> None:
    """A server that stops cancels again what does not end at once."""
    provider, account = PlayedProvider([TextPiece("a"), SILENCE]), Account()
    provider.farewell = asyncio.Event()
    task = asyncio.create_task(run(provider, account))
    await _until(lambda: provider.begun == 1)
    task.cancel()
    await _until(lambda: provider.closed == 1)
    assert account.rows == ["opened 1"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.rows == ["opened 1", "aborted 1"]


async def test_closing_the_generator_is_an_abort_after_the_connection_is_closed() -> None:
    provider = PlayedProvider([UsageReported(SOME), TextPiece("a"), SILENCE])
    account = Account(watched=provider)
    events = stream_with_retry(provider, REQUEST, policy=POLICY, observer=account)
    async with contextlib.aclosing(events):
        assert await anext(events) == [UsageReported(SOME), TextPiece("a")]
    assert account.connections_closed == [1]
    assert account.rows == ["opened 1", "aborted 1"]
    assert account.usages == [SOME]


async def test_leaving_at_the_end_is_no_abort() -> None:
    account = Account()
    events = stream_with_retry(PlayedProvider([DONE]), REQUEST, policy=POLICY, observer=account)
    async with contextlib.aclosing(events):
        await anext(events)
    assert account.rows == ["opened 1", "completed 1"]


async def _until(holds: object) -> None:
    assert callable(holds)
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - nothing but the other task's steps has to pass
            await asyncio.sleep(0)
