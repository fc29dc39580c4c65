"""The stream over all runs of a conversation: where it begins, and when there is nothing to begin with."""

from typing import Any

import pytest

from retinue.db.session import Database
from retinue.domain.ids import START
from tests.contract.http.engine import a_run, events_of
from tests.contract.http.test_runs import MESSAGES, PLACE, UNKNOWN, Scene, ended, scene
from tests.contract.protocols.frames import PROTOCOLS, encoded

__all__ = ["scene"]


async def test_a_conversation_is_followed(scene: Scene) -> None:
    ids = (str(scene.run.tenant_id), str(scene.run.conversation_id), str(scene.run.employee_id))
    second = scene.engine.add(a_run(*ids))
    expected = b": connected\n" + encoded(MESSAGES, [*events_of(scene.run.id), *events_of(second.id)])
    assert (await scene.get(f"{scene.conversation}/events")).content == expected
    asked: tuple[Any, ...] = ("follow_conversation", scene.run.tenant_id, scene.run.conversation_id)
    assert scene.engine.asked[-1] == (*asked, None)
    await scene.get(f"{scene.conversation}/events", last_event_id=scene.place)
    assert scene.engine.asked[-1] == (*asked, (scene.run.id, PLACE))


async def test_a_closed_conversation_says_204_once_everything_was_told(scene: Scene, database: Database) -> None:
    async def status(after: str | None) -> int:
        query = f"?after={after}" if after else ""
        return (await scene.get(f"{scene.conversation}/events{query}")).status_code

    scene.engine.is_told = True
    assert await status(scene.place) == 200, "open: others may come"
    await scene.close()
    assert await status(None) == 200, "the run is still active"
    await ended(scene, database)
    assert await status(None) == 204
    assert await status(scene.place) == 204
    scene.engine.is_told = False
    assert await status(scene.place) == 200, "the run has more to tell"


async def test_a_later_run_is_told_before_204(scene: Scene, database: Database) -> None:
    await ended(scene, database)
    ids = (str(scene.run.tenant_id), str(scene.run.conversation_id), str(scene.run.employee_id))
    async with database.unit(scene.run.tenant_id) as unit:
        later = a_run(*ids, ordinal=2)
        await unit.runs.add(later, owner="somebody", lease_seconds=60)
        scene.engine.add(later)
    await ended(Scene(scene.client, later), database)
    await scene.close()
    scene.engine.is_told = True
    assert (await scene.get(f"{scene.conversation}/events?after={scene.place}")).status_code == 200
    assert (await scene.get(f"{scene.conversation}/events?after={later.id}:1-3")).status_code == 204


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
async def test_who_has_read_nothing_yet_is_told_where_it_is(scene: Scene, protocol: Any) -> None:
    """An id without data: an EventSource keeps it for its next request and dispatches nothing."""
    scene.engine.last_event_id = f"{scene.run.conversation_id}:0-0"
    block = b": connected\nid: %b\n\n" % scene.engine.last_event_id.encode()
    response = await scene.get(f"{scene.conversation}/events?protocol={protocol.name}")
    assert response.content == block + encoded(protocol, events_of(scene.run.id))


async def test_only_a_conversation_tells_it(scene: Scene) -> None:
    scene.engine.last_event_id = f"{scene.run.id}:1-3"
    assert (await scene.get(f"{scene.path}/stream")).content.startswith(b": connected\nid: %b:1-1\nevent" % _id(scene))


def _id(scene: Scene) -> bytes:
    return str(scene.run.id).encode()


@pytest.mark.parametrize("way", ["header", "query"])
async def test_the_beginning_of_a_conversation_is_a_place_in_it(scene: Scene, way: str) -> None:
    beginning = f"{scene.run.conversation_id}:0-0"
    path = f"{scene.conversation}/events"
    if way == "header":
        await scene.get(f"{path}?after={scene.place}", last_event_id=beginning)
    else:
        await scene.get(f"{path}?after={beginning}")
    conversation = scene.run.conversation_id
    assert scene.engine.asked[-1] == ("follow_conversation", scene.run.tenant_id, conversation, (conversation, START))


async def test_no_other_place_is_named_after_a_conversation(scene: Scene) -> None:
    own, foreign = scene.run.conversation_id, UNKNOWN
    for place in (f"{own}:1-1", f"{own}:0-1", f"{foreign}:0-0"):
        await scene.client.problem("GET", f"{scene.conversation}/events?after={place}", 404, "not_found")
    await scene.client.problem("GET", f"{scene.path}/stream?after={own}:0-0", 422, "unknown_event_id")


async def test_from_the_beginning_of_a_closed_conversation(scene: Scene, database: Database) -> None:
    path = f"{scene.conversation}/events?after={scene.run.conversation_id}:0-0"
    await ended(scene, database)
    await scene.close()
    assert (await scene.get(path)).status_code == 200, "it has had a run"
    tenant, employee = str(scene.run.tenant_id), str(scene.run.employee_id)
    empty = (await scene.client.conversation(tenant, employee))["id"]
    await scene.client.call("PATCH", f"/conversations/{empty}", 200, json={"status": "closed"})
    assert (await scene.get(f"/conversations/{empty}/events?after={empty}:0-0")).status_code == 204
