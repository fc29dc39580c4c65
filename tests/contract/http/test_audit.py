"""The audit trail, as it can be read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from retinue.db.session import Database
from retinue.domain.audit import GENESIS, Actor
from tests.contract.http.api import Client

UNKNOWN = "01890000-0000-7000-8000-000000000000"
OPERATOR = str(UUID(int=0))
EMPLOYEE = Actor(kind="employee", id="ada")


async def recorded(database: Database, tenant: str, *actions: str, **payload: Any) -> UUID:
    """The id of the last entry."""
    async with database.unit(UUID(tenant)) as unit:
        *_, last = [
            await unit.audit.record(action, object_type="thing", object_id=str(number), payload=payload, actor=EMPLOYEE)
            for number, action in enumerate(actions)
        ]
        return last


async def executed(database: Database, tenant: str, command: str, **payload: Any) -> UUID:
    """A command, in the words of the engine."""
    details = {
        "run_id": UNKNOWN,
        "conversation_id": UNKNOWN,
        "tool": "shell_exec_safe",
        "effect": "read",
        "risk_level": "low",
        "approved": False,
        "approval_id": None,
        "command": command,
        "action_type": "package_check",
        **payload,
    }
    return await recorded(database, tenant, "command.executed", **details)


async def pages(client: Client, path: str) -> list[list[Any]]:
    found, link = [], f"/api/v1{path}"
    while link:
        response = await client.http.get(link)
        assert response.status_code == 200, response.text
        found.append(response.json())
        header = response.headers.get("link", "")
        link = header[1 : header.index(">")] if header else ""
    return found


async def test_entries_are_listed_newest_first_and_whole(client: Client, database: Database) -> None:
    tenant, other = await client.tenant("acme"), await client.tenant("other")
    await recorded(database, tenant, *[f"thing.done_{n}" for n in range(5)], what="x")
    await recorded(database, other, "thing.elsewhere")
    found = await pages(client, f"/audit?tenant_id={tenant}&limit=2")
    assert [len(page) for page in found] == [2, 2, 1]
    entries = [entry for page in found for entry in page]
    assert [entry["action"] for entry in entries] == [f"thing.done_{n}" for n in range(4, -1, -1)]
    assert [entry["seq"] for entry in entries] == [5, 4, 3, 2, 1]
    assert [entry["previous"] for entry in entries] == [*(entry["hash"] for entry in entries[1:]), GENESIS]
    assert (entries[0]["actor"], entries[0]["payload"], entries[0]["object_id"]) == ("employee:ada", {"what": "x"}, "4")
    assert {entry["tenant_id"] for entry in entries} == {tenant}


async def test_filters_combine(lone_client: Client, lone_database: Database) -> None:
    tenant = await lone_client.tenant()
    await recorded(lone_database, tenant, "thing.made", "thing.lost", "thing.made")

    async def found(query: str) -> list[int]:
        return [entry["seq"] for entry in await lone_client.call("GET", f"/audit?tenant_id={tenant}&{query}", 200)]

    assert await found("action=thing.made") == [3, 1]
    assert await found("action=thing.made&object_id=2") == [3]
    assert await found("object_type=thing") == [3, 2, 1]
    assert await found("object_type=employee") == []
    assert await found("actor=employee:ada") == [3, 2, 1]
    assert await found("actor=operator") == []
    assert await found("actor=a%00b") == []
    hour = timedelta(hours=1)
    before, after = ((datetime.now(UTC) + each).strftime("%Y-%m-%dT%H:%M:%SZ") for each in (-hour, hour))
    assert await found(f"since={before}&until={after}") == [3, 2, 1]
    assert await found(f"since={after}") == await found(f"until={before}") == []
    assert await found("since=0001-01-01T00:00:00Z&until=9999-12-31T00:00:00Z") == [3, 2, 1]
    assert await found("since=2026-01-01T00:00:00%2B01:00&until=2999-01-01T00:00:00-05:00") == [3, 2, 1]


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        "2026-11-20T08:00:00",
        "2026-11-20",
        "0001-01-01T00:00:00%2B23:59",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.999999-23:59",
        "",
        "null",
        "%00",
    ],
)
async def test_a_time_that_is_none_is_refused(lone_client: Client, moment: str) -> None:
    for name in ("since", "until"):
        path = f"/audit?tenant_id={UNKNOWN}&{name}={moment}"
        problem = await lone_client.problem("GET", path, 422, "validation_failed")
        assert [error["parameter"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("query", ["action=" + "x" * 256, "what=x", "limit=0", "limit=201", "action=a&action=b"])
async def test_what_the_trail_cannot_be_asked(lone_client: Client, query: str) -> None:
    await lone_client.problem("GET", f"/audit?tenant_id={UNKNOWN}&{query}", 422, "validation_failed")


@pytest.mark.parametrize("path", ["/audit", "/audit/commands", "/audit/verify"])
async def test_the_operator_names_the_tenant(lone_client: Client, path: str) -> None:
    await lone_client.problem("GET", path, 422, "validation_failed")
    assert await lone_client.call("GET", f"{path}?tenant_id={UNKNOWN}", 200) in (
        [],
        {"is_valid": True, "entries": 0, "first_broken": None, "head": GENESIS},
    )


@pytest.mark.parametrize("path", ["/audit", "/audit/commands"])
async def test_a_cursor_of_another_list_is_refused(lone_client: Client, path: str) -> None:
    tenants = [await lone_client.tenant(slug) for slug in ("one", "two")]
    response = await lone_client.http.get("/api/v1/tenants?limit=1")
    cursor = response.headers["link"].partition("cursor=")[2].partition(">")[0]
    for wrong in (cursor, "x", ""):
        await lone_client.problem("GET", f"{path}?tenant_id={tenants[0]}&cursor={wrong}", 422, "invalid_cursor")


async def test_commands_have_exactly_this_form(client: Client, database: Database) -> None:
    tenant = await client.tenant()
    await recorded(database, tenant, "thing.made")
    await executed(database, tenant, "apt list --upgradable")
    approval = "01890000-0000-7000-8000-000000000001"
    await executed(database, tenant, "uname -a", risk_level="medium", approved=True, approval_id=approval)
    newest, oldest = [
        entry for page in await pages(client, f"/audit/commands?tenant_id={tenant}&limit=1") for entry in page
    ]
    assert oldest.keys() == {"id", "at", "actor", "event_type", "payload"}
    assert (oldest["event_type"], oldest["actor"]) == ("command_audit", "employee:ada")
    assert oldest["payload"] == {
        "command": "apt list --upgradable",
        "action_type": "package_check",
        "risk_level": "low",
        "approved": False,
        "approval_id": None,
        "run_id": UNKNOWN,
        "conversation_id": UNKNOWN,
        "outcome": None,
        "exit_code": None,
    }
    assert (newest["payload"]["approved"], newest["payload"]["approval_id"]) == (True, approval)


async def test_what_came_of_a_command_is_told_with_it(client: Client, database: Database) -> None:
    """By the newest word about this very command."""
    tenant = await client.tenant()
    first, second = [await executed(database, tenant, "uname -a") for _ in range(2)]
    async with database.unit(UUID(tenant)) as unit:
        for about, outcome, code in ((first, "outcome_unknown", None), (first, "succeeded", 3)):
            await unit.audit.record(
                "command.finished",
                object_type="command",
                object_id=str(about),
                payload={"outcome": outcome, "exit_code": code, "error": None},
            )
    found = await client.call("GET", f"/audit/commands?tenant_id={tenant}", 200)
    assert [(one["id"], one["payload"]["outcome"], one["payload"]["exit_code"]) for one in found] == [
        (str(second), None, None),
        (str(first), "succeeded", 3),
    ]


@pytest.mark.parametrize(
    "command",
    [
        "cat password.txt",
        "echo PassWord=x PASSWORDS",
        "passpasswordword",
        "echo 'password' \"password\" \\password",
        "passwordpasswordpassword",
    ],
)
async def test_one_word_is_never_said(lone_client: Client, lone_database: Database, command: str) -> None:
    tenant = await lone_client.tenant()
    await executed(lone_database, tenant, command, action_type="Password_change", password="x")
    response = await lone_client.http.get(f"/api/v1/audit/commands?tenant_id={tenant}")
    assert response.status_code == 200
    assert "password" not in response.text.lower()
    assert "[masked]" in response.json()[0]["payload"]["command"]


async def test_a_chain_is_verified(client: Client, database: Database) -> None:
    tenant = await client.tenant()
    await recorded(database, tenant, "thing.made", "thing.lost")
    [newest, _] = await client.call("GET", f"/audit?tenant_id={tenant}", 200)
    verdict = await client.call("GET", f"/audit/verify?tenant_id={tenant}", 200)
    assert verdict == {"is_valid": True, "entries": 2, "first_broken": None, "head": newest["hash"]}


async def test_a_chain_that_was_tampered_with_is_not_valid(lone_client: Client, lone_database: Database) -> None:
    tenant = await lone_client.tenant()
    await recorded(lone_database, tenant, "thing.made", "thing.lost", "thing.found")
    async with lone_database._engine.begin() as connection:
        for trigger in (
            await connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        ).all():
            await connection.execute(sa.text(f"DROP TRIGGER {trigger.name}"))
        await connection.execute(sa.text("UPDATE audit_entries SET action = 'thing.kept' WHERE seq = 2"))
    verdict = await lone_client.call("GET", f"/audit/verify?tenant_id={tenant}", 200)
    assert (verdict["is_valid"], verdict["first_broken"]) == (False, 2)


async def test_what_was_done_to_tenants_is_read_under_the_nil_id(client: Client) -> None:
    tenant = await client.tenant()
    [entry] = await client.call("GET", f"/audit?tenant_id={OPERATOR}", 200)
    assert (entry["action"], entry["object_id"]) == ("tenant.created", tenant)
    verdict = await client.call("GET", f"/audit/verify?tenant_id={OPERATOR}", 200)
    assert (verdict["is_valid"], verdict["head"]) == (True, entry["hash"])
    assert await client.call("GET", f"/audit/commands?tenant_id={OPERATOR}", 200) == []
