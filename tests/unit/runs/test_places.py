"""How tenants share the places of a process."""

from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.runs import places as module
from retinue.runs.places import Places

NOISY, QUIET, THIRD = new_id(), new_id(), new_id()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fill(places: Places, tenant_id: UUID, most: int = 10_000) -> int:
    """Take as many as there are for the tenant."""
    taken = 0
    while taken < most and places.has_one_for(tenant_id):
        places.take(tenant_id)
        taken += 1
    return taken


def test_one_that_is_alone_may_have_them_all() -> None:
    places = Places(100, share=0.5)
    assert fill(places, NOISY) == 100
    assert places.free == 0


def test_beside_others_nobody_gets_more_than_the_share() -> None:
    places = Places(100, share=0.5)
    assert fill(places, QUIET, 1) == 1
    assert fill(places, NOISY) == 50
    assert fill(places, QUIET) == 49


def test_the_last_places_are_for_those_who_have_little() -> None:
    places = Places(100, share=0.6)
    fill(places, THIRD, 1)
    assert fill(places, NOISY) == 60
    assert fill(places, QUIET) == 34, "up to an equal part of three"
    assert places.free == 5
    assert fill(places, NOISY) == 0
    assert fill(places, THIRD) == 5


def test_who_was_turned_away_gets_what_becomes_free() -> None:
    places = Places(10, share=0.5)
    fill(places, NOISY)
    assert not places.has_one_for(QUIET)
    places.leave(NOISY)
    assert not places.has_one_for(NOISY), "it has more than its share, and somebody wants in"
    assert fill(places, QUIET) == 1


def test_who_has_gone_away_is_not_waited_for() -> None:
    clock = Clock()
    places = Places(10, share=0.5, clock=clock)
    fill(places, NOISY)
    assert not places.has_one_for(QUIET)
    places.leave(NOISY)
    clock.now += module.WANTS_SECONDS + 1
    assert fill(places, NOISY) == 1


@pytest.mark.parametrize("count", [1, 2, 9])
def test_everybody_may_have_one(count: int) -> None:
    places = Places(count, share=0.01)
    assert [fill(places, new_id(), 1) for _ in range(count)] == [1] * count
    assert not places.has_one_for(new_id())


def test_a_crowd_that_is_turned_away_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TURNED_AWAY", 5)
    places = Places(1, share=1.0)
    fill(places, NOISY)
    for _ in range(100):
        assert not places.has_one_for(new_id())
    assert len(places._turned_away) <= 5
