"""Buckets inside one process."""

import time
from collections.abc import Callable, Sequence

import msgspec

from retinue.coordination.base import Rates, Verdict
from retinue.coordination.rates import SECOND, has_room, judge, need, price
from retinue.domain.limits import Bucket

MAX_BUCKETS = 100_000
"""Beyond, full ones are forgotten, and if that is not enough, those that are nearest to full."""


class LocalBuckets:
    """Each is kept as the moment at which it is full again, and only until then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._full_at: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, buckets: Sequence[Bucket], amount: int, *, may_owe: bool) -> Verdict:
        """See `Rates.take`."""
        now = self._now()
        used = [self._used(bucket, now) for bucket in buckets]
        needs = [need(bucket, amount, may_owe=may_owe) for bucket in buckets]
        is_allowed = all(map(has_room, used, needs))
        if is_allowed:
            used = [spent + price(bucket, amount) for bucket, spent in zip(buckets, used, strict=True)]
            self._keep(buckets, used, now)
        return judge(buckets, used, needs, is_allowed=is_allowed)

    def give_back(self, buckets: Sequence[Bucket], amount: int) -> None:
        """See `Rates.give_back`."""
        now = self._now()
        used = [max(self._used(bucket, now) - price(bucket, amount), 0) for bucket in buckets]
        self._keep(buckets, used, now)

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _used(self, bucket: Bucket, now: int) -> int:
        return max(self._full_at.get(_place(bucket), now) - now, 0)

    def _keep(self, buckets: Sequence[Bucket], used: Sequence[int], now: int) -> None:
        for bucket, spent in zip(buckets, used, strict=True):
            if spent:
                self._full_at[_place(bucket)] = now + spent
            else:
                self._full_at.pop(_place(bucket), None)
        if len(self._full_at) > self._max_buckets:
            self._forget(now)

    def _forget(self, now: int) -> None:
        """Half of them at most stay, so that this is rare."""
        latest = sorted(self._full_at.items(), key=lambda item: -item[1])
        self._full_at = {place: full_at for place, full_at in latest[: self._max_buckets // 2] if full_at > now}


class MemoryRates(Rates):
    """For the only process that there is."""

    def __init__(self) -> None:
        self._buckets = LocalBuckets()

    async def take(self, buckets: Sequence[Bucket], amount: int = 1, *, may_owe: bool = False) -> Verdict:
        return self._buckets.take(buckets, amount, may_owe=may_owe)

    def give_back(self, buckets: Sequence[Bucket], amount: int) -> None:
        self._buckets.give_back(buckets, amount)


def shares(buckets: Sequence[Bucket], processes: int) -> Sequence[Bucket]:
    """What one of so many processes may take by itself: at least one."""
    if processes <= 1:
        return buckets
    return [msgspec.structs.replace(each, per_minute=max(each.per_minute // processes, 1)) for each in buckets]


def _place(bucket: Bucket) -> object:
    """A bucket stays the same when its size is changed."""
    return (bucket.tenant_id, bucket.metered, bucket.party, bucket.name)
