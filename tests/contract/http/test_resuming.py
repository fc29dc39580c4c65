"""Runs that wait for a person go on."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.approvals import Decision
from retinue.domain.errors import Conflict, Unavailable
from retinue.domain.ids import Position
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol
from tests.contract.http.api import Client
from tests.contract.http.approving import PAUSE, an_approval
from tests.contract.http.engine import events_of
from tests.contract.http.waiting import Waiting, waiting
from tests.contract.protocols.frames import encoded

UNKNOWN = "01890000-0000-7000-8000-000000000000"
KEY = {"idempotency_key": "k"}


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Waiting:
    return await waiting(lone_client, lone_database)


def going_on(scene: Waiting, protocol: Any = None) -> bytes:
    """The stream from the pause on: the place at once, then what comes after it."""
    rest = [event for event in events_of(scene.run.id) if event.position > PAUSE]
    return b": connected\nid: %b:1-1\n\n" % str(scene.run.id).encode() + encoded(protocol or MessagesProtocol(), rest)


def continuing(scene: Waiting, **fields: Any) -> dict[str, Any]:
    return {"approval_id": str(scene.approval.id), **fields}


def giving(scene: Waiting, password: str = "open sesame") -> dict[str, Any]:
    return {"approval_id": str(scene.approval.id), "password": password}


BODIES: dict[str, Callable[[Waiting], dict[str, Any]]] = {"/continue/stream": continuing, "/password/stream": giving}
each_stream = pytest.mark.parametrize("path", BODIES)


@each_stream
async def test_what_comes_after_the_pause_is_streamed(scene: Waiting, path: str) -> None:
    for protocol in (MessagesProtocol(), EventsProtocol()):
        response = await scene.post(f"{scene.run_path}{path}?protocol={protocol.name}", BODIES[path](scene))
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.content == going_on(scene, protocol)
    assert scene.runs.asked[-1] == ("follow", scene.run.tenant_id, scene.run.id, PAUSE)


async def test_without_a_decision_nothing_is_decided(scene: Waiting) -> None:
    await scene.post(f"{scene.run_path}/continue/stream", continuing(scene))
    assert scene.engine.asked == [("continue", scene.run.id, scene.approval.id)]


@pytest.mark.parametrize(("approved", "decision"), [(True, Decision.ALLOW_ONCE), (False, Decision.DENY)])
async def test_a_decision_comes_first(scene: Waiting, approved: bool, decision: Decision) -> None:
    response = await scene.post(
        f"{scene.run_path}/continue/stream", continuing(scene, approved=approved, comment="So be it.")
    )
    assert response.content == going_on(scene)
    assert scene.engine.asked == [
        ("decide", scene.approval.id, decision, "anonymous", "So be it."),
    ]


async def test_a_comment_without_a_decision_is_refused(scene: Waiting) -> None:
    body = continuing(scene, comment="Hm.")
    path = f"{scene.run_path}/continue/stream"
    problem = await scene.client.problem("POST", path, 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/comment"]
    assert scene.engine.asked == []


@pytest.mark.parametrize("code", ["approval_pending", "approval_expired", "approval_superseded", "approval_decided"])
async def test_a_problem_comes_before_the_stream(scene: Waiting, code: str) -> None:
    scene.engine.refuses = Conflict(code=code)
    path = f"{scene.run_path}/continue/stream"
    await scene.client.problem("POST", path, 409, code, json=continuing(scene, approved=True))
    assert scene.runs.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict(code="password_not_awaited"), 409),
        (Conflict(code="approval_expired"), 409),
        (Unavailable(code="too_many_runs"), 503),
    ],
    ids=lambda value: getattr(value, "problem_code", None),
)
async def test_a_password_nobody_waits_for_is_refused(scene: Waiting, error: Any, status: int) -> None:
    scene.engine.refuses = error
    path = f"{scene.run_path}/password/stream"
    await scene.client.problem("POST", path, status, error.problem_code, json=giving(scene))


@each_stream
async def test_an_approval_of_another_run_is_not_in_this_one(
    scene: Waiting, lone_client: Client, lone_database: Database, path: str
) -> None:
    """Also not by the tenant's own hand: who looks at one run must not decide about another."""
    foreign = await waiting(lone_client, lone_database, "other")
    sister = an_approval(msgspec.structs.replace(scene.run, id=foreign.run.id))
    scene.engine.add(sister)  # the same tenant's
    for strange in (UNKNOWN, str(foreign.approval.id), str(sister.id)):
        body = BODIES[path](scene) | {"approval_id": strange} | ({"approved": True} if "continue" in path else {})
        await scene.client.problem("POST", f"{scene.run_path}{path}", 404, "not_found", json=body)
        body["approval_id"] = str(scene.approval.id)
        await scene.client.problem("POST", f"/runs/{UNKNOWN}{path}", 404, "not_found", json=body)
    assert scene.engine.asked == []


