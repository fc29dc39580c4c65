"""The long form of the chaos suites is as long as it is said to be."""

from tests.chaos.sizes import FULL, SHORT


def test_the_long_form() -> None:
    assert FULL.effect_kills >= 200
    assert FULL.kill_rounds >= 200
    assert FULL.cancels >= 200
    assert (FULL.crowd, FULL.twins, FULL.outage_streams) == (100, 50, 50)


def test_the_short_form_kills_at_every_point() -> None:
    assert SHORT.effect_kills > 0
    assert SHORT.effect_errands >= 9
