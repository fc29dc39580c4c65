"""Bytes to answers, however they are cut."""

from collections.abc import Iterable

import h11
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.egress.answers import MAX_HEAD, Answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"


def read(pieces: Iterable[bytes], *, is_closed: bool = False) -> tuple[Answer, bytes]:
    answer, body = Answer(), b""
    for piece in pieces:
        answer.feed(piece)
        while more := answer.take():
            body += more
    if is_closed:
        answer.feed(b"")
        body += answer.take()
    return answer, body


def read_by_h11(data: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]], bytes]:
    """What another parser makes of it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head, body = None, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.Response):
            head = event
    assert head is not None
    return head.status_code, head.reason, head.headers.raw_items(), body


ANSWERS = {
    "chunks": CHUNKED + b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n",
    "chunks with words": CHUNKED + b'3;a=b;c="d"\r\none\r\n0\r\nTrailer: x\r\n\r\n',
    "length": b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Two: 1\r\nx-two:  2 \r\n\r\nhello",
    "nothing": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "hints first": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100\r\n\r\n" + SHORT + b"hello",
    "an older version": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "only LF": b"HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nhello",
    "a size and spaces": CHUNKED + b"3  \r\none\r\n0\r\n\r\n",
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "latin": b"HTTP/1.1 200 Gr\xfc\xdfe\r\nX: \xe4\r\nContent-Length: 2\r\n\r\n\xff\x00",
}


@given(data=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_they_read_the_same_wherever_they_are_cut(data: st.DataObject, name: str) -> None:
    whole = ANSWERS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    answer, body = read(pieces)
    assert answer.is_complete
    status, reason, headers, text = read_by_h11(whole)
    kept = [(key, value.rstrip()) for key, value in answer.headers]
    assert (answer.status, answer.reason, body) == (status, reason, text)
    # h11 leaves out a length that does not count.
    assert kept == headers or (name == "both" and kept[1:] == headers)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_which_connections_go_on(name: str) -> None:
    answer, _ = read([ANSWERS[name]])
    assert answer.may_go_on is (name not in ("an older version", "both"))


def test_a_connection_that_is_to_be_closed_does_not_go_on() -> None:
    answer, body = read([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"])
    assert (answer.is_complete, answer.may_go_on, body) == (True, False, b"hello")


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", SHORT + b"wrong", b"\x00garbage"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_nobody_asked_for_ends_the_connection(more: bytes, at_once: bool) -> None:
    whole = ANSWERS["length"]
    answer, body = read([whole + more] if at_once else [whole, more])
    assert (answer.status, body, answer.is_complete, answer.may_go_on) == (201, b"hello", True, False)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    answer, body = read([OPEN, b"hello"], is_closed=True)
    assert (body, answer.is_complete, answer.may_go_on) == (b"hello", True, False)


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 20", SHORT + b"hell", CHUNKED, CHUNKED + b"3\r\none\r\n"])
def test_the_end_of_the_connection_is_not_that_of_an_answer(cut: bytes) -> None:
    with pytest.raises(httpx2.ReadError):
        read([cut] if cut else [], is_closed=True)


@pytest.mark.parametrize(
    "wrong",
    [
        b"220 smtp.example.com ready\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"3\r\nonetwo\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        b"\x16\x03\x01\x00\x00",
    ],
)
def test_what_is_no_answer(wrong: bytes) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        read([wrong])


def test_what_came_before_a_fault_is_there() -> None:
    answer = Answer()
    answer.feed(CHUNKED + b"3\r\none\r\nwrong\r\n")
    assert answer.take() == b"one"
    with pytest.raises(httpx2.RemoteProtocolError):
        answer.take()


@pytest.mark.parametrize(
    ("begin", "forever"),
    [
        (b"", b"HTTP/1.1 100\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 16),
        (CHUNKED + b"3;", b"word=x;"),
        (CHUNKED + b"0\r\n", b"Trailer: x\r\n"),
    ],
)
def test_what_frames_a_body_is_bounded(begin: bytes, forever: bytes) -> None:
    answer = Answer()
    with pytest.raises(httpx2.RemoteProtocolError, match="does not end"):
        _feed_whole(answer, begin, *[forever] * (MAX_HEAD // len(forever) + 1))
    assert len(answer.headers) * 4 < MAX_HEAD


def _feed_whole(answer: Answer, *pieces: bytes) -> None:
    for piece in filter(None, pieces):
        answer.feed(piece)
        answer.take()


def test_a_body_in_tiny_chunks_has_no_bound_here() -> None:
    answer, body = read([CHUNKED, *[b"1\r\nx\r\n"] * MAX_HEAD])
    assert (len(body), answer.is_complete) == (MAX_HEAD, False)


def test_the_answer_to_a_question_for_the_head_has_no_body() -> None:
    answer = Answer(has_body=False)
    answer.feed(SHORT)
    assert (answer.is_complete, answer.may_go_on, answer.take()) == (True, False, b"")
