"""An answer is never taken for that of another question."""

import asyncio

import pytest
from redis.asyncio.connection import Connection

from retinue.coordination.redis.connection import Address, Link, Unreachable
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow


async def test_after_a_question_that_took_too_long(redis_server: RedisServer) -> None:
    link = Link(Address(redis_server.url))
    assert await link.call(("ECHO", "a"), ("ECHO", "b")) == [b"a", b"b"]
    redis_server.pause()
    with pytest.raises(Unreachable, match="TimeoutError"):
        await link.call(("ECHO", "late"))
    redis_server.resume()
    assert await link.call(("ECHO", "c")) == [b"c"]
    await link.aclose()


async def test_after_a_question_that_was_given_up(redis_server: RedisServer) -> None:
    link = Link(Address(redis_server.url))
    assert await link.call(("ECHO", "a")) == [b"a"]
    redis_server.pause()
    question = asyncio.create_task(link.call(("ECHO", "late")))
    await asyncio.sleep(0.01)
    question.cancel()
    await asyncio.gather(question, return_exceptions=True)
    redis_server.resume()
    assert await link.call(("ECHO", "c")) == [b"c"]
    await link.aclose()


@pytest.mark.parametrize("url", ["memory://", "http://host/0", "unix:///socket"])
def test_other_urls_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="redis://") as caught:
        Address(url)
    assert url not in str(caught.value)


def test_options_in_the_url_change_neither_protocol_nor_deadlines() -> None:
    url = "redis://user:p%40ss@host:7000/3?protocol=3&socket_timeout=99&decode_responses=1&max_connections=1"
    connection = Address(url).connection()
    assert isinstance(connection, Connection)
    assert (connection.host, connection.port, connection.db) == ("host", 7000, 3)
    assert (connection.username, connection.password) == ("user", "p@ss")
    assert (connection.protocol, connection.socket_timeout) == (2, None)
