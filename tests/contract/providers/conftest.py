"""A provider of each kind, pointed at a fake vendor on a real socket."""

import ssl
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from retinue.domain.policy import ByteCaps, Deadlines
from retinue.egress import EgressPolicy, make_client
from retinue.providers.base import Provider
from retinue.providers.upstream import CallLimits
from tests.contract.providers.poured import Poured
from tests.contract.providers.subjects import REQUEST, SUBJECTS, Subject, collect
from tests.support.upstream import FakeUpstream

Open = Callable[..., Provider]


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    found = request.param
    assert isinstance(found, Subject)
    return found


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def http(upstream: FakeUpstream) -> AsyncIterator[httpx2.AsyncClient]:
    # An empty context: the system's trust store takes longer to load than most of these tests to run.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with make_client(EgressPolicy(frozenset({upstream.address})), ssl_context=tls) as client:
        yield client


@pytest.fixture(params=["first", "next"])
def is_next(request: pytest.FixtureRequest) -> bool:
    """Both ways in which there are two: the SDK builds the first request of a provider, and the next ones are made like
    it; and what comes is yielded, or given to a sink where that can be.
    """
    return bool(request.param == "next")


@pytest.fixture
def open_provider(subject: Subject, upstream: FakeUpstream, http: httpx2.AsyncClient, *, is_next: bool) -> Open:
    """Opens the provider with other deadlines or caps."""

    def open_with(deadlines: Deadlines | None = None, caps: ByteCaps | None = None) -> Provider:
        limits = CallLimits(deadlines=deadlines or Deadlines(), caps=caps or ByteCaps())
        provider = subject.provider(http, upstream.address, limits)
        return Poured(provider) if is_next else provider

    return open_with


@pytest.fixture
async def provider(open_provider: Open, upstream: FakeUpstream, *, is_next: bool) -> Provider:
    provider = open_provider()
    if is_next:
        await collect(provider.stream(REQUEST))
        upstream.requests.clear()
    return provider
