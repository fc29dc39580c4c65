"""The short way to a head says what the long way says."""

import h11
import pytest

from retinue.http.headers import SECURITY_HEADERS
from retinue.server.answering import chunked_head

HEADERS = [*SECURITY_HEADERS, (b"Content-Type", b"text/event-stream"), (b"x-empty", b""), (b"x-obs", b"\xe4 \t b")]
REQUESTS = {
    "GET": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
    "the last one": b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "before its body": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n",
}


def asked(request: bytes) -> h11.Connection:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    assert isinstance(connection.next_event(), h11.Request)
    return connection


@pytest.mark.parametrize("request_line", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_head_and_state_are_those_of_h11(request_line: bytes, status: int) -> None:
    short, long = asked(request_line), asked(request_line)
    head = chunked_head(short, status, HEADERS)
    assert head == long.send(h11.Response(status_code=status, headers=HEADERS))
    assert short.states == long.states
    end = h11.EndOfMessage()
    assert short.send(end) == long.send(end)
    assert short.states == long.states


@pytest.mark.parametrize(
    "header", [(b"x-a", b"1\r\nset-cookie: b"), (b"x-a", b" 1"), (b"x a", b"1"), (b"x-a", b"\x00")]
)
def test_what_is_no_header_is_refused_and_nothing_is_told(header: tuple[bytes, bytes]) -> None:
    connection = asked(REQUESTS["GET"])
    with pytest.raises(h11.LocalProtocolError, match="Illegal header"):
        chunked_head(connection, 200, [*HEADERS, header])
    assert connection.our_state is h11.SEND_RESPONSE
