"""A URL's scheme chooses the backend."""

import pytest

from retinue.coordination.memory import MemoryCoordination
from retinue.coordination.redis import RedisCoordination
from retinue.coordination.registry import connect


@pytest.mark.parametrize(
    ("url", "backend", "is_shared"),
    [
        ("memory://", MemoryCoordination, False),
        ("redis://127.0.0.1:1/0", RedisCoordination, True),
        ("rediss://127.0.0.1:1/0", RedisCoordination, True),
    ],
)
async def test_connecting_connects_to_nothing(url: str, backend: type, is_shared: bool) -> None:
    coordination = connect(url, process="tests")
    assert type(coordination) is backend
    assert coordination.is_shared is is_shared
    assert coordination.is_healthy is not is_shared, "nobody has been reached yet"
    await coordination.aclose()


def test_an_unknown_scheme_is_refused_without_repeating_the_url() -> None:
    with pytest.raises(ValueError, match="no backend 'amqp'") as caught:
        connect("amqp://user:s3cret@host", process="tests")
    assert "s3cret" not in str(caught.value)
