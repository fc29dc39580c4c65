"""The model provider of all servers here."""

from collections.abc import Iterator

import pytest

from tests.support.upstream import ThreadedUpstream, upstream_in_thread


@pytest.fixture(scope="session")
def fake() -> Iterator[ThreadedUpstream]:
    with upstream_in_thread() as running:
        yield running


@pytest.fixture
def upstream(fake: ThreadedUpstream) -> Iterator[ThreadedUpstream]:
    """The provider without memories of other tests; complains about scenarios that nobody asked for."""
    fake.reset()
    yield fake
    fake.check()
