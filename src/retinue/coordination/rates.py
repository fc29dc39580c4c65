"""The arithmetic of buckets, the same wherever they are kept.

A bucket is one number: how many microseconds it needs to be full again. What is taken makes it larger, time makes it
smaller (the generic cell rate algorithm). An empty bucket needs a whole window, one that owes something needs more.
"""

from collections.abc import Sequence

from retinue.coordination.base import Verdict
from retinue.domain.limits import WINDOW_SECONDS, Bucket

SECOND = 1_000_000
WINDOW = WINDOW_SECONDS * SECOND


def price(bucket: Bucket, amount: int) -> int:
    """By how many microseconds taking so much moves the moment at which the bucket is full. Rounded towards nothing, so
    that a full bucket holds all that it should.
    """
    return int(amount * WINDOW / bucket.per_minute)


def need(bucket: Bucket, amount: int, *, may_owe: bool) -> int:
    """How much has to be there before so much is taken, in microseconds: all of it, or one if the rest may be owed."""
    return price(bucket, 1 if may_owe else amount)


def has_room(used: int, needed: int) -> bool:
    """Whether a bucket that needs `used` microseconds to be full has what is needed."""
    return used + needed <= WINDOW


def judge(buckets: Sequence[Bucket], used: Sequence[int], needs: Sequence[int], *, is_allowed: bool) -> Verdict:
    """What is said of buckets that need `used` microseconds to be full, after taking if that was allowed."""
    ranks = [
        (
            0 if is_allowed else min(WINDOW - spent - needed, 0),
            max(WINDOW - spent, 0) * bucket.per_minute // WINDOW,
            -spent,
            place,
        )
        for place, (bucket, spent, needed) in enumerate(zip(buckets, used, needs, strict=True))
    ]
    lacking, remaining, owed, place = min(ranks)
    tightest = buckets[place]
    return Verdict(
        is_allowed=is_allowed,
        wait=-lacking / SECOND,
        limit=tightest.per_minute,
        remaining=remaining,
        reset=-owed / SECOND,
        party=tightest.party,
    )
