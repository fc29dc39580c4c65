"""Approvals: listed, read, decided."""

import asyncio
from typing import Any

import pytest

from retinue.db.session import Database
from retinue.domain.approvals import Decision
from retinue.domain.errors import Conflict
from tests.contract.http.api import Client
from tests.contract.http.waiting import Waiting, waiting

UNKNOWN = "01890000-0000-7000-8000-000000000000"
CHOICES = {
    "allow_once": Decision.ALLOW_ONCE,
    "allow_for_conversation": Decision.ALLOW_FOR_CONVERSATION,
    "deny": Decision.DENY,
}
EVERY_WAY = [*CHOICES, "decision"]
each_way = pytest.mark.parametrize("way", EVERY_WAY)


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Waiting:
    return await waiting(lone_client, lone_database)


def body_for(way: str) -> dict[str, Any]:
    return {"approved": True} if way == "decision" else {"comment": "Yes."}


async def test_what_is_pending_is_listed_with_everything_a_person_has_to_know(scene: Waiting) -> None:
    tenant = scene.run.tenant_id
    [shown] = await scene.client.call("GET", f"/approvals/pending?tenant_id={tenant}", 200)
    expected = {
        "approval_id": str(scene.approval.id),
        "tenant_id": str(tenant),
        "run_id": str(scene.run.id),
        "task_id": str(scene.run.id),
        "conversation_id": str(scene.run.conversation_id),
        "employee_id": str(scene.run.employee_id),
        "tool_call_id": "call_1",
        "tool": "list_dir",
        "args": {"path": "/srv"},
        "effect": "read",
        "risk_level": "low",
        "scope": "/srv",
        "reason": "It leaves the workspace.",
        "message": "Allow list_dir(path='/srv')?",
        "status": "pending",
        "decision": None,
        "decided_by": None,
        "comment": None,
        "decided_at": None,
        "password_expires_at": None,
    }
    assert {name: shown[name] for name in expected} == expected
    assert shown.keys() - expected.keys() == {"requested_at", "expires_at"}
    assert await scene.client.call("GET", scene.path, 200) == shown


async def test_the_list_comes_page_by_page(scene: Waiting) -> None:
    ids = [str(scene.approval.id), *[str((await scene.also_asked(call_position=n)).id) for n in (2, 3)]]
    path: str | None = f"/api/v1/approvals/pending?tenant_id={scene.run.tenant_id}&limit=2"
    seen, pages = [], 0
    while path:
        response = await scene.client.http.get(path)
        seen += [each["approval_id"] for each in response.json()]
        pages += 1
        link = response.headers.get("link")
        path = link[1 : link.index(">")] if link else None
    assert (seen, pages) == (ids, 2)


async def test_the_operator_names_the_tenant(scene: Waiting) -> None:
    problem = await scene.client.problem("GET", "/approvals/pending", 422, "validation_failed")
    assert [error["parameter"] for error in problem["errors"]] == ["tenant_id"]
    await scene.client.problem("GET", "/approvals/pending?tenant_id=x", 422, "validation_failed")
    await scene.client.problem(
        "GET", f"/approvals/pending?tenant_id={scene.run.tenant_id}&cursor=x", 422, "invalid_cursor"
    )
    assert await scene.client.call("GET", f"/approvals/pending?tenant_id={UNKNOWN}", 200) == []


@pytest.mark.parametrize("way", CHOICES)
@pytest.mark.parametrize("comment", [None, "Because.", "ä" * 2000])
async def test_each_decision_reaches_the_engine_with_the_decider(scene: Waiting, way: str, comment: str | None) -> None:
    body = None if comment is None else {"comment": comment}
    decided = (await scene.post(f"{scene.path}/{way}", body)).json()
    assert scene.engine.asked == [("decide", scene.approval.id, CHOICES[way], "anonymous", comment)]
    status = "denied" if way == "deny" else "granted"
    assert (decided["status"], decided["decision"], decided["comment"]) == (status, way, comment)
    assert decided["approval_id"] == str(scene.approval.id)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b' {"comment": null} '])
async def test_a_decision_needs_no_body(scene: Waiting, body: bytes) -> None:
    response = await scene.post(f"{scene.path}/deny", body)
    assert response.status_code == 200, response.text
    assert scene.engine.asked[0][2:] == (Decision.DENY, "anonymous", None)


@pytest.mark.parametrize(
    ("body", "decision", "comment"),
    [
        (b"true", Decision.ALLOW_ONCE, None),
        (b" true\n", Decision.ALLOW_ONCE, None),
        (b"false", Decision.DENY, None),
        (b'{"approved": true}', Decision.ALLOW_ONCE, None),
        (b'{"approved": true, "comment": "Go."}', Decision.ALLOW_ONCE, "Go."),
        (b'{"approved": false}', Decision.DENY, None),
        (b'{"comment": "No."}', Decision.DENY, "No."),
        (b"{}", Decision.DENY, None),
        (b'{"approved": true, "approved": false}', Decision.DENY, None),
    ],
)
async def test_a_boolean_decides(scene: Waiting, body: bytes, decision: Decision, comment: str | None) -> None:
    response = await scene.post(f"{scene.path}/decision", body)
    assert response.status_code == 200, response.text
    assert scene.engine.asked == [("decide", scene.approval.id, decision, "anonymous", comment)]


NO_BOOLEANS = [
    b"null",
    b"0",
    b"1",
    b"-0",
    b"1.0",
    b"1e400",
    b"9" * 400,
    b'"true"',
    b'"false"',
    b'"yes"',
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b"[]",
    b"[true]",
    b'[{"approved": true}]',
]


