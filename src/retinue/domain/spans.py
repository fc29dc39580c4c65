"""Time cut into spans, short ones inside longer ones, so that few of them make up any range."""

from datetime import UTC, datetime, timedelta

import msgspec

SLOT_SECONDS = 600
"""The shortest spans. Slots are counted from the first moment that can be told."""
SLOTS = (1, 6, 48, 576)
"""Lengths of spans: ten minutes, an hour, eight hours, four days. Each is a multiple of the one before. Whatever the
range, of each length but the longest there are fewer than twice as many as make up the next one.
"""
REACHES = (8, 64, 512, 4096, 2**15, 2**40)
"""In slots: two slots are less far apart than one of these. The last is longer than all time."""
_DAWN = datetime.min.replace(tzinfo=UTC)
_SLOT = timedelta(seconds=SLOT_SECONDS)


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """The whole slots of a range of time."""

    begin: int
    """The first slot."""
    end: int
    """The first slot that is not in it any more: the same as `begin`, if there is none."""
    begins_at: datetime
    ends_at: datetime
    """Both are the end of the range, if there is no whole slot in it."""
    spans: list[int]
    """Numbers of the spans that make up these slots, none of which is in two of them."""
    longest: list[int]
    """Those of them that are as long as any of them is."""


def cover(since: datetime, until: datetime) -> Cover:
    """Both in UTC, `until` not in the range."""
    begin, end = -((_DAWN - since) // _SLOT), (until - _DAWN) // _SLOT
    if begin >= end:
        return Cover(begin=end, end=end, begins_at=until, ends_at=until, spans=[], longest=[])
    found: list[tuple[int, int]] = []
    slot = begin
    while slot < end:
        level = next(level for level in _LONGEST_FIRST if slot % SLOTS[level] == 0 and slot + SLOTS[level] <= end)
        found.append((level, slot))
        slot += SLOTS[level]
    highest = max(level for level, _ in found)
    return Cover(
        begin=begin,
        end=end,
        begins_at=_DAWN + begin * _SLOT,
        ends_at=_DAWN + end * _SLOT,
        spans=[number_of(level, slot) for level, slot in found],
        longest=[number_of(level, slot) for level, slot in found if level == highest],
    )


def number_of(level: int, slot: int) -> int:
    """Of the span of the length `SLOTS[level]` that a slot is in. Every span has a number of its own."""
    return slot // SLOTS[level] * len(SLOTS) + level


_LONGEST_FIRST = tuple(reversed(range(len(SLOTS))))
