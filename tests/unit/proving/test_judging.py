"""What counts as a difference, and what gives somebody away."""

from typing import Any

import msgspec
import pytest

from retinue.proving.exchange import Answer, Ask
from retinue.proving.judging import Traces, differences, ids_in

ONE, OTHER = "0193aaaa-bbbb-7ccc-8ddd-000000000001", "0193aaaa-bbbb-7ccc-8ddd-000000000002"
ASKS = (
    Ask(method="GET", path=f"/things/{ONE}", names=(ONE,)),
    Ask(method="GET", path=f"/things/{OTHER}", names=(OTHER,)),
)


def answer(body: Any = b"", status: int = 404, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    length = {"content-length": str(len(content))}
    return Answer(status=status, headers=tuple((given | length).items()), body=content)


def between(first: Answer, second: Answer, *, is_exact: bool = True) -> list[str]:
    return list(differences(first, second, ASKS, is_exact=is_exact))


def test_names_of_the_request_and_times_are_no_difference() -> None:
    assert (
        between(answer({"at": ONE}, date="now", link=f"<{ONE}>"), answer({"at": OTHER}, date="then", link=f"<{OTHER}>"))
        == []
    )
    assert between(answer(ratelimit_remaining="9"), answer(ratelimit_remaining="8")) == []
    assert between(answer(connection="close"), answer()) == []
    never, once = (answer(b'{"id":1,"last_used_at":%s}' % value, 200) for value in (b"null", b'"2026-01-01"'))
    assert between(never, once) == []
    assert between(never, answer(b'{"id":2,"last_used_at":null}', 200)) != []


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (answer(status=403), answer(status=404), "status 403 instead of 404"),
        (answer({"detail": "Gone."}), answer({"detail": "None."}), "body"),
        (answer({"at": OTHER}), answer({"at": OTHER}), "body"),
        (answer(b"{} "), answer(b"{}"), "header content-length: 3"),
        (answer(etag="1"), answer(etag="2"), "header etag: 1"),
        (answer(retry_after="1"), answer(), "header retry-after"),
        (answer(), answer(vary="accept"), "without the header vary: accept"),
    ],
)
@pytest.mark.parametrize("is_exact", [True, False])
def test_everything_else_is(first: Answer, second: Answer, what: str, is_exact: bool) -> None:
    assert any(found.startswith(what) for found in between(first, second, is_exact=is_exact))


def test_what_was_made_has_the_same_form() -> None:
    one, other = ({"id": ident, "count": 3, "last": None} for ident in (ONE, OTHER))
    assert between(answer(one, 201), answer(other | {"count": 41}, 201), is_exact=False) == []
    for changed in (other | {"more": 1}, {"id": OTHER}, other | {"last": "x"}, [other]):
        assert between(answer(one, 201), answer(changed, 201), is_exact=False) != []
    assert between(answer(one, 201, idempotency_replayed="true"), answer(other, 201), is_exact=False) != []


def test_traces_are_found_in_bodies_and_headers() -> None:
    traces = Traces(words=frozenset({"canary"}), ids=frozenset({ONE}))
    assert traces.found_in(answer(b"a canary sings"), ASKS[1]) == ["canary"]
    assert traces.found_in(answer(link=f"<{ONE}>"), ASKS[1]) == [ONE]
    assert traces.found_in(answer(b"nothing", server=OTHER), ASKS[1]) == []


def test_what_was_asked_with_is_no_trace() -> None:
    event = f"{ONE}:1-1"
    traces = Traces(words=frozenset({"canary"}), ids=frozenset({ONE}))
    ask = Ask(method="GET", path="/", names=("canary-ann", event))
    assert traces.found_in(answer({"user": "canary-ann", "after": event}), ask) == []
    assert traces.found_in(answer(b"after=" + event.replace(":", "%3A").encode()), ask) == []
    assert traces.found_in(answer({"user": "canary-ann", "neighbour": "canary-bob"}), ask) == ["canary"]


def test_ids_are_collected() -> None:
    assert ids_in([ONE.encode(), b"{}", f'["{OTHER}"]'.encode()]) == {ONE, OTHER}
