"""Clients that take their time do not hold a connection for ever."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e.contract.wire import PATIENCE, parse
from tests.e2e.edges.conftest import HEAD_SECONDS, IDLE_SECONDS
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def connection(impatient: ForkedServer) -> Iterator[socket.socket]:
    host, _, port = impatient.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65_536):
            received += piece
    return received


def dripped(connection: socket.socket, data: bytes, pause: float) -> bytes:
    """Send byte by byte, until the server has had enough; what it said."""
    connection.settimeout(pause)
    for number in range(len(data)):
        with suppress(ConnectionError):
            connection.send(data[number : number + 1])
        try:
            if piece := connection.recv(65_536):
                connection.settimeout(PATIENCE)
                return piece + rest(connection)
        except TimeoutError:
            continue
        except ConnectionError:
            break
        return b""
    raise AssertionError("it took everything")


def silent_for(connection: socket.socket, seconds: float) -> bool:
    """Whether the server says nothing and leaves the connection open meanwhile."""
    connection.settimeout(seconds)
    try:
        connection.recv(65_536)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE)
    return False


def sent_until_closed(connection: socket.socket) -> int:
    """Send until the server has closed; how much it took."""
    taken = 0
    with suppress(ConnectionError):
        while taken < 1_000_000_000:
            taken += connection.send(b"a" * 10_000)
        raise AssertionError("it took everything")
    return taken


def test_a_head_that_comes_byte_by_byte_is_cut_off(connection: socket.socket) -> None:
    """However often a byte comes: the time counts from the first one."""
    since = time.monotonic()
    [answer] = parse(dripped(connection, GET + b"X-Thing: " + b"a" * 1000, HEAD_SECONDS / 10))
    answer.problem(408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert HEAD_SECONDS * 0.9 < time.monotonic() - since < PATIENCE / 2


def test_a_head_that_stops_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(GET)
    [answer] = parse(rest(connection))
    answer.problem(408, "request_timeout")


def test_so_is_the_second_on_a_connection(connection: socket.socket) -> None:
    connection.sendall(GET + b"\r\n" + GET)
    first, second = parse(rest(connection))
    assert first.status == 200
    second.problem(408, "request_timeout")


def test_the_time_of_one_head_is_not_that_of_another(connection: socket.socket) -> None:
    """Each of these comes in two parts, and all of them together take longer than one may."""
    for _ in range(4):
        connection.sendall(GET)
        assert silent_for(connection, HEAD_SECONDS / 3)
        connection.sendall(b"\r\n")
        received = b""
        while not received.endswith(b"}"):
            piece = connection.recv(65_536)
            assert piece, received
            received += piece
        assert received.startswith(b"HTTP/1.1 200")


def test_nor_is_it_where_one_begins_with_the_end_of_the_other(connection: socket.socket) -> None:
    head = GET + b"\r\n"
    connection.sendall(head[:10])
    for _ in range(4):
        assert silent_for(connection, HEAD_SECONDS / 3)
        connection.sendall(head[10:] + head[:10])
        received = b""
        while not received.endswith(b"}"):
            piece = connection.recv(65_536)
            assert piece, received
            received += piece
        assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("first", [b"", GET + b"\r\n"])
def test_a_connection_where_nothing_is_said_is_closed(connection: socket.socket, first: bytes) -> None:
    since = time.monotonic()
    connection.sendall(first)
    assert [answer.status for answer in parse(rest(connection))] == ([200] if first else [])
    assert IDLE_SECONDS * 0.9 < time.monotonic() - since < PATIENCE / 2


def test_who_was_refused_and_never_stops_is_let_go(connection: socket.socket) -> None:
    """The answer arrives although the client is still sending, and the connection does not stay for that."""
    since = time.monotonic()
    with suppress(ConnectionError):
        connection.sendall(b"GET /" + b"a" * 500_000)
    [answer] = parse(rest(connection))
    answer.problem(414, "target_too_long")
    assert sent_until_closed(connection)
    assert time.monotonic() - since < PATIENCE / 2
