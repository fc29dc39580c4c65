"""Fixtures around the fake upstream."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.upstream import FakeUpstream, ThreadedUpstream, upstream_in_thread


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake model provider on the test's own loop; complains about scenarios that nobody asked for."""
    async with FakeUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def module_upstream() -> Iterator[ThreadedUpstream]:
    """A fake model provider for all tests of a module, on a loop of its own."""
    with upstream_in_thread() as running:
        yield running
