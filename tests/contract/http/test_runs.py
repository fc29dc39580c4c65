"""Runs: read, listed, cancelled, followed."""

from typing import Any, NamedTuple
from uuid import UUID

import httpx2
import pytest

from retinue.db.session import Database
from retinue.domain.errors import Conflict
from retinue.domain.ids import START, Position, new_id, now
from retinue.domain.runs import CancelReceipt, Run, RunStatus
from retinue.domain.usage import Provenance
from retinue.protocols.messages import MessagesProtocol
from tests.contract.http.api import Client
from tests.contract.http.engine import FakeRuns, a_run, events_of
from tests.contract.protocols.frames import PROTOCOLS, encoded

UNKNOWN = "01890000-0000-7000-8000-000000000000"
UPPER_CASE = "0189000A-0000-7000-8000-000000000000"
PLACE = Position(1, 2)
MESSAGES = MessagesProtocol()


class Scene(NamedTuple):
    client: Client
    run: Run
    """A run that the database knows; the engine's answers are made up."""

    @property
    def path(self) -> str:
        return f"/runs/{self.run.id}"

    @property
    def conversation(self) -> str:
        return f"/conversations/{self.run.conversation_id}"

    @property
    def engine(self) -> FakeRuns:
        return self.client.calls.runs

    @property
    def place(self) -> str:
        return f"{self.run.id}:{PLACE}"

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.http.get(f"/api/v1{path}", headers=named)

    async def close(self) -> None:
        await self.client.call("PATCH", self.conversation, 200, json={"status": "closed"})


@pytest.fixture
async def scene(client: Client, database: Database) -> Scene:
    tenant = await client.tenant()
    employee = (await client.employee(tenant))["id"]
    conversation = (await client.conversation(tenant, employee))["id"]
    run = a_run(tenant, conversation, employee, ordinal=1)
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="somebody", lease_seconds=60)
    return Scene(client, client.calls.runs.add(run))


async def ended(scene: Scene, database: Database) -> None:
    async with database.unit(scene.run.tenant_id) as unit:
        assert await unit.runs.finish(
            scene.run.id,
            1,
            status=RunStatus.COMPLETED,
            finish_reason="stop",
            error_code=None,
            usage=None,
            cost=None,
            generation_stats=None,
            event_count=3,
            text_sha256="",
            at=now(),
        )


async def test_a_run_is_read(scene: Scene) -> None:
    read = await scene.client.call("GET", scene.path, 200)
    assert read.keys() == set(Run.__struct_fields__)
    assert not {"owner", "lease_expires_at"} & read.keys()
    assert (read["id"], read["status"], read["receipt"]) == (str(scene.run.id), "running", None)


async def test_what_is_not_there_is_not_found_anywhere(scene: Scene) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/stream"),
        ("GET", "/events"),
        ("POST", "/cancel"),
    ):
        await scene.client.problem(method, f"/runs/{UNKNOWN}{path}", 404, "not_found")
        await scene.client.problem(method, f"/runs/{scene.run.conversation_id}{path}", 404, "not_found")
    for method, path in (("GET", "/runs"), ("GET", "/events"), ("POST", "/cancel")):
        await scene.client.problem(method, f"/conversations/{UNKNOWN}{path}", 404, "not_found")


async def test_runs_are_listed_page_by_page(scene: Scene) -> None:
    ids = (str(scene.run.tenant_id), str(scene.run.conversation_id), str(scene.run.employee_id))
    runs = [scene.run, *(scene.engine.add(a_run(*ids, status=RunStatus.QUEUED)) for _ in range(3))]
    path: str | None = f"{scene.conversation}/runs?limit=2"
    seen = []
    while path:
        response = await scene.get(path)
        seen += [run["id"] for run in response.json()]
        link = response.headers.get("link")
        path = link[1 : link.index(">")].removeprefix("/api/v1") if link else None
    assert seen == [str(run.id) for run in runs]
    queued = await scene.client.call("GET", f"{scene.conversation}/runs?status=queued", 200)
    assert [run["id"] for run in queued] == [str(run.id) for run in runs[1:]]
    await scene.client.problem("GET", f"{scene.conversation}/runs?status=busy", 422, "validation_failed")
    await scene.client.problem("GET", f"{scene.conversation}/runs?cursor=x", 422, "invalid_cursor")


async def test_a_cancelled_run_is_answered_with_its_receipt(scene: Scene) -> None:
    receipt = CancelReceipt(
        requested_at=now(), socket_closed_at=now(), tokens_received=7, charged=None, provenance=Provenance.ESTIMATED
    )
    fields: dict[str, Any] = {"id": scene.run.id, "status": RunStatus.CANCELLED, "receipt": receipt}
    ids = (str(scene.run.tenant_id), str(scene.run.conversation_id), str(scene.run.employee_id))
    scene.engine.add(a_run(*ids, **fields))
    answer = await scene.client.call("POST", f"{scene.path}/cancel", 200)
    assert answer.keys() == {"run_id", "status", "receipt"}
    assert (answer["run_id"], answer["status"]) == (str(scene.run.id), "cancelled")
    assert (answer["receipt"]["tokens_received"], answer["receipt"]["provenance"]) == (7, "estimated")
    assert await scene.client.call("POST", f"{scene.conversation}/cancel", 200) == [answer]


