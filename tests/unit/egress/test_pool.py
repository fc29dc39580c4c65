"""Which connection a request gets."""

import asyncio
import ssl

import httpx2
import pytest

from retinue.egress import pool as pools
from retinue.egress.pool import Pool
from retinue.egress.streams import Network, Stream

A, B = "http://a.example.com/", "http://b.example.com/"
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Line(Stream):
    def __init__(self) -> None:
        self.is_closed = self.says_goodbye = False
        self.name = ""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    async def write(self, data: bytes, timeout: float | None = None) -> None: ...  # noqa: ASYNC109

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        self.name = name

    def close(self) -> None:
        self.is_closed = True

    @property
    def is_readable(self) -> bool:
        return self.says_goodbye


class Lines(Network):
    def __init__(self) -> None:
        self.made: list[tuple[str, int, Line]] = []

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ARG002, ASYNC109
        self.made.append((host, port, line := Line()))
        return line

    @property
    def closed(self) -> list[bool]:
        return [line.is_closed for _, _, line in self.made]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pools, "time", clock)
    return clock


def a_pool(lines: Lines, *, max_idle: int | None = None, idle_seconds: float | None = None) -> Pool:
    return Pool(lines, CONTEXT, max_idle=max_idle, idle_seconds=idle_seconds)


async def begin(pool: Pool, url: str) -> httpx2.Response:
    request = httpx2.Request("GET", url)
    return await (await pool.connection(request)).ask(request)


async def ask(pool: Pool, *urls: str) -> None:
    for response in [await begin(pool, url) for url in urls]:
        await response.aread()


async def test_a_request_takes_what_is_idle_and_else_a_new_one(lines: Lines) -> None:
    pool = a_pool(lines)
    await ask(pool, A, A, B)
    await ask(pool, A, A)
    assert [host for host, _, _ in lines.made] == ["a.example.com", "a.example.com", "b.example.com"]
    assert not any(lines.closed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example.com/", "http://a.example.com:81/"),
        ("http://a.example.com/", "https://a.example.com/"),
        ("https://a.example.com/", "https://b.example.com/"),
        ("http://[::1]:80/", "http://[::2]:80/"),
    ],
)
async def test_an_origin_is_all_of_scheme_host_and_port(lines: Lines, one: str, other: str) -> None:
    pool = a_pool(lines)
    await ask(pool, one)
    await ask(pool, other)
    await ask(pool, one)
    assert len(lines.made) == 2


async def test_where_it_connects_to(lines: Lines) -> None:
    pool = a_pool(lines)
    await ask(pool, A, "https://b.example.com/x", "https://[::1]:8443/", "http://bücher.example/")
    assert [(host, port, line.name) for host, port, line in lines.made] == [
        ("a.example.com", 80, ""),
        ("b.example.com", 443, "b.example.com"),
        ("::1", 8443, "::1"),
        ("xn--bcher-kva.example", 80, ""),
    ]


async def test_only_http(lines: Lines) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await begin(a_pool(lines), "ftp://a.example.com/")
    assert lines.made == []


async def test_the_one_that_was_used_last_is_used_first(lines: Lines, clock: Clock) -> None:
    """So that the others may grow old."""
    pool = a_pool(lines, idle_seconds=10)
    await ask(pool, A, A)
    for _ in range(3):
        clock.now += 5
        await ask(pool, A)
    assert lines.closed == [True, False]


async def test_what_was_idle_for_too_long_is_closed(lines: Lines, clock: Clock) -> None:
    pool = a_pool(lines, idle_seconds=10)
    await ask(pool, A)
    clock.now += 10
    await ask(pool, A)
    assert lines.closed == [False]
    clock.now += 10.1
    await ask(pool, A)
    assert lines.closed == [True, False]


async def test_no_more_are_idle_than_may_be(lines: Lines) -> None:
    pool = a_pool(lines, max_idle=2)
    await ask(pool, A, B, A, B)
    assert lines.closed == [True, True, False, False]


async def test_a_server_that_has_left_is_not_asked(lines: Lines) -> None:
    pool = a_pool(lines)
    await ask(pool, A, A)
    for _, _, line in lines.made:
        line.says_goodbye = True
    await ask(pool, A)
    assert lines.closed == [True, True, False]


async def test_closing_leaves_who_is_being_answered(lines: Lines) -> None:
    pool = a_pool(lines)
    await ask(pool, A)
    response = await begin(pool, A)
    await ask(pool, B)
    pool.close()
    assert lines.closed == [False, True]
    await response.aread()
    assert lines.closed == [True, True]


async def test_a_request_costs_the_same_however_many_are_open(lines: Lines) -> None:
    pool = a_pool(lines)
    answers = [await begin(pool, A) for _ in range(100)]
    looked: list[Line] = []

    def seen(line: Line) -> bool:
        looked.append(line)
        return False

    for response in answers[:50]:
        await response.aread()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Line, "is_readable", property(seen))
        await ask(pool, A)
    assert len(looked) == 1
    await asyncio.gather(*(response.aread() for response in answers[50:]))