@each_stream
async def test_an_unknown_protocol_decides_nothing(scene: Waiting, path: str) -> None:
    path_ = f"{scene.run_path}{path}?protocol=morse"
    await scene.client.problem("POST", path_, 422, "unknown_protocol", json=BODIES[path](scene))
    assert scene.engine.asked == []


@each_stream
async def test_who_comes_back_only_reads_on(scene: Waiting, path: str) -> None:
    place = f"{scene.run.id}:1-2"
    response = await scene.post(f"{scene.run_path}{path}", BODIES[path](scene), last_event_id=place)
    assert response.content.endswith(encoded(MessagesProtocol(), events_of(scene.run.id)[2:]))
    assert b"event: token" not in response.content
    assert scene.engine.asked == []
    assert scene.runs.asked[-1] == ("follow", scene.run.tenant_id, scene.run.id, Position(1, 2))


@each_stream
@pytest.mark.parametrize("seq", [0, 1])
async def test_who_has_only_seen_the_pause_is_heard(scene: Waiting, path: str, seq: int) -> None:
    """Clients send along the last id of the stream before; a decision must not get lost over that."""
    place = f"{scene.run.id}:1-{seq}"
    response = await scene.post(f"{scene.run_path}{path}", BODIES[path](scene), last_event_id=place)
    assert response.content == going_on(scene)
    assert len(scene.engine.asked) == 1


@each_stream
@pytest.mark.parametrize(("place", "code"), [("x", "invalid_event_id"), (f"{UNKNOWN}:1-2", "unknown_event_id")])
async def test_a_place_that_is_none_decides_nothing(scene: Waiting, path: str, place: str, code: str) -> None:
    body, headers = BODIES[path](scene), {"last-event-id": place}
    await scene.client.problem("POST", f"{scene.run_path}{path}", 422, code, json=body, headers=headers)
    assert scene.engine.asked == []


@each_stream
async def test_a_request_that_is_sent_again_with_its_key_acts_once(scene: Waiting, path: str) -> None:
    first = await scene.post(f"{scene.run_path}{path}", BODIES[path](scene), **KEY)
    scene.engine.refuses = Conflict(code="approval_decided")
    again = await scene.post(f"{scene.run_path}{path}?protocol=events", BODIES[path](scene), **KEY)
    assert (first.content, again.content) == (going_on(scene), going_on(scene, EventsProtocol()))
    assert len(scene.engine.asked) == 1


async def test_the_key_goes_with_the_decision(scene: Waiting) -> None:
    path = f"{scene.run_path}/continue/stream"
    await scene.post(path, continuing(scene, approved=True), **KEY)
    for other in ({"approved": False}, {}):
        await scene.client.problem(
            "POST",
            path,
            422,
            "idempotency_key_reused",
            json=continuing(scene, **other),
            headers={"idempotency-key": "k"},
        )


async def test_no_other_password_goes_with_a_key_and_nothing_tells_them_apart(scene: Waiting) -> None:
    """If a key were refused for another password, or a digest of it kept, it could be guessed."""
    path = f"{scene.run_path}/password/stream"
    first = await scene.post(path, giving(scene), **KEY)
    again = await scene.post(path, giving(scene, "another"), **KEY)
    assert (again.status_code, again.content) == (200, first.content)
    assert scene.engine.passwords == ["open sesame"]


@pytest.mark.parametrize(
    "password", ["p", "x" * 1024, " spaces ", 'quo"tes\\', "\u00fcn\u00efcode 😀", "tab\there", "\x1b"]
)
async def test_a_password_arrives_as_it_was_sent(scene: Waiting, password: str) -> None:
    response = await scene.post(f"{scene.run_path}/password/stream", giving(scene, password))
    assert response.status_code == 200, response.text
    assert scene.engine.passwords == [password]


@pytest.mark.parametrize(
    "password",
    [
        b'""',
        b'"a\\u0000b"',
        b'"a\\nb"',
        b'"a\\r"',
        b'"\\ud800"',
        b'"%b"' % (b"x" * 1025),
        b"1",
        b"null",
        b"true",
        b"{}",
    ],
)
async def test_what_is_no_password(scene: Waiting, password: bytes) -> None:
    body = b'{"approval_id": "%b", "password": %b}' % (str(scene.approval.id).encode(), password)
    path = f"{scene.run_path}/password/stream"
    problem = await scene.client.problem("POST", path, 422, "validation_failed", content=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/password"]
    assert scene.engine.asked == []


async def test_twins_at_the_same_moment_act_once(scene: Waiting) -> None:
    """The second waits for the commit of the first, and then follows the same."""
    path = f"{scene.run_path}/password/stream"
    answers = await asyncio.gather(*(scene.post(path, giving(scene), **KEY) for _ in range(5)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, going_on(scene))}
    assert len(scene.engine.passwords) == 1
