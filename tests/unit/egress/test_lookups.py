"""Names that do not resolve hold up nobody but who asks for them."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from retinue.egress import EgressPolicy, TooManyLookups, fetch, make_client
from retinue.egress.lookups import MAX_PER_ASKER, MAX_PER_HOST, MAX_THREADS, SystemResolver, asking_for
from retinue.egress.network import GuardedNetwork
from tests.unit.egress.internet import Internet

DEADLINE = 10.0
PUBLIC = "93.184.216.34"


class Servers:
    """Name servers that do not answer for `slow.*` before they are told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int) -> list[str]:  # noqa: ARG002
        self.asked[host] += 1
        if host.startswith("slow."):
            assert self.may_answer.wait(6 * DEADLINE)
        if host.startswith("no."):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [PUBLIC]


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.may_answer.set()


@pytest.fixture
async def resolver(servers: Servers) -> AsyncIterator[SystemResolver]:
    yield SystemResolver(servers)
    servers.may_answer.set()


async def asked_by(resolver: SystemResolver, asker: object, host: str) -> list[str]:
    with asking_for(asker):
        return await resolver(host, 443)


async def hanging(resolver: SystemResolver, hosts: dict[str, object]) -> list[asyncio.Task[list[str]]]:
    """Lookups under way: hosts and whose they are; null for the settings."""
    tasks = [
        asyncio.create_task(resolver(host, 443) if asker is None else asked_by(resolver, asker, host))
        for host, asker in hosts.items()
    ]
    await asyncio.sleep(0)
    return tasks


async def given_up(tasks: list[asyncio.Task[list[str]]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_names_are_resolved(resolver: SystemResolver) -> None:
    assert await resolver("api.example.com", 443) == [PUBLIC]
    assert await asked_by(resolver, "a", "site.example.com") == [PUBLIC]
    with pytest.raises(socket.gaierror):
        await resolver("no.example.com", 443)


async def test_the_systems_own_answer() -> None:
    assert "127.0.0.1" in await SystemResolver()("localhost", 80)


async def test_what_one_asker_left_hanging_is_counted_until_it_ends(resolver: SystemResolver, servers: Servers) -> None:
    tasks = await hanging(resolver, {f"slow.{number}": "a" for number in range(MAX_PER_ASKER)})
    await given_up(tasks)
    with pytest.raises(TooManyLookups):
        await asked_by(resolver, "a", "site.example.com")
    assert servers.asked["site.example.com"] == 0
    assert await asked_by(resolver, "b", "site.example.com") == [PUBLIC]
    servers.may_answer.set()
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(TooManyLookups):
                assert await asked_by(resolver, "a", "site.example.com") == [PUBLIC]
                return
            await asyncio.sleep(0)


async def test_no_number_of_askers_holds_up_the_settings_hosts(resolver: SystemResolver) -> None:
    tasks = await hanging(resolver, {f"slow.{number}": number for number in range(MAX_THREADS + 5)})
    async with asyncio.timeout(DEADLINE):
        assert await resolver("api.example.com", 443) == [PUBLIC]
    await given_up(tasks)


async def test_no_host_of_the_settings_holds_up_another(resolver: SystemResolver, servers: Servers) -> None:
    tasks = [task for _ in range(MAX_THREADS + 5) for task in await hanging(resolver, {"slow.example.com": None})]
    async with asyncio.timeout(DEADLINE):
        assert await resolver("api.example.com", 443) == [PUBLIC]
        servers.may_answer.set()
        assert await asyncio.gather(*tasks) == [[PUBLIC]] * len(tasks)
    assert servers.asked["slow.example.com"] == MAX_PER_HOST


async def test_who_gives_up_takes_nothing_from_who_waits_for_the_same_host(
    resolver: SystemResolver, servers: Servers
) -> None:
    first = [task for _ in range(MAX_PER_HOST) for task in await hanging(resolver, {"slow.example.com": None})]
    (patient,) = await hanging(resolver, {"slow.example.com": None})
    await given_up(first)
    servers.may_answer.set()
    async with asyncio.timeout(DEADLINE):
        assert await patient == [PUBLIC]


async def test_who_finds_no_thread_free_waits_for_one(resolver: SystemResolver, servers: Servers) -> None:
    await given_up(await hanging(resolver, {f"slow.{number}": number for number in range(MAX_THREADS)}))
    (late,) = await hanging(resolver, {"site.example.com": "late"})
    assert servers.asked["site.example.com"] == 0
    servers.may_answer.set()
    async with asyncio.timeout(DEADLINE):
        assert await late == [PUBLIC]


async def test_a_system_without_threads_is_trouble_that_may_pass(
    resolver: SystemResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(MAX_THREADS + 1):
            with pytest.raises(OSError, match="no thread"):
                await resolver("api.example.com", 443)
    assert await resolver("api.example.com", 443) == [PUBLIC]


async def test_the_servers_other_threads_stay_free(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's own threads would be used up by a few dozen names, and with them all that else needs one."""

    def slow(host: str, port: int, **_: object) -> list[object]:
        return [(0, 0, 0, "", (address, port)) for address in servers(host, port)]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = SystemResolver()
    tasks = await hanging(resolver, {f"slow.{number}": number for number in range(40)})
    async with asyncio.timeout(DEADLINE):
        assert await asyncio.to_thread(lambda: "free") == "free"
    await given_up(tasks)


async def test_a_fetch_is_on_the_account_of_its_asker(servers: Servers, resolver: SystemResolver) -> None:
    client = make_client(EgressPolicy(), connect_timeout=0.02, resolve=resolver)
    async with client:
        for number in range(MAX_PER_ASKER):
            with pytest.raises(httpx2.ConnectTimeout):
                await got(client, f"http://slow.{number}.example.com/")
        with pytest.raises(TooManyLookups):
            await got(client, "http://site.example.com/")
    assert servers.asked["site.example.com"] == 0


async def got(client: httpx2.AsyncClient, url: str) -> None:
    await fetch(client, EgressPolicy(), url, asker="a", max_bytes=10, timeout=DEADLINE)


async def test_a_time_out_of_the_guard_leaves_the_lookup_where_it_counts(resolver: SystemResolver) -> None:
    backend = GuardedNetwork(EgressPolicy(), resolver, Internet())
    with asking_for("a"):
        for number in range(MAX_PER_ASKER):
            with pytest.raises(httpx2.ConnectTimeout):
                await backend.connect(f"slow.{number}.example.com", 443, 0.01)
        with pytest.raises(TooManyLookups):
            await backend.connect("site.example.com", 443, DEADLINE)


def test_a_lookup_that_hangs_does_not_keep_the_process() -> None:
    script = """
import asyncio, threading
from retinue.egress.lookups import SystemResolver

async def main():
    begun = threading.Event()
    def never(host, port):
        begun.set()
        threading.Event().wait()
    lookup = asyncio.create_task(SystemResolver(never)("slow.example.com", 443))
    while not begun.is_set():
        await asyncio.sleep(0)
    lookup.cancel()

asyncio.run(main())
print("over")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")
