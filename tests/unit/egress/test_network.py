"""The egress guard: one resolution, every answer checked, connected to what was checked."""

import asyncio
import socket
from typing import cast

import httpx2
import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import EgressPolicy
from retinue.egress.network import GuardedNetwork
from retinue.egress.streams import Network, Stream
from tests.unit.egress.addresses import REFUSED_ADDRESSES

CLOSED = EgressPolicy()
PUBLIC = "93.184.216.34"
STREAM = cast(Stream, object())


class Dialled(Network):
    """Remembers where it was sent, and fails for some addresses."""

    def __init__(self, *dead: str) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.dead = dead

    async def connect(self, host: str, port: int, *_: object) -> Stream:
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpx2.ConnectError("dead")
        return STREAM


class Names:
    """A resolver that gives other answers each time, as a rebinding attacker's does."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    names, network = Names([PUBLIC], ["127.0.0.1"]), Dialled()
    await GuardedNetwork(CLOSED, names, network).connect("api.example.com", 443, 5.0)
    assert names.asked == ["api.example.com"]
    assert network.dialled == [(PUBLIC, 443)]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_one_bad_answer_spoils_all(address: str) -> None:
    network = Dialled()
    with pytest.raises(EgressRefused):
        await GuardedNetwork(CLOSED, Names([PUBLIC, address]), network).connect("api.example.com", 443, 5.0)
    assert network.dialled == []


@pytest.mark.parametrize("answer", [[], ["fe80::1%eth0"], ["not an address"]])
async def test_answers_that_are_no_addresses(answer: list[str]) -> None:
    with pytest.raises(EgressRefused):
        await GuardedNetwork(CLOSED, Names(answer), Dialled()).connect("api.example.com", 443, 5.0)


async def test_a_name_that_does_not_exist_looks_like_an_internal_one() -> None:
    unknown = Names(socket.gaierror(socket.EAI_NONAME, "unknown"))
    internal = Names(["10.0.0.1"])
    details = set()
    for names in (unknown, internal):
        with pytest.raises(EgressRefused) as caught:
            await GuardedNetwork(CLOSED, names, Dialled()).connect("db.example.com", 443, 5.0)
        details.add(caught.value.detail)
    assert len(details) == 1


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, "later"), OSError(), UnicodeError()])
async def test_a_resolver_in_trouble_is_a_connection_error(error: Exception) -> None:
    with pytest.raises(httpx2.ConnectError):
        await GuardedNetwork(CLOSED, Names(error), Dialled()).connect("api.example.com", 443, 5.0)


async def test_a_slow_resolver_is_given_up() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    with pytest.raises(httpx2.ConnectTimeout):
        await GuardedNetwork(CLOSED, never, Dialled()).connect("api.example.com", 443, 0.02)


async def test_the_next_address_is_tried() -> None:
    network = Dialled(PUBLIC)
    await GuardedNetwork(CLOSED, Names([PUBLIC, "8.8.8.8"]), network).connect("api.example.com", 443, 5.0)
    assert network.dialled == [(PUBLIC, 443), ("8.8.8.8", 443)]


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 80), (PUBLIC, 22), ("localhost", 80), ("0x7f.1", 80)])
async def test_the_backend_trusts_nobody(host: str, port: int) -> None:
    names, network = Names([PUBLIC]), Dialled()
    with pytest.raises(EgressRefused):
        await GuardedNetwork(CLOSED, names, network).connect(host, port, 5.0)
    assert (names.asked, network.dialled) == ([], [])


async def test_an_allowed_name_may_resolve_to_anything() -> None:
    network = Dialled()
    policy = EgressPolicy(frozenset({"ollama:11434"}))
    await GuardedNetwork(policy, Names(["172.18.0.3"]), network).connect("ollama", 11434, 5.0)
    assert network.dialled == [("172.18.0.3", 11434)]
