"""Conversations."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from tests.contract.http.api import Client
from tests.contract.repositories.builders import a_message

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def hired(client: Client, slug: str = "acme") -> tuple[str, str]:
    tenant = await client.tenant(slug)
    return tenant, (await client.employee(tenant))["id"]


async def test_a_conversation_lives(client: Client) -> None:
    tenant, employee = await hired(client)
    created = await client.conversation(tenant, employee, title="Invoice", external_id="thread-7")
    path = f"/conversations/{created['id']}"
    expected = {
        "tenant_id": tenant,
        "employee_id": employee,
        "user_id": "user-1",
        "title": "Invoice",
        "external_id": "thread-7",
        "status": "active",
        "message_count": 0,
        "last_message_at": None,
    }
    assert {name: created[name] for name in expected} == expected
    assert await client.call("GET", path, 200) == {**created, "messages": []}
    patch = {"title": None, "status": "closed", "external_id": None}
    changed = await client.call("PATCH", path, 200, json=patch)
    assert {name: changed[name] for name in patch} == patch
    assert await client.call("GET", path, 200) == {**changed, "messages": []}
    await client.call("DELETE", path, 204)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"title": "x"})):
        await client.problem(method, path, 404, "not_found", json=body)


async def test_a_conversation_is_read_with_its_newest_messages(client: Client, database: Database) -> None:
    """S3-25."""
    tenant, employee = await hired(client)
    path = f"/conversations/{(await client.conversation(tenant, employee))['id']}"
    stored = msgspec.convert(await client.call("GET", path, 200), Conversation)
    async with database.unit(stored.tenant_id) as unit:
        await unit.messages.add(*(a_message(stored, number, content=f"m{number}") for number in range(1, 26)))

    async def read(query: str) -> list[str]:
        return [message["content"] for message in (await client.call("GET", path + query, 200))["messages"]]

    assert await read("") == [f"m{number}" for number in range(6, 26)]
    assert await read("?messages=2") == ["m24", "m25"]
    assert len(await read("?messages=200")) == 25
    assert await read("?messages=0") == []
    for wrong in ("201", "-1", "all"):
        await client.problem("GET", f"{path}?messages={wrong}", 422, "validation_failed")


async def test_a_session_has_a_length_of_its_own(client: Client) -> None:
    tenant, employee = await hired(client)
    for seconds in (0, 31_536_000, None):
        created = await client.conversation(tenant, employee, session_ttl_seconds=seconds)
        assert (created["session_ttl_seconds"], created["reopened_at"]) == (seconds, None)
    path = f"/conversations/{(await client.conversation(tenant, employee))['id']}"
    for seconds in (60, None):
        changed = await client.call("PATCH", path, 200, json={"session_ttl_seconds": seconds})
        assert changed["session_ttl_seconds"] == seconds
        assert await client.call("GET", path, 200) == {**changed, "messages": []}
    await client.problem("PATCH", path, 422, "validation_failed", json={"session_ttl_seconds": 10**20})


async def test_what_is_made_active_is_reopened_also_if_it_was_active(client: Client) -> None:
    """A client that is told `session_expired` sees a conversation that is active."""
    tenant, employee = await hired(client)
    path = f"/conversations/{(await client.conversation(tenant, employee))['id']}"
    moments: list[str | None] = []
    for body in ({"status": "active"}, {"status": "closed"}, {"title": "T"}, {"status": "active", "title": "U"}):
        changed = await client.call("PATCH", path, 200, json=body)
        assert changed["status"] == ("closed" if len(moments) in {1, 2} else "active")
        assert await client.call("GET", path, 200) == {**changed, "messages": []}
        moments.append(changed["reopened_at"])
    first, *same, last = moments
    assert first is not None
    assert last is not None
    assert same == [first, first]
    assert last > first
    [entry, *_] = await client.call("GET", f"/audit?tenant_id={tenant}", 200)
    assert (entry["action"], sorted(entry["payload"]["changed"])) == (
        "conversation.updated",
        ["reopened_at", "status", "title"],
    )


async def test_title_may_be_left_out(lone_client: Client) -> None:
    tenant, employee = await hired(lone_client)
    assert (await lone_client.conversation(tenant, employee))["title"] is None


async def test_an_active_run_is_cancelled_before_its_conversation_goes(client: Client) -> None:
    tenant, employee = await hired(client)
    conversation = (await client.conversation(tenant, employee))["id"]
    await client.call("DELETE", f"/conversations/{conversation}", 204)
    assert [[str(part) for part in call] for call in client.calls.cancelled] == [[tenant, conversation]]


async def test_whoever_is_not_there_cannot_talk(client: Client) -> None:
    tenant, employee = await hired(client)
    other, foreign = await hired(client, "other")
    gone = (await client.employee(tenant))["id"]
    await client.call("DELETE", f"/employees/{gone}", 204)
    problems = []
    for tenant_id, employee_id in [(tenant, foreign), (tenant, gone), (tenant, UNKNOWN), (UNKNOWN, employee)]:
        body = {"tenant_id": tenant_id, "employee_id": employee_id, "user_id": "u"}
        problems.append(await client.problem("POST", "/conversations", 404, "not_found", json=body))
    assert all(problem == problems[0] for problem in problems)
    assert await client.call("GET", f"/conversations?tenant_id={tenant}", 200) == []
    assert await client.call("GET", f"/conversations?tenant_id={other}", 200) == []


async def test_the_list_filters(client: Client) -> None:
    tenant, employee = await hired(client)
    second = (await client.employee(tenant))["id"]
    made = [
        await client.conversation(tenant, employee, user_id="u1", external_id="a"),
        await client.conversation(tenant, employee, user_id="u2", external_id="b"),
        await client.conversation(tenant, second, user_id="u1"),
    ]
    other, foreign = await hired(client, "other")
    await client.conversation(other, foreign, user_id="u1", external_id="a")
    await client.call("PATCH", f"/conversations/{made[2]['id']}", 200, json={"status": "closed"})
    ids = [conversation["id"] for conversation in made]

    async def listed(query: str) -> list[str]:
        found = await client.call("GET", f"/conversations?tenant_id={tenant}{query}", 200)
        return [conversation["id"] for conversation in found]

    assert await listed("") == [ids[2], ids[1], ids[0]]
    assert await listed("&user_id=u1") == [ids[2], ids[0]]
    assert await listed(f"&employee_id={employee}") == [ids[1], ids[0]]
    assert await listed("&status=closed") == [ids[2]]
    assert await listed("&external_id=b") == [ids[1]]
    assert await listed(f"&employee_id={employee}&user_id=u1&status=active") == [ids[0]]
    assert await listed("&user_id=u3") == []


async def test_pages_keep_the_filter(client: Client) -> None:
    tenant, employee = await hired(client)
    made = [(await client.conversation(tenant, employee, user_id=f"ü {n % 2}"))["id"] for n in range(6)]
    path: str | None = f"/api/v1/conversations?tenant_id={tenant}&limit=2&user_id=%C3%BC%200"
    seen = []
    while path:
        response = await client.http.get(path)
        seen += [conversation["id"] for conversation in response.json()]
        link = response.headers.get("link")
        path = link[1 : link.index(">")] if link else None
    assert seen == [made[4], made[2], made[0]]


async def test_a_user_id_is_found_again_however_odd(client: Client) -> None:
    tenant, employee = await hired(client)
    made = await client.conversation(tenant, employee, user_id="a\x00b/ %+&")
    found = await client.call("GET", f"/conversations?tenant_id={tenant}&user_id=a%00b/%20%25%2B%26", 200)
    assert [conversation["id"] for conversation in found] == [made["id"]]


async def test_an_external_id_is_taken_once_in_its_tenant(client: Client) -> None:
    tenant, employee = await hired(client)
    other, foreign = await hired(client, "other")
    await client.conversation(tenant, employee, external_id="x")
    second = await client.conversation(tenant, employee, external_id="y")
    await client.conversation(other, foreign, external_id="x")
    path = f"/conversations/{second['id']}"
    await client.problem("PATCH", path, 409, "external_id_taken", json={"external_id": "x"})
    body = {"tenant_id": tenant, "employee_id": employee, "user_id": "u", "external_id": "z"}
    answers = await asyncio.gather(*(client.http.post("/api/v1/conversations", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"external_id_taken"}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"user_id": ""}, "/user_id"),
        ({"user_id": 42}, "/user_id"),
        ({"user_id": "x" * 256}, "/user_id"),
        ({"title": "x" * 501}, "/title"),
        ({"external_id": " "}, "/external_id"),
        ({"employee_id": "ada"}, "/employee_id"),
        ({"employee_id": None}, "/employee_id"),
        ({"metadata": {}}, "/metadata"),
        ({"status": "closed"}, "/status"),
        ({"session_ttl_seconds": -1}, "/session_ttl_seconds"),
        ({"session_ttl_seconds": 31_536_001}, "/session_ttl_seconds"),
        ({"session_ttl_seconds": 1.5}, "/session_ttl_seconds"),
        ({"session_ttl_seconds": "1800"}, "/session_ttl_seconds"),
        ({"session_ttl_seconds": True}, "/session_ttl_seconds"),
        ({"reopened_at": None}, "/reopened_at"),
    ],
)
async def test_what_a_conversation_cannot_be(lone_client: Client, fields: dict[str, Any], pointer: str) -> None:
    body = {"tenant_id": UNKNOWN, "employee_id": UNKNOWN, "user_id": "u", **fields}
    problem = await lone_client.problem("POST", "/conversations", 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("query", ["status=open", "employee_id=x", "user=u1", "user_id=" + "x" * 256])
async def test_what_the_list_cannot_be_asked(lone_client: Client, query: str) -> None:
    await lone_client.problem("GET", f"/conversations?tenant_id={UNKNOWN}&{query}", 422, "validation_failed")
