"""What became of calls whose outcome nobody knew."""

from typing import Any

import pytest

from retinue.db.session import Database
from retinue.domain.errors import Conflict
from retinue.domain.tools import Resolution
from tests.contract.http.api import Client
from tests.contract.http.waiting import Waiting, waiting

UNKNOWN = "01890000-0000-7000-8000-000000000000"
KEY = {"idempotency_key": "k"}


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Waiting:
    return await waiting(lone_client, lone_database)


def resolving(**fields: Any) -> dict[str, Any]:
    return {"tool_call_id": "call_1", "outcome": "happened", **fields}


@pytest.mark.parametrize(
    ("outcome", "fields", "expected"),
    [
        ("happened", {}, None),
        ("happened", {"result": None}, None),
        ("happened", {"result": {"status": "sent", "ids": [1, 2.5, "x", None, False]}}, "itself"),
        ("happened", {"result": "Sent."}, "itself"),
        ("did_not_happen", {}, None),
        ("retry", {}, None),
    ],
)
async def test_what_became_of_a_call_is_told(
    scene: Waiting, outcome: str, fields: dict[str, Any], expected: Any
) -> None:
    body = resolving(outcome=outcome, **fields)
    run = await scene.client.call("POST", f"{scene.run_path}/resolve-effect", 200, json=body)
    assert (run["id"], run["status"]) == (str(scene.run.id), "running")
    result = fields["result"] if expected == "itself" else None
    assert scene.engine.asked == [("resolve", scene.run.id, "call_1", Resolution(outcome), result, "anonymous")]


@pytest.mark.parametrize("outcome", ["did_not_happen", "retry"])
@pytest.mark.parametrize("result", [None, {}, "x"])
async def test_only_what_happened_has_a_result(scene: Waiting, outcome: str, result: Any) -> None:
    body = resolving(outcome=outcome, result=result)
    path = f"{scene.run_path}/resolve-effect"
    problem = await scene.client.problem("POST", path, 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/result"]
    assert scene.engine.asked == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"outcome": "maybe"}, "/outcome"),
        ({"outcome": True}, "/outcome"),
        ({"outcome": None}, "/outcome"),
        ({"tool_call_id": ""}, "/tool_call_id"),
        ({"tool_call_id": 7}, "/tool_call_id"),
        ({"tool_call_id": "x" * 2001}, "/tool_call_id"),
        ({"resolved_by": "root"}, "/resolved_by"),
    ],
)
async def test_what_cannot_have_become_of_a_call(scene: Waiting, fields: dict[str, Any], pointer: str) -> None:
    path = f"{scene.run_path}/resolve-effect"
    problem = await scene.client.problem("POST", path, 422, "validation_failed", json=resolving(**fields))
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert scene.engine.asked == []


async def test_what_is_known_cannot_be_told_again(scene: Waiting) -> None:
    path = f"{scene.run_path}/resolve-effect"
    first = await scene.post(path, resolving(), **KEY)
    for code in ("effect_known", "run_ended"):
        scene.engine.refuses = Conflict(code=code)
        await scene.client.problem("POST", path, 409, code, json=resolving())
    again = await scene.post(path, resolving(), **KEY)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    await scene.client.problem("POST", f"/runs/{UNKNOWN}/resolve-effect", 404, "not_found", json=resolving())
