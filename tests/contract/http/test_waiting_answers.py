"""Answers that have to wait for a person, and messages that are not taken."""

from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.errors import Conflict, RateLimited, RetinueError
from retinue.domain.runs import Run, WaitingFor
from retinue.resources.messages.schemas import Answer
from retinue.runs.context import RunCreate
from retinue.runs.service import Accepted
from tests.contract.http.api import Client
from tests.contract.http.approving import an_approval
from tests.contract.http.engine import a_run
from tests.contract.http.talking import Scene, talk
from tests.support.runs import paused


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Scene:
    return await talk(lone_client, lone_database)


@pytest.mark.parametrize(
    ("waiting_for", "status"),
    [
        (WaitingFor.APPROVAL, "waiting_for_approval"),
        (WaitingFor.PASSWORD, "waiting_for_password"),
        (WaitingFor.EFFECT_UNKNOWN, "effect_unknown"),
    ],
)
async def test_an_answer_that_has_to_wait_says_for_what(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, waiting_for: WaitingFor, status: str
) -> None:
    await scene.keep_the_answer()
    run = a_run(scene.tenant, scene.conversation, scene.employee, ordinal=1)
    others = [an_approval(run, call_position=position) for position in (1, 2, 3)]
    async with scene.database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="somebody", lease_seconds=60)
        for approval in others:
            await unit.approvals.add(approval)
    end = paused(waiting_for, text="Let me see.", message_id=run.message_id)
    if waiting_for is not WaitingFor.EFFECT_UNKNOWN:
        end = msgspec.structs.replace(end, approval_ids=(others[1].id, others[2].id))

    async def wait(_: Run) -> e.RunPaused:
        return end

    # The fake engine has kept another run's message; the approvals are this one's.
    kept = (await scene.engine.start(run.tenant_id, run.conversation_id, RunCreate(content="x"), None)).run.message_id

    async def start(*_: Any) -> Accepted:
        return Accepted(run=msgspec.structs.replace(run, message_id=kept), message_id=run.user_message_id)

    monkeypatch.setattr(scene.engine, "wait", wait)
    monkeypatch.setattr(scene.engine, "start", start)
    answer = await scene.client.call("POST", scene.path, 202, json={"content": "Hello", "respond": True})
    assert answer["status"] == status
    assert answer["text_sha256"] == end.text_sha256
    shown = [each["approval_id"] for each in answer["approvals"]]
    is_unknown = waiting_for is WaitingFor.EFFECT_UNKNOWN
    assert shown == ([] if is_unknown else [str(others[1].id), str(others[2].id)])
    assert answer["tool_call_ids"] == (["call_1"] if is_unknown else [])
    assert answer.keys() == set(Answer.__struct_fields__)


async def test_an_answer_that_is_complete_waits_for_nothing(scene: Scene) -> None:
    await scene.keep_the_answer()
    answer = await scene.client.call("POST", scene.path, 200, json={"content": "Hello", "respond": True})
    assert (answer["status"], answer["approvals"], answer["tool_call_ids"]) == ("completed", [], [])


@pytest.mark.parametrize(
    ("error", "status"),
    [(Conflict(code="session_expired"), 409), (RateLimited(headers={"retry-after": "7"}), 429)],
    ids=["expired", "fast"],
)
async def test_a_message_that_is_not_taken_says_why(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: RetinueError, status: int
) -> None:
    async def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(scene.engine, "start", refuse)
    monkeypatch.setattr(scene.engine, "store_message", refuse)
    for path, body in (("", {}), ("", {"respond": True}), ("/stream", {})):
        response = await scene.client.http.post(f"/api/v1{scene.path}{path}", json={"content": "Hello", **body})
        assert (response.status_code, response.json()["code"]) == (status, error.problem_code)
        assert response.headers.get("retry-after") == ("7" if status == 429 else None)
