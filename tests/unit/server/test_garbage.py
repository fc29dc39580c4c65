"""What a server has when it begins to serve is not looked at again."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from retinue.server.garbage import settle


class Node:
    other: "Node"


@pytest.fixture
def thawed() -> Iterator[None]:
    """Nothing stays frozen for other tests."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_garbage_goes_and_the_rest_is_left_alone() -> None:
    one, other = Node(), Node()
    one.other, other.other = other, one
    gone = weakref.ref(one)
    del one, other
    before = gc.get_freeze_count()
    settle()
    assert gone() is None
    assert gc.get_freeze_count() > before
