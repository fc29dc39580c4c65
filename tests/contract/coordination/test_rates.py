"""Buckets: what was taken is gone until time or somebody gives it back, whoever asks."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from retinue.coordination.base import Coordination, Verdict
from retinue.domain.ids import new_id
from retinue.domain.limits import Asker, Bounds, Bucket, Limits, buckets
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID

KEY_ID = UUID("01928f6e-0000-7000-8000-0000000000ab")
ASKER = Asker(tenant_id=TENANT_ID, key_id=KEY_ID, user_id="ada@example.com")
SLOW = 60
"""Per minute: one comes back in a second, which no test takes."""


def of_tenant(per_minute: int = SLOW, **others: int) -> Sequence[Bucket]:
    """A tenant's bucket, and perhaps a key's and a user's."""
    bounds = {party: Bounds(requests_per_minute=bound) for party, bound in {"tenant": per_minute, **others}.items()}
    return buckets(Limits(**bounds), ASKER, "requests")


async def take(
    coordination: Coordination, held: Sequence[Bucket], amount: int = 1, *, may_owe: bool = False
) -> Verdict:
    async with asyncio.timeout(DEADLINE):
        return await coordination.rates.take(held, amount, may_owe=may_owe)


async def test_a_full_bucket_holds_exactly_its_size(coordination: Coordination) -> None:
    for size in (1, 7, 60):
        held = of_tenant(size, user=10_000)
        held = [_renamed(bucket, f"of {size}") for bucket in held]
        answers = [await take(coordination, held) for _ in range(size + 1)]
        assert [answer.is_allowed for answer in answers] == [True] * size + [False]
        assert [answer.remaining for answer in answers] == [*reversed(range(size)), 0]


async def test_who_is_refused_is_told_when_to_come_back(coordination: Coordination) -> None:
    held = of_tenant(2)
    assert (await take(coordination, held)).wait == 0
    await take(coordination, held)
    refused = await take(coordination, held)
    assert (refused.limit, refused.remaining, refused.party) == (2, 0, "tenant")
    assert 25 < refused.wait <= 30
    assert 55 < refused.reset <= 60


async def test_time_fills_a_bucket(coordination: Coordination) -> None:
    held = of_tenant(6000)
    assert (await take(coordination, held, 6000)).is_allowed
    refused = await take(coordination, held, 10)
    assert not refused.is_allowed
    assert refused.wait <= 0.1
    async with asyncio.timeout(DEADLINE):
        while not (await take(coordination, held, 10)).is_allowed:  # noqa: ASYNC110
            await asyncio.sleep(refused.wait)


async def test_all_buckets_or_none(coordination: Coordination) -> None:
    held = of_tenant(10, key=3, user=5)
    answers = [await take(coordination, held) for _ in range(8)]
    assert [answer.is_allowed for answer in answers] == [True] * 3 + [False] * 5
    assert {answer.party for answer in answers} == {"key"}
    tenant_only = of_tenant(10)
    assert (await take(coordination, tenant_only)).remaining == 6, "what was refused took nothing"


async def test_the_tightest_bucket_is_told_of(coordination: Coordination) -> None:
    held = of_tenant(4, key=50, user=5)
    assert [(await take(coordination, held)).limit for _ in range(4)] == [4] * 4
    assert [bucket.party for bucket in held] == ["tenant", "key", "user"]


async def test_tenants_keys_and_users_have_buckets_of_their_own(coordination: Coordination) -> None:
    limits = Limits(
        **{party: Bounds(requests_per_minute=1, tokens_per_minute=1) for party in ("tenant", "key", "user")}
    )
    others = [
        Asker(tenant_id=new_id(), key_id=KEY_ID, user_id=ASKER.user_id),
        Asker(tenant_id=new_id(), user_id=""),
        Asker(tenant_id=new_id()),
    ]
    for asker in (ASKER, *others):
        for metered in ("requests", "tokens"):
            held = buckets(limits, asker, metered)
            assert (await take(coordination, held)).is_allowed
            assert not (await take(coordination, held)).is_allowed


async def test_what_is_given_back_can_be_taken(coordination: Coordination) -> None:
    held = of_tenant(10)
    await take(coordination, held, 10)
    coordination.rates.give_back(held, 4)
    answers = [await take(coordination, held, 2) for _ in range(3)]
    assert [answer.is_allowed for answer in answers] == [True, True, False]


async def test_more_than_full_cannot_be_given_back(coordination: Coordination) -> None:
    held = of_tenant(3)
    await take(coordination, held)
    coordination.rates.give_back(held, 1000)
    assert [(await take(coordination, held)).is_allowed for _ in range(4)] == [True] * 3 + [False]


async def test_what_is_not_empty_may_owe_one_call(coordination: Coordination) -> None:
    held = of_tenant(100)
    await take(coordination, held, 99)
    owing = await take(coordination, held, 500, may_owe=True)
    assert (owing.is_allowed, owing.remaining) == (True, 0)
    assert 290 < owing.reset <= 360
    refused = await take(coordination, held, 1, may_owe=True)
    assert not refused.is_allowed
    assert 290 < refused.wait <= 300
    coordination.rates.give_back(held, 550)
    assert (await take(coordination, held, 1, may_owe=True)).is_allowed


async def test_what_came_to_more_is_taken_after_all(coordination: Coordination) -> None:
    held = of_tenant(100)
    await take(coordination, held, 50, may_owe=True)
    coordination.rates.give_back(held, -70)
    refused = await take(coordination, held, 1, may_owe=True)
    assert not refused.is_allowed
    assert 10 < refused.wait <= 13


async def test_looking_takes_nothing(coordination: Coordination) -> None:
    held = of_tenant(2)
    for _ in range(5):
        looked = await take(coordination, held, 0, may_owe=True)
        assert (looked.is_allowed, looked.remaining) == (True, 2)
    await take(coordination, held, 2)
    assert not (await take(coordination, held, 0, may_owe=True)).is_allowed


async def test_a_bound_that_is_changed_finds_what_was_taken(coordination: Coordination) -> None:
    """By the part of a minute that it takes to fill: half full stays half full."""
    await take(coordination, of_tenant(100), 50)
    assert (await take(coordination, of_tenant(10), 0, may_owe=True)).remaining == 5


@pytest.mark.parametrize("bound", [1, 10])
async def test_fifty_at_once_get_no_more_than_there_is(coordination: Coordination, bound: int) -> None:
    held = of_tenant(bound, user=1000)
    answers = await asyncio.gather(*(take(coordination, held) for _ in range(50)))
    assert sum(answer.is_allowed for answer in answers) == bound


async def test_one_of_fifty_at_once_may_owe(coordination: Coordination) -> None:
    held = of_tenant(100)
    answers = await asyncio.gather(*(take(coordination, held, 1000, may_owe=True) for _ in range(50)))
    assert sum(answer.is_allowed for answer in answers) == 1


def _renamed(bucket: Bucket, name: str) -> Bucket:
    return Bucket(
        tenant_id=bucket.tenant_id,
        metered=bucket.metered,
        party=bucket.party,
        name=name,
        per_minute=bucket.per_minute,
    )