@pytest.mark.parametrize("value", NO_BOOLEANS)
async def test_what_is_no_boolean_decides_nothing(scene: Waiting, value: bytes) -> None:
    for body in (value, b'{"approved": %b}' % value, b'{"approved": %b, "comment": "x"}' % value):
        path = f"{scene.path}/decision"
        await scene.client.problem("POST", path, 422, "decision_not_boolean", content=body)
    body = b'{"approval_id": "%b", "approved": %b}' % (str(scene.approval.id).encode(), value)
    path = f"{scene.run_path}/continue/stream"
    await scene.client.problem("POST", path, 422, "decision_not_boolean", content=body)
    assert scene.engine.asked == []


@pytest.mark.parametrize(
    "body", [b'{"approve": true}', b'{"approved": {}}', b'{"approved": {"approved": true}}', b'{"": true}']
)
async def test_a_misspelled_decision_decides_nothing(scene: Waiting, body: bytes) -> None:
    await scene.client.problem("POST", f"{scene.path}/decision", 422, "decision_not_boolean", content=body)
    assert scene.engine.asked == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_body"),
        (b"tru", 400, "malformed_body"),
        (b"True", 400, "malformed_body"),
        (b"true false", 400, "malformed_body"),
        (b"\xff", 400, "malformed_body"),
        (b"\x00", 400, "malformed_body"),
        (b"[" * 100 + b"]" * 100, 400, "malformed_body"),
        (b'{"approved": ' + b"[" * 100_000, 400, "malformed_body"),
        (b'{"comment": 1}', 422, "validation_failed"),
        (b'{"approved": true, "comment": "%b"}' % (b"x" * 2001), 422, "validation_failed"),
        (b" " * 1_100_000 + b"true", 413, "body_too_large"),
    ],
)
async def test_a_broken_body_decides_nothing(scene: Waiting, body: bytes, status: int, code: str) -> None:
    await scene.client.problem("POST", f"{scene.path}/decision", status, code, content=body)
    assert scene.engine.asked == []


@pytest.mark.parametrize("way", CHOICES)
@pytest.mark.parametrize(
    "body",
    [
        {"comment": "x" * 2001},
        {"comment": 1},
        {"comment": ["x"]},
        {"approved": True},
        {"decided_by": "root"},
        [],
        True,
        "yes",
    ],
)
async def test_a_comment_is_all_that_can_be_added(scene: Waiting, way: str, body: Any) -> None:
    await scene.client.problem("POST", f"{scene.path}/{way}", 422, "validation_failed", json=body)
    assert scene.engine.asked == []


async def test_a_comment_can_be_stored_whatever_it_holds(scene: Waiting) -> None:
    response = await scene.post(f"{scene.path}/deny", b'{"comment": "a\\u0000b\\ud800"}')
    assert response.json()["comment"] == "a\ufffdb\ufffd"


@each_way
async def test_what_is_not_there_cannot_be_decided(scene: Waiting, way: str) -> None:
    for strange in (UNKNOWN, str(scene.run.id), str(scene.run.tenant_id)):
        await scene.client.problem("POST", f"/approvals/{strange}/{way}", 404, "not_found", json=body_for(way))
        await scene.client.problem("GET", f"/approvals/{strange}", 404, "not_found")
    assert (await scene.post(f"/approvals/%00/{way}", body_for(way))).status_code == 404
    assert scene.engine.asked == []


@each_way
@pytest.mark.parametrize(
    "code",
    ["approval_decided", "approval_expired", "approval_superseded", "approval_once_only", "approval_altered"],
)
async def test_a_decision_that_comes_too_late_says_why(scene: Waiting, way: str, code: str) -> None:
    scene.engine.refuses = Conflict("It was denied.", code=code)
    problem = await scene.client.problem("POST", f"{scene.path}/{way}", 409, code, json=body_for(way))
    assert problem["detail"] == "It was denied."


@each_way
async def test_a_decision_that_is_sent_again_with_its_key_is_answered_again(scene: Waiting, way: str) -> None:
    first = await scene.post(f"{scene.path}/{way}", body_for(way), idempotency_key="k")
    scene.engine.refuses = Conflict(code="approval_decided")
    again = await scene.post(f"{scene.path}/{way}", body_for(way), idempotency_key="k")
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(scene.engine.asked) == 1
    other = {"comment": "Something else."}
    await scene.client.problem(
        "POST", f"{scene.path}/{way}", 422, "idempotency_key_reused", json=other, headers={"idempotency-key": "k"}
    )


async def test_both_spellings_of_a_decision_are_one_request(scene: Waiting) -> None:
    first = await scene.post(f"{scene.path}/decision", b"true", idempotency_key="k")
    again = await scene.post(f"{scene.path}/decision", b'{"approved": true}', idempotency_key="k")
    assert (first.status_code, again.content) == (200, first.content)


async def test_a_decision_that_fails_leaves_its_key_free(scene: Waiting) -> None:
    scene.engine.refuses = Conflict(code="approval_altered")
    assert (await scene.post(f"{scene.path}/deny", idempotency_key="k")).status_code == 409
    scene.engine.refuses = None
    assert (await scene.post(f"{scene.path}/deny", idempotency_key="k")).status_code == 200


async def test_requests_with_one_key_at_once_decide_once(scene: Waiting) -> None:
    answers = await asyncio.gather(*(scene.post(f"{scene.path}/allow_once", idempotency_key="k") for _ in range(10)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len(scene.engine.asked) == 1
