"""A body that comes piece by piece, and in how many."""

from typing import Any

import pytest

from retinue.domain.errors import BodyTooLarge
from retinue.http.body import MAX_PIECES, LimitedBody


def body_in(pieces: int) -> LimitedBody:
    left = iter(range(pieces, 0, -1))

    async def receive() -> Any:
        return {"type": "http.request", "body": b" ", "more_body": next(left) > 1}

    return LimitedBody(receive, max_bytes=10**9, seconds=60.0)


async def test_a_body_in_many_pieces_is_read() -> None:
    body = body_in(MAX_PIECES)
    last = [await body() for _ in range(MAX_PIECES)][-1]
    assert not last["more_body"]  # type: ignore[typeddict-item]


async def test_one_in_too_many_is_not_however_small_it_is() -> None:
    """Every piece costs time of the process, which others wait for."""
    body = body_in(MAX_PIECES + 1)
    for _ in range(MAX_PIECES):
        await body()
    with pytest.raises(BodyTooLarge):
        await body()
