"""When times count as unequal."""

import pytest

from retinue.proving.timing import Timing, sign_test


def timing(foreign: float, missing: float, chance: float) -> Timing:
    return Timing(operation="GET /", places="", foreign_ms=foreign, missing_ms=missing, chance=chance)


def test_the_sign_test_is_exact() -> None:
    assert sign_test([1.0] * 10, [2.0] * 10) == pytest.approx(2 / 2**10)
    assert sign_test([1.0, 2.0], [2.0, 1.0]) == 1.0
    assert sign_test([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert sign_test([1.0] * 8 + [3.0] * 2, [2.0] * 10) == pytest.approx(2 * (1 + 10 + 45) / 2**10)


def test_only_what_is_large_and_steady_is_suspicious() -> None:
    assert timing(2.0, 1.0, 0.0001).is_suspicious
    assert timing(1.0, 2.0, 0.0001).is_suspicious
    assert not timing(1.05, 1.0, 0.0001).is_suspicious
    assert not timing(2.0, 1.0, 0.05).is_suspicious