async def test_a_run_that_takes_its_time_to_end_is_answered_without_a_receipt(scene: Scene) -> None:
    answer = await scene.client.call("POST", f"{scene.path}/cancel", 202)
    assert answer == {"run_id": str(scene.run.id), "status": "running", "receipt": None}


async def test_where_nothing_runs_nothing_is_cancelled(scene: Scene) -> None:
    scene.engine.known.clear()
    assert await scene.client.call("POST", f"{scene.conversation}/cancel", 200) == []


async def test_a_run_that_ended_otherwise_cannot_be_cancelled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Run:
        raise Conflict("The run has completed.", code="run_ended")

    monkeypatch.setattr(scene.engine, "cancel", refuse)
    await scene.client.problem("POST", f"{scene.path}/cancel", 409, "run_ended")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
async def test_a_run_is_followed_in_any_protocol(scene: Scene, protocol: MessagesProtocol) -> None:
    response = await scene.get(f"{scene.path}/stream?protocol={protocol.name}")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.content == b": connected\n" + encoded(protocol, events_of(scene.run.id))
    assert scene.engine.asked[-1] == ("follow", scene.run.tenant_id, scene.run.id, START)


async def test_a_stream_goes_on_after_the_place_that_is_named(scene: Scene) -> None:
    rest = b": connected\n" + encoded(MESSAGES, events_of(scene.run.id)[2:])
    assert (await scene.get(f"{scene.path}/stream?after={scene.place}")).content == rest
    assert (await scene.get(f"{scene.path}/stream", last_event_id=scene.place)).content == rest
    both = await scene.get(f"{scene.path}/stream?after={scene.run.id}:1-1", last_event_id=scene.place)
    assert both.content == rest, "an EventSource comes back with the address that it began with"
    assert (await scene.get(f"{scene.path}/stream", last_event_id="")).content.count(b"id: ") == 3


async def test_who_has_everything_is_told_to_stop_asking(scene: Scene) -> None:
    scene.engine.is_told = True
    response = await scene.get(f"{scene.path}/stream", last_event_id=scene.place)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


@pytest.mark.parametrize("place", ["x", "", "1-2", f"{UNKNOWN}:1", f"{UNKNOWN}:1-2-3", f"{UPPER_CASE}:1-1", "%00"])
async def test_what_is_no_event_id_is_refused(scene: Scene, place: str) -> None:
    for path in (f"{scene.path}/stream", f"{scene.path}/events", f"{scene.conversation}/events"):
        await scene.client.problem("GET", f"{path}?after={place}", 422, "invalid_event_id")
    if place.isprintable() and place not in {"", "%00"}:
        headers = {"last-event-id": place}
        path = f"{scene.path}/stream?after={scene.place}"
        await scene.client.problem("GET", path, 422, "invalid_event_id", headers=headers)


async def test_an_event_of_another_run_is_not_in_this_one(scene: Scene) -> None:
    for path in ("/stream", "/events"):
        place = f"{scene.path}{path}?after={UNKNOWN}:1-1"
        await scene.client.problem("GET", place, 422, "unknown_event_id")


async def test_an_event_of_another_conversation_does_not_exist_here(scene: Scene) -> None:
    ids = (str(scene.run.tenant_id), str(new_id()), str(scene.run.employee_id))
    foreign = scene.engine.add(a_run(*ids))
    answers = [
        await scene.client.problem("GET", f"{scene.conversation}/events?after={run}:1-1", 404, "not_found")
        for run in (foreign.id, UNKNOWN)
    ]
    assert answers[0] == answers[1]


async def test_an_unknown_protocol_is_refused(scene: Scene) -> None:
    for path in (f"{scene.path}/stream", f"{scene.conversation}/events"):
        await scene.client.problem("GET", f"{path}?protocol=morse", 422, "unknown_protocol")
    assert scene.engine.asked == []


async def test_events_are_listed_page_by_page(scene: Scene) -> None:
    path: str | None = f"{scene.path}/events?limit=2"
    seen, pages = [], 0
    while path:
        response = await scene.get(path)
        assert response.headers["content-type"] == "application/json"
        seen += response.json()
        pages += 1
        link = response.headers.get("link")
        path = link[1 : link.index(">")].removeprefix("/api/v1") if link else None
    assert pages == 2
    assert [event["id"] for event in seen] == [event.id for event in events_of(scene.run.id)]
    assert [event["type"] for event in seen] == ["run.started", "text.delta", "run.completed"]
    assert UUID(seen[0]["run_id"]) == scene.run.id
    assert await scene.client.call("GET", f"{scene.path}/events?after={seen[-1]['id']}", 200) == []
    for limit in ("0", "1001", "x"):
        await scene.client.problem("GET", f"{scene.path}/events?limit={limit}", 422, "validation_failed")


async def test_a_key_changes_nothing_for_what_may_be_done_twice(scene: Scene) -> None:
    for path, status in ((f"{scene.path}/cancel", 202), (f"{scene.conversation}/cancel", 200)):
        for _ in range(2):
            await scene.client.call("POST", path, status, headers={"idempotency-key": "k"})
        await scene.client.problem(
            "POST", path, 422, "invalid_idempotency_key", headers={"idempotency-key": "two words"}
        )
