"""Tokens per minute: what a model call may use at worst is taken before it, and what it did not use is given back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import NamedTuple

from retinue.coordination.base import Rates, Verdict
from retinue.domain.errors import RateLimited, TokensUsedUp
from retinue.domain.limits import Asker, Bucket, buckets
from retinue.domain.model_io import ModelRequest
from retinue.domain.usage import Usage
from retinue.providers.estimate import estimate_input
from retinue.runs.limiting.book import LimitsBook

LOOK_SECONDS = 1.0
"""Whoever waits looks at least so often: what others give back comes earlier than the clock says."""


class Held(NamedTuple):
    """Tokens of one call."""

    buckets: Sequence[Bucket]
    worst: int


class TokenMeter:
    """A call may begin as long as no bucket is empty, and may leave it owing; so at most one call goes beyond a bound,
    and the rate holds all the same. What a lost process never gave back, time fills up.
    """

    def __init__(self, rates: Rates, book: LimitsBook, *, patience: float) -> None:
        """
        Args:
            patience: seconds that a run waits for tokens before a model call.
        """
        self._rates = rates
        self._book = book
        self._patience = patience

    async def refuse_if_empty(self, asker: Asker, user_of: Callable[[], Awaitable[str]]) -> None:
        """For a run that is about to be asked for. Takes nothing. Not to be called inside a unit of work.

        Args:
            user_of: looks up the user, which is done only if users are bounded.

        Raises:
            RateLimited: `token_rate_limited`, with the seconds to wait in its header.
        """
        limits = await self._book.of(asker.tenant_id)
        if asker.user_id is None and limits.user.tokens_per_minute is not None:
            asker = Asker(tenant_id=asker.tenant_id, key_id=asker.key_id, user_id=await user_of())
        if not (emptied := buckets(limits, asker, "tokens")):
            return
        verdict = await self._rates.take(emptied, 0, may_owe=True)
        if not verdict.is_allowed:
            raise RateLimited(
                _detail(verdict),
                code="token_rate_limited",
                headers={"Retry-After": str(max(ceil(verdict.wait), 1))},
            )

    async def hold(self, asker: Asker, request: ModelRequest, on_wait: Callable[[], None]) -> Held | None:
        """Take the tokens that a call may use at worst; `give_back` has to follow. Waits for them if need be: what the
        steps before have done would be lost otherwise.

        Args:
            on_wait: called once if it has to wait.

        Returns:
            Null where nothing bounds them.

        Raises:
            TokensUsedUp: none came within the patience.
        """
        held = buckets(await self._book.of(asker.tenant_id), asker, "tokens")
        if not held:
            return None
        worst = estimate_input(request) + request.max_output_tokens
        await self._take(held, worst, on_wait)
        return Held(held, worst)

    def give_back(self, held: Held, used: int) -> None:
        """What of it was not used, now that the call is over."""
        self._rates.give_back(held.buckets, held.worst - used)

    async def _take(self, held: Sequence[Bucket], amount: int, on_wait: Callable[[], None]) -> None:
        time = asyncio.get_running_loop().time
        until, has_waited = time() + self._patience, False
        while not (verdict := await self._rates.take(held, amount, may_owe=True)).is_allowed:
            left = until - time()
            if left <= 0:
                raise TokensUsedUp(_detail(verdict))
            if not has_waited:
                has_waited = True
                on_wait()
            # Not all at the same moment.
            await asyncio.sleep(min(verdict.wait * random.uniform(1.0, 1.1), LOOK_SECONDS, left))  # noqa: S311


class RunTokens:
    """The meter for one run."""

    __slots__ = ("_asker", "_meter")

    def __init__(self, meter: TokenMeter, asker: Asker) -> None:
        self._meter = meter
        self._asker = asker

    def spending(
        self, request: ModelRequest, used: Callable[[], Usage | None], on_wait: Callable[[], None]
    ) -> "Spending":
        """Hold the tokens that a call may use at worst while the body makes it; see `TokenMeter.hold`.

        Args:
            used: what the run has used until now; asked before and after.
        """
        return Spending(self._meter, used, lambda: self._meter.hold(self._asker, request, on_wait))


class Spending:
    """While a call is made: for most runs as long as they live, so it remembers no more than it must."""

    __slots__ = ("_before", "_held", "_hold", "_meter", "_used")

    def __init__(
        self, meter: TokenMeter, used: Callable[[], Usage | None], hold: Callable[[], Awaitable[Held | None]]
    ) -> None:
        self._meter, self._used = meter, used
        self._hold: Callable[[], Awaitable[Held | None]] | None = hold

    async def __aenter__(self) -> None:
        assert self._hold is not None, "entered once"
        self._held = await self._hold()
        self._hold = None
        self._before = _total(self._used())

    async def __aexit__(self, *exc: object) -> None:
        if self._held is not None:
            self._meter.give_back(self._held, _total(self._used()) - self._before)


def _total(usage: Usage | None) -> int:
    return 0 if usage is None else (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _detail(verdict: Verdict) -> str:
    return f"The {verdict.limit} tokens that a {verdict.party} has per minute are used up."
