"""The egress guard: one resolution, every answer checked, connected to what was checked."""

import asyncio
import socket

import httpcore2
import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import EgressPolicy
from retinue.egress.network import GuardedBackend
from tests.unit.egress.addresses import REFUSED_ADDRESSES

CLOSED = EgressPolicy()
PUBLIC = "93.184.216.34"


class Network(httpcore2.AsyncNetworkBackend):
    """Remembers where it was sent, and fails for some addresses."""

    def __init__(self, *dead: str) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.dead = dead

    async def connect_tcp(self, host: str, port: int, *_: object) -> httpcore2.AsyncNetworkStream:
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpcore2.ConnectError
        return httpcore2.AsyncNetworkStream()


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
    names, network = Names([PUBLIC], ["127.0.0.1"]), Network()
    await GuardedBackend(CLOSED, names, network).connect_tcp("api.example.com", 443, 5.0)
    assert names.asked == ["api.example.com"]
    assert network.dialled == [(PUBLIC, 443)]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_one_bad_answer_spoils_all(address: str) -> None:
    network = Network()
    with pytest.raises(EgressRefused):
        await GuardedBackend(CLOSED, Names([PUBLIC, address]), network).connect_tcp("api.example.com", 443, 5.0)
    assert network.dialled == []


@pytest.mark.parametrize("answer", [[], ["fe80::1%eth0"], ["not an address"]])
async def test_answers_that_are_no_addresses(answer: list[str]) -> None:
    with pytest.raises(EgressRefused):
        await GuardedBackend(CLOSED, Names(answer), Network()).connect_tcp("api.example.com", 443, 5.0)


async def test_a_name_that_does_not_exist_looks_like_an_internal_one() -> None:
    unknown = Names(socket.gaierror(socket.EAI_NONAME, "unknown"))
    internal = Names(["10.0.0.1"])
    details = set()
    for names in (unknown, internal):
        with pytest.raises(EgressRefused) as caught:
            await GuardedBackend(CLOSED, names, Network()).connect_tcp("db.example.com", 443, 5.0)
        details.add(caught.value.detail)
    assert len(details) == 1


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, "later"), OSError(), UnicodeError()])
async def test_a_resolver_in_trouble_is_a_connection_error(error: Exception) -> None:
    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend(CLOSED, Names(error), Network()).connect_tcp("api.example.com", 443, 5.0)


async def test_a_slow_resolver_is_given_up() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    with pytest.raises(httpcore2.ConnectTimeout):
        await GuardedBackend(CLOSED, never, Network()).connect_tcp("api.example.com", 443, 0.02)


async def test_the_next_address_is_tried() -> None:
    network = Network(PUBLIC)
    await GuardedBackend(CLOSED, Names([PUBLIC, "8.8.8.8"]), network).connect_tcp("api.example.com", 443, 5.0)
    assert network.dialled == [(PUBLIC, 443), ("8.8.8.8", 443)]


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 80), (PUBLIC, 22), ("localhost", 80), ("0x7f.1", 80)])
async def test_the_backend_trusts_nobody(host: str, port: int) -> None:
    names, network = Names([PUBLIC]), Network()
    with pytest.raises(EgressRefused):
        await GuardedBackend(CLOSED, names, network).connect_tcp(host, port, 5.0)
    assert (names.asked, network.dialled) == ([], [])
    with pytest.raises(EgressRefused):
        await GuardedBackend(CLOSED, names, network).connect_unix_socket("/run/docker.sock")


async def test_an_allowed_name_may_resolve_to_anything() -> None:
    network = Network()
    policy = EgressPolicy(frozenset({"ollama:11434"}))
    await GuardedBackend(policy, Names(["172.18.0.3"]), network).connect_tcp("ollama", 11434, 5.0)
    assert network.dialled == [("172.18.0.3", 11434)]
