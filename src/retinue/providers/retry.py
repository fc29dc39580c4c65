"""Asking again, while nobody has seen anything yet.

A model call may be repeated only before its first delta: what a client has read cannot be taken back. Every try is
reported to an observer, because every try may cost money.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import tenacity

from retinue.domain.errors import ProviderError, ProviderTruncated
from retinue.domain.model_io import Finished, ModelRequest, ProviderEvent, UsageReported
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome
from retinue.domain.usage import Usage
from retinue.providers.base import Provider, Sink

Sleep = Callable[[float], Awaitable[None]]
Draw = Callable[[], float]
"""A random number from 0 to 1."""


class CallObserver(Protocol):
    """Keeps the account of one step's tries. `tries` counts from 1."""

    async def opened(self, tries: int) -> int | None:
        """Awaited before the provider is called. If it raises, the provider is not called.

        Returns how many tokens the answer may have, if they are fewer than the request says.
        """

    def closed(self, tries: int, *, outcome: CallOutcome, usage: Usage | None, error: ProviderError | None) -> None:
        """Called exactly once for every try that was opened, also when the run is cancelled.

        The connection to the provider is closed by then. On success it comes before `Finished` is passed on.
        """


async def stream_with_retry(
    provider: Provider,
    request: ModelRequest,
    *,
    policy: RetryPolicy,
    observer: CallObserver,
    deadline: float | None = None,
    sink: Sink | None = None,
    sleep: Sleep = asyncio.sleep,
    draw: Draw = random.random,
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    """`provider.stream`, repeated by the policy as long as no delta came.

    A retryable error is answered with another try after a random part of a doubling pause, or after the pause that the
    provider asked for. There is no other try when the provider asks for more than `policy.max_retry_after`, or when
    the pause would reach `deadline`, which is in the time of the event loop.

    Args:
        sink: see `Provider.stream`. What it takes came after the first delta, and costs nothing that is told here.

    Raises:
        ProviderError: of the last try.
    """
    call = _Try(1, provider, request, observer, sink)
    try:
        await call.begin()
    except ProviderError as error:
        if not _is_worth_it(error, policy):
            raise
        call = await _once_more(error, call, _retrying(policy, deadline, sleep, draw))
    try:
        for events in _parted(call.first):
            await call.note(events)
            yield events
        async for together in call.events:
            for events in _parted(together):
                await call.note(events)
                yield events
    except BaseException as error:
        await call.abandon(error)
        raise


def _retrying(policy: RetryPolicy, deadline: float | None, sleep: Sleep, draw: Draw) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception(lambda error: _is_worth_it(error, policy)),
        wait=_Pause(policy, draw),
        stop=tenacity.stop_after_attempt(policy.max_tries) | _Deadline(deadline),
        reraise=True,
    )


async def _once_more(failure: ProviderError, first: "_Try", retrying: tenacity.AsyncRetrying) -> "_Try":
    """The try after the first that has begun. Not among what is held for as long as a stream takes.

    Raises:
        ProviderError: of the last try.
    """
    call = first

    async def begin() -> _Try:
        nonlocal call
        call = call.next()
        await call.begin()
        return call

    return await retrying(_after(failure, begin))


def _parted(events: Sequence[ProviderEvent]) -> Iterator[Sequence[ProviderEvent]]:
    """The end apart: what comes with it is told before the account is closed."""
    if len(events) > 1 and isinstance(events[-1], Finished):
        yield events[:-1]
        yield events[-1:]
    else:
        yield events


def _after(failure: ProviderError, begin: Callable[[], Awaitable["_Try"]]) -> Callable[[], Awaitable["_Try"]]:
    """Tries of which the first has failed already: nearly every call succeeds at once, and to set up the machinery of
    retrying costs as much as a statement of the database.
    """
    failures = [failure]

    async def again() -> _Try:
        if failures:
            raise failures.pop()
        return await begin()

    return again


def _is_worth_it(error: BaseException, policy: RetryPolicy) -> bool:
    return isinstance(error, ProviderError) and error.retryable and (error.retry_after or 0.0) <= policy.max_retry_after


class _Pause(tenacity.wait.wait_base):
    """Full jitter below a doubling bound; a pause that the provider asked for is kept, with a little jitter on top."""

    def __init__(self, policy: RetryPolicy, draw: Draw) -> None:
        self._policy = policy
        self._draw = draw

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        asked = error.retry_after if isinstance(error, ProviderError) else None
        if asked is not None:
            return asked + self._draw() * self._policy.base_delay
        doubled: float = self._policy.base_delay * 2.0 ** min(retry_state.attempt_number - 1, 30)
        return self._draw() * min(doubled, self._policy.max_delay)


class _Deadline(tenacity.stop.stop_base):
    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        if self._deadline is None:
            return False
        return asyncio.get_running_loop().time() + retry_state.upcoming_sleep >= self._deadline


class _Try:
    """One call of the provider, and its account."""

    __slots__ = ("_is_closed", "_number", "_observer", "_provider", "_request", "_sink", "_usage", "events", "first")

    events: AsyncGenerator[Sequence[ProviderEvent], None]
    """What comes after the first."""
    first: Sequence[ProviderEvent]
    """All that came until the first delta, and what came with it."""

    def __init__(
        self, number: int, provider: Provider, request: ModelRequest, observer: CallObserver, sink: Sink | None
    ) -> None:
        self._number = number
        self._provider = provider
        self._request = request
        self._observer = observer
        self._sink = sink
        self._usage: Usage | None = None
        self._is_closed = False

    def next(self) -> "_Try":
        """The one after this."""
        return _Try(self._number + 1, self._provider, self._request, self._observer, self._sink)

    async def begin(self) -> None:
        """Call the provider and wait for its first delta."""
        bound = await self._observer.opened(self._number)
        request = self._request
        if bound is not None:
            request = msgspec.structs.replace(request, max_output_tokens=bound)
        self.events = self._provider.stream(request, self._sink)
        try:
            self.first = await self._first_delta()
        except BaseException as error:
            await self.abandon(error)
            raise

    async def _first_delta(self) -> list[ProviderEvent]:
        came: list[ProviderEvent] = []
        async for events in self.events:
            came += events
            if not all(isinstance(event, UsageReported) for event in events):
                return came
            self._learn(events)
        raise ProviderTruncated

    async def note(self, events: Sequence[ProviderEvent]) -> None:
        """Before they are passed on: what they tell of the call's cost, and whether it is over."""
        self._learn(events)
        if isinstance(events[-1], Finished):
            await self._close(CallOutcome.COMPLETED, None)

    def _learn(self, events: Sequence[ProviderEvent]) -> None:
        for event in events:
            if isinstance(event, UsageReported):
                self._usage = event.usage

    async def abandon(self, error: BaseException) -> None:
        """It has failed, or nobody waits for it any more."""
        if isinstance(error, ProviderError):
            await self._close(CallOutcome.FAILED, error)
        else:
            await self._close(CallOutcome.FAILED if isinstance(error, Exception) else CallOutcome.ABORTED, None)

    async def _close(self, outcome: CallOutcome, failure: ProviderError | None) -> None:
        """Close the connection, then the account, even if the task is cancelled once more meanwhile."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self.events.aclose()
        finally:
            self._observer.closed(self._number, outcome=outcome, usage=self._usage, error=failure)
