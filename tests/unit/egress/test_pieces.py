"""Much that says little: bodies in tiny pieces, and heads before the head."""

import asyncio

import httpx2
import pytest

from retinue.egress.answers import MAX_HEAD
from tests.unit.egress.internet import Internet
from tests.unit.egress.test_fetch import HOST, fetched, served


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


async def test_a_text_in_chunks() -> None:
    came = await served(chunked(b"one ", b"two"))
    assert (came.text, came.is_cut) == ("one two", False)


async def test_a_text_in_tiny_pieces_is_left_long_before_its_end() -> None:
    """Each costs as much to read as a large one."""
    internet = Internet({f"{HOST}/": chunked(*[b"x"] * 50_000)}, packet=6)
    came = await fetched(internet, max_bytes=64_000)
    assert (came.text, came.is_cut) == ("x" * 1001, True)
    assert internet.unread > 280_000


class Turns:
    """Counts how often others have their turn."""

    def __init__(self) -> None:
        self.number = 0

    async def take(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)

    async def __aenter__(self) -> "Turns":
        self._task = asyncio.create_task(self.take())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()


async def test_what_comes_in_one_packet_is_one_piece() -> None:
    internet = Internet({f"{HOST}/": chunked(*[b"x"] * 50_000)})
    came = await fetched(internet, max_bytes=64_000)
    assert (came.text, came.is_cut) == ("x" * 50_000, False)


async def test_others_have_their_turn_while_tiny_pieces_are_read() -> None:
    """With nothing to wait for in between."""
    internet = Internet({f"{HOST}/": chunked(*[b"x"] * 10_000)}, packet=6)
    async with Turns() as turns:
        assert (await fetched(internet, max_bytes=1_000_000)).text == "x" * 10_000
    assert turns.number > 100


async def test_others_have_their_turn_while_heads_are_read() -> None:
    internet = Internet({f"{HOST}/": b"HTTP/1.1 100\r\n\r\n" * 100_000}, packet=1_000_000)
    async with Turns() as turns:
        with pytest.raises(httpx2.RemoteProtocolError):
            await fetched(internet)
    assert turns.number > 20


@pytest.mark.parametrize(
    "forever", [b"HTTP/1.1 100\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"\r\n"], ids=repr
)
async def test_word_that_it_will_take_a_moment_does_not_go_on_for_ever(forever: bytes) -> None:
    internet = Internet({f"{HOST}/": forever * 100_000}, packet=1_000_000)
    with pytest.raises(httpx2.RemoteProtocolError):
        await fetched(internet)
    assert internet.unread > len(forever) * 100_000 - MAX_HEAD - 5_000
