"""Buckets inside one process."""

import time
from collections.abc import Callable, Sequence

import msgspec

from retinue.coordination.base import Rates, Verdict
from retinue.coordination.rates import SECOND, has_room, judge, need, price
from retinue.domain.limits import Bucket, Metered, Party

MAX_BUCKETS = 100_000
"""Beyond, full ones are forgotten, and if that is not enough, those that are nearest to full."""

_Place = tuple[int, Metered, Party, str]


class LocalBuckets:
    """Each is kept as the moment at which it is full again, and only until then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._full_at: dict[_Place, int] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, buckets: Sequence[Bucket], amount: int, *, may_owe: bool) -> Verdict:
        """See `Rates.take`."""
        now, places = self._now(), list(map(_place, buckets))
        used = self._used(places, now)
        needs = [need(bucket, amount, may_owe=may_owe) for bucket in buckets]
        is_allowed = all(map(has_room, used, needs))
        if is_allowed:
            used = [spent + price(bucket, amount) for bucket, spent in zip(buckets, used, strict=True)]
            self._keep(places, used, now)
        return judge(buckets, used, needs, is_allowed=is_allowed)

    def give_back(self, buckets: Sequence[Bucket], amount: int) -> None:
        """See `Rates.give_back`."""
        now, places = self._now(), list(map(_place, buckets))
        owed = zip(buckets, self._used(places, now), strict=True)
        self._keep(places, [max(spent - price(bucket, amount), 0) for bucket, spent in owed], now)

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _used(self, places: Sequence[_Place], now: int) -> list[int]:
        return [max(self._full_at.get(place, now) - now, 0) for place in places]

    def _keep(self, places: Sequence[_Place], used: Sequence[int], now: int) -> None:
        for place, spent in zip(places, used, strict=True):
            if spent:
                self._full_at[place] = now + spent
            else:
                self._full_at.pop(place, None)
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


def _place(bucket: Bucket) -> _Place:
    """A bucket stays the same when its size is changed. Numbers are compared faster than ids."""
    return (bucket.tenant_id.int, bucket.metered, bucket.party, bucket.name)
