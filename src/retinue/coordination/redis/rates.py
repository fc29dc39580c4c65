"""Buckets that all processes share."""

import asyncio
from collections.abc import Sequence

from retinue.coordination.base import Rates, Verdict
from retinue.coordination.buckets import LocalBuckets, shares
from retinue.coordination.rates import judge, need
from retinue.coordination.redis.connection import Unreachable
from retinue.coordination.redis.decider import PATIENCE, Decider
from retinue.domain.limits import Bucket

_LATE, _LATE_ROUNDS = 1.2, 4


class RedisRates(Rates):
    """While the server cannot be asked, each process takes from buckets of its own that hold its share: the bound
    divided by the processes that were seen last. They begin full, so an outage lets a minute's worth more pass at most.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._own = LocalBuckets()

    async def take(self, buckets: Sequence[Bucket], amount: int = 1, *, may_owe: bool = False) -> Verdict:
        if self._decider.takes_questions:
            needs = [need(bucket, amount, may_owe=may_owe) for bucket in buckets]
            try:
                allowed, *used = await _in_time(self._decider.ask(buckets, needs, amount))
            except Unreachable:
                pass
            except TimeoutError:
                self._decider.suspect()
            else:
                return judge(buckets, used, needs, is_allowed=bool(allowed))
        return self._own.take(self._shares(buckets), amount, may_owe=may_owe)

    def give_back(self, buckets: Sequence[Bucket], amount: int) -> None:
        if self._decider.takes_questions:
            self._decider.tell(buckets, -amount)
        else:
            self._own.give_back(self._shares(buckets), amount)

    def _shares(self, buckets: Sequence[Bucket]) -> Sequence[Bucket]:
        return shares(buckets, self._decider.processes)


async def _in_time(answer: "asyncio.Future[list[int]]") -> list[int]:
    """Raises: TimeoutError; Unreachable."""
    time = asyncio.get_running_loop().time
    for _ in range(_LATE_ROUNDS):
        began = time()
        await asyncio.wait([answer], timeout=PATIENCE)
        # An event loop that is late itself has not looked yet, which says nothing of the server.
        if answer.done() or time() - began < _LATE * PATIENCE:
            break
    if not answer.done():
        answer.cancel()
        raise TimeoutError
    return answer.result()
