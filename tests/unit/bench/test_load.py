"""The client that measures: where an answer ends, and that none is made up."""

import asyncio

import pytest

from tests.bench.load import Client, Told, Wrong
from tests.bench.plan import stamp
from tests.unit.bench.services import HEAD, answering, chunk, serving

END = b"0\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


async def told_by(*pieces: bytes, times: int = 1) -> Told:
    async with serving(answering(*pieces)) as port, Client.several(port, 1) as (client,):
        for _ in range(times - 1):
            await client.ask(REQUEST)
        return await client.ask(REQUEST)


async def test_tokens_are_timed() -> None:
    sent = stamp()
    told = await told_by(HEAD, chunk(sent), END)
    assert told.status == 200
    assert told.transits == [told.first_at - int(sent)]
    assert int(sent) <= told.asked_at <= told.first_at <= told.ended_at


class Nowhere(asyncio.Transport):
    def write(self, data: object) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def fed(*pieces: bytes) -> Told:
    """What a client makes of an answer that comes in just these pieces; the last one must end it, and no other."""
    client = Client()
    client.connection_made(Nowhere())
    client.send(REQUEST)
    assert client._done is not None
    for piece in pieces:
        assert not client._done.done(), "an answer that goes on"
        client.data_received(piece)
    return await client.told()


WHOLE = HEAD + chunk(stamp()) + END


@pytest.mark.parametrize("place", range(1, len(WHOLE)))
async def test_the_end_of_a_chunked_body_is_found_wherever_it_is_cut(place: int) -> None:
    told = await fed(WHOLE[:place], WHOLE[place:])
    assert (told.status, len(told.transits)) == (200, 1)


async def test_the_end_is_found_in_single_bytes() -> None:
    assert len((await fed(*(bytes([byte]) for byte in WHOLE))).transits) == 1


async def test_an_empty_body_ends_too() -> None:
    assert (await fed(HEAD, END)).transits == []


async def test_a_connection_is_used_again() -> None:
    assert len((await told_by(HEAD + chunk(stamp()) + END, times=3)).transits) == 1


async def test_a_connection_that_ends_with_an_answer_is_not_used_again() -> None:
    last = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(answering(last, END)) as port, Client.several(port, 1) as (client,):
        await client.ask(REQUEST)
        assert not client.is_kept
        with pytest.raises(Wrong, match="kept"):
            client.send(REQUEST)


async def test_a_body_of_known_length_ends_there() -> None:
    told = await told_by(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno", b"ne", times=2)
    assert (told.status, told.tail) == (404, b"none")


@pytest.mark.parametrize("text", ["0", "0" * 16, "ends with 0\r\n", "\r\n", "data: [DONE]\r\n\r\n"])
async def test_what_looks_like_an_end_is_none(text: str) -> None:
    told = await fed(HEAD + chunk(text), chunk(text), chunk(stamp()), END)
    assert len(told.transits) == 1


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + chunk(stamp()), HEAD + chunk(stamp()) + END[:-1]])
async def test_a_connection_that_is_cut_is_no_answer(sent: bytes) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with serving(cut) as port, Client.several(port, 1) as (client,):
        with pytest.raises(Wrong, match="the connection ended"):
            await client.ask(REQUEST)
        with pytest.raises(Wrong, match="was not kept"):
            client.send(REQUEST)


async def test_the_first_token_is_told_before_the_end() -> None:
    unfinished = answering(HEAD + chunk('{"run_id":"one"}'), chunk(stamp()))
    async with serving(unfinished) as port, Client.several(port, 1) as (client,):
        client.send(REQUEST)
        begun = await client.first_token()
        assert (len(begun.transits), begun.ended_at, client.tokens) == (1, 0, 1)
        assert b'"run_id":"one"' in begun.opening


async def test_an_answer_without_a_first_token_is_refused() -> None:
    async with serving(answering(HEAD + chunk("nothing"), END)) as port, Client.several(port, 1) as (client,):
        client.send(REQUEST)
        with pytest.raises(Wrong, match="without a token"):
            await client.first_token()
