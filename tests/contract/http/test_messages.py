"""What the messages routes ask of the engine."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from retinue.coordination.base import Sink
from retinue.db.session import Database
from retinue.domain.errors import StreamBroken, StreamMoved
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import START, Position, new_id
from retinue.domain.policy import OnBusy, ReasoningEffort
from retinue.http.middleware import Edge, EdgeLimits
from retinue.protocols.messages import MessagesProtocol
from retinue.runs.context import RunCreate
from retinue.runs.service import Accepted
from tests.contract.http.api import Calls, Client
from tests.contract.http.engine import a_run, events_of
from tests.contract.http.stage import stage
from tests.contract.http.talking import Scene, talk
from tests.contract.protocols.frames import encoded

KEY = {"idempotency-key": "k"}


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Scene:
    return await talk(lone_client, lone_database)


@pytest.mark.parametrize(
    ("on_busy", "reasoning"), [("reject", "low"), ("enqueue", "low"), ("interrupt", "low"), ("append", None)]
)
async def test_the_choice_for_a_busy_conversation_is_handed_on(
    scene: Scene, on_busy: OnBusy, reasoning: ReasoningEffort | None
) -> None:
    await scene.keep_the_answer()
    body = {"content": "Hello", "reasoning": reasoning, "on_busy": on_busy}
    expected = RunCreate(content="Hello", reasoning=reasoning, on_busy=on_busy)
    await scene.client.http.post(f"/api/v1{scene.path}/stream", json=body)
    await scene.client.call("POST", scene.path, 200, json={**body, "respond": True})
    assert [asked for asked in scene.engine.asked if asked[0] == "start"] == [("start", expected, None)] * 2


async def test_an_appended_message_cannot_choose_how_another_run_reasons(scene: Scene) -> None:
    body = {"content": "Hello", "reasoning": "low", "on_busy": "append"}
    for path, more in ((scene.path, {"respond": True}), (f"{scene.path}/stream", {})):
        problem = await scene.client.problem("POST", path, 422, "validation_failed", json={**body, **more})
        assert [error["pointer"] for error in problem["errors"]] == ["/reasoning"]
    assert not [asked for asked in scene.engine.asked if asked[0] == "start"]


async def test_left_out_a_busy_conversation_refuses(scene: Scene) -> None:
    await scene.keep_the_answer()
    await scene.client.http.post(f"/api/v1{scene.path}/stream", json={"content": "Hello"})
    await scene.client.call("POST", scene.path, 200, json={"content": "Hello", "respond": True})
    starts = [asked for asked in scene.engine.asked if asked[0] == "start"]
    assert starts == [("start", RunCreate(content="Hello", on_busy="reject"), None)] * 2


@pytest.mark.parametrize(("error", "status"), [(StreamBroken(), 500), (StreamMoved(), 503)], ids=["broken", "moved"])
async def test_a_conversation_that_is_deleted_while_somebody_waits_is_not_there(
    scene: Scene, error: StreamBroken, status: int
) -> None:
    """Unlike a run that is still there and whose end cannot be told."""
    await scene.keep_the_answer()
    scene.engine.breaks = error
    body = {"content": "Hello", "respond": True}
    await scene.client.problem("POST", scene.path, 404, "not_found", json=body)
    start = scene.engine.start

    async def keep(*asked: Any) -> Accepted:
        accepted = await start(*asked)
        scene.engine.add(accepted.run)
        return accepted

    scene.engine.start = keep  # type: ignore[method-assign, assignment]
    await scene.client.problem("POST", scene.path, status, error.problem_code, json=body)


@pytest.mark.parametrize(
    ("name", "value"), [("reasoning", "low"), ("on_busy", "reject"), ("on_disconnect", "continue")]
)
async def test_without_an_answer_there_is_nothing_to_choose(scene: Scene, name: str, value: str) -> None:
    body = {"content": "Hello", name: value}
    problem = await scene.client.problem("POST", scene.path, 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [f"/{name}"]
    assert scene.engine.asked == []


@pytest.mark.parametrize(("name", "value"), [("on_busy", "wait"), ("on_disconnect", "stop"), ("on_busy", None)])
@pytest.mark.parametrize("path", ["", "/stream"])
async def test_what_cannot_be_chosen(scene: Scene, path: str, name: str, value: object) -> None:
    body = {"content": "Hello", name: value} | ({} if path else {"respond": True})
    problem = await scene.client.problem("POST", scene.path + path, 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [f"/{name}"]


async def test_a_key_names_the_request_and_not_how_it_is_shown(scene: Scene) -> None:
    for query in ("", "?protocol=events"):
        body = {"content": "Hello"}
        await scene.client.http.post(f"/api/v1{scene.path}/stream{query}", json=body, headers=KEY)
    await scene.client.http.post(f"/api/v1{scene.path}/stream", json={"content": "Other"}, headers=KEY)
    await scene.client.call("POST", scene.path, 200, json={"content": "Hello"}, headers=KEY)
    keys = [asked[2] for asked in scene.engine.asked if asked[0] in {"start", "store"}]
    assert all(isinstance(key, IdempotencyKey) and key.key == "k" for key in keys)
    assert keys[0] == keys[1]
    assert [key.route for key in keys] == [f"POST /api/v1{scene.path}/stream"] * 3 + [f"POST /api/v1{scene.path}"]
    assert keys[2].digest != keys[0].digest


async def test_a_reconnect_starts_nothing(scene: Scene) -> None:
    run = scene.engine.add(a_run(scene.tenant, scene.conversation, scene.employee))
    headers = {"last-event-id": f"{run.id}:1-1", **KEY}
    response = await scene.client.http.post(f"/api/v1{scene.path}/stream", json={"content": "Hello"}, headers=headers)
    assert response.content == encoded(MessagesProtocol(), events_of(run.id)[1:])
    assert [asked[0] for asked in scene.engine.asked] == ["place", "follow"]


async def test_a_reconnect_needs_an_event_of_this_conversation(scene: Scene) -> None:
    foreign = scene.engine.add(a_run(scene.tenant, str(new_id()), scene.employee))
    for place, status, code in (
        (f"{foreign.id}:1-1", 404, "not_found"),
        (f"{new_id()}:1-1", 404, "not_found"),
        ("1-1", 422, "invalid_event_id"),
    ):
        headers = {"last-event-id": place}
        path, body = f"{scene.path}/stream", {"content": "Hello"}
        await scene.client.problem("POST", path, status, code, json=body, headers=headers)
    assert scene.engine.asked == []


class Caller:
    """Sends one request and goes away when it is told to, or when the answer is complete."""

    def __init__(self, calls: Calls, database: Database) -> None:
        nothing: Any = None
        self._app: Any = Edge(stage().set(database, nothing, calls), EdgeLimits())
        self._gone = asyncio.Event()
        self.begun = asyncio.Event()
        self.body = b""

    def go(self) -> None:
        self._gone.set()

    async def post(self, path: str, body: bytes) -> None:
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            self.body += message.get("body", b"")
            if message.get("body"):
                self.begun.set()

        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/api/v1{path}",
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "extensions": {},
        }
        async with asyncio.timeout(5):
            await self._app(scope, receive, send)


@pytest.mark.parametrize(("on_disconnect", "is_cancelled"), [("continue", False), ("cancel", True)])
async def test_a_reader_that_goes_may_take_its_run_along(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, on_disconnect: str, is_cancelled: bool
) -> None:
    async def endless(_tenant: UUID, run_id: UUID, _after: Position = START, _sink: Sink | None = None) -> Any:
        yield events_of(run_id)[:1]
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(scene.engine, "follow", endless)
    caller = Caller(scene.client.calls, scene.database)
    body = b'{"content": "Hello", "on_disconnect": "%b"}' % on_disconnect.encode()
    post = asyncio.create_task(caller.post(f"{scene.path}/stream", body))
    await caller.begun.wait()
    assert scene.engine.asked[-1][0] != "cancel_soon"
    caller.go()
    await post
    [run] = scene.engine.known.values()
    cancelled = [asked for asked in scene.engine.asked if asked[0] == "cancel_soon"]
    assert cancelled == [("cancel_soon", run.tenant_id, run.id)] * is_cancelled


@pytest.mark.parametrize(("on_disconnect", "is_cancelled"), [("continue", False), ("cancel", True)])
async def test_a_client_that_waits_for_an_answer_and_goes_may_take_its_run_along(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, on_disconnect: str, is_cancelled: bool
) -> None:
    await scene.keep_the_answer()
    waits, ends = asyncio.Event(), asyncio.Event()
    wait = scene.engine.wait

    async def slow(run: Any) -> Any:
        waits.set()
        await ends.wait()
        return await wait(run)

    cancelled = asyncio.Event()
    monkeypatch.setattr(scene.engine, "wait", slow)
    monkeypatch.setattr(scene.engine, "cancel_soon", lambda *_: cancelled.set())
    caller = Caller(scene.client.calls, scene.database)
    body = b'{"content": "Hello", "respond": true, "on_disconnect": "%b"}' % on_disconnect.encode()
    post = asyncio.create_task(caller.post(scene.path, body))
    await waits.wait()
    caller.go()
    if is_cancelled:
        async with asyncio.timeout(5):
            await cancelled.wait()
    ends.set()
    await post
    assert cancelled.is_set() is is_cancelled
    assert b'"status":"completed"' in caller.body, "the answer is told, should anybody still listen"


async def test_a_client_that_stays_cancels_nothing(scene: Scene) -> None:
    await scene.keep_the_answer()
    body = {"content": "Hello", "on_disconnect": "cancel"}
    await scene.client.call("POST", scene.path, 200, json={**body, "respond": True})
    await scene.client.http.post(f"/api/v1{scene.path}/stream", json=body)
    assert "cancel_soon" not in [asked[0] for asked in scene.engine.asked]
