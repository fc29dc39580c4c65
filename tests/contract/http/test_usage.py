"""`/usage`."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.spending import Grouping
from retinue.domain.usage import Cost, Provenance, Usage
from retinue.http.pagination import key_cursor
from retinue.jobs.summing import sum_up
from tests.contract.http.api import Client

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RANGE = "from=2026-02-01T00:00:00Z&to=2026-04-01T00:00:00Z"
COLUMNS = [
    "calls",
    "runs",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_micros",
    "currency",
    "unknown_cost_calls",
    "estimated_calls",
]
ADA, BOB, CHAT, TALK = (new_id() for _ in range(4))
FULL = Usage(input_tokens=10, cached_input_tokens=2, cache_write_tokens=1, output_tokens=5, reasoning_tokens=3)
GUESSED = Usage(input_tokens=7, output_tokens=1, provenance=Provenance.ESTIMATED)


def an_entry(tenant: UUID, **changes: Any) -> LedgerEntry:
    entry = LedgerEntry(
        id=new_id(),
        tenant_id=tenant,
        run_id=new_id(),
        conversation_id=CHAT,
        employee_id=ADA,
        user_id="ada's user",
        step=1,
        attempt=1,
        tries=1,
        provider="openai",
        model="gpt",
        outcome=CallOutcome.OPEN,
        opened_at=NOON,
    )
    return msgspec.structs.replace(entry, **changes)


async def book(
    database: Database, tenant: str, *, usage: Usage | None = FULL, micros: int | None = 100, **changes: Any
) -> LedgerEntry:
    entry = an_entry(UUID(tenant), **changes)
    async with database.unit(entry.tenant_id) as unit:
        await unit.ledger.open(entry)
        await unit.ledger.close(
            entry.id,
            outcome=CallOutcome.COMPLETED,
            usage=usage,
            cost=None if micros is None else Cost(micros=micros),
            error_code=None,
            at=entry.opened_at,
        )
    return entry


@pytest.fixture
async def tenant(client: Client, database: Database) -> str:
    """Six calls: two of one run, and some that nobody asks for."""
    tenant = await client.tenant()
    first = await book(database, tenant)
    await book(database, tenant, run_id=first.run_id, step=2, micros=50)
    await book(database, tenant, usage=GUESSED, micros=None, conversation_id=TALK, employee_id=BOB, user_id="=1+1")
    later = NOON + timedelta(days=1)
    await book(database, tenant, usage=None, micros=None, opened_at=later, user_id=None, model="other")
    for outside in (datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)):
        await book(database, tenant, opened_at=outside)
    async with database.unit(UUID(tenant)) as unit:
        await unit.ledger.open(an_entry(UUID(tenant)))
    await book(database, await client.tenant("neighbour"))
    return tenant


async def ask(client: Client, tenant: str, group_by: str, more: str = RANGE) -> Any:
    return await client.call("GET", f"/usage?tenant_id={tenant}&group_by={group_by}&{more}", 200)


async def test_a_group_has_everything_summed_up(client: Client, tenant: str) -> None:
    first, second = await ask(client, tenant, "day")
    assert first == {
        "key": "2026-03-01",
        "calls": 3,
        "runs": 2,
        "input_tokens": 27,
        "cached_input_tokens": 4,
        "cache_write_tokens": 2,
        "output_tokens": 11,
        "reasoning_tokens": 6,
        "cost_micros": 150,
        "currency": "USD",
        "unknown_cost_calls": 1,
        "estimated_calls": 1,
    }
    nothing = dict.fromkeys((*FULL.__struct_fields__[:5], "cost_micros"))
    assert {name: second[name] for name in nothing} == nothing, "null is not zero"
    assert (second["calls"], second["unknown_cost_calls"], second["estimated_calls"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("day", {"2026-03-01": 3, "2026-03-02": 1}),
        ("employee", {str(ADA): 3, str(BOB): 1}),
        ("user", {"": 1, "=1+1": 1, "ada's user": 2}),
        ("model", {"openai/gpt": 3, "openai/other": 1}),
        ("conversation", {str(CHAT): 3, str(TALK): 1}),
    ],
)
async def test_calls_are_grouped(client: Client, tenant: str, group_by: str, groups: dict[str, int]) -> None:
    rows = await ask(client, tenant, group_by)
    assert {row["key"]: row["calls"] for row in rows} == groups
    assert sum(row["cost_micros"] or 0 for row in rows) == 150


@pytest.mark.parametrize("group_by", ["day", "employee", "user", "model", "conversation"])
async def test_groups_come_page_by_page(client: Client, tenant: str, group_by: str) -> None:
    whole = await ask(client, tenant, group_by)
    paged, target = [], f"/api/v1/usage?tenant_id={tenant}&group_by={group_by}&{RANGE}&limit=1"
    for _ in whole:
        answer = await client.http.get(target)
        paged += answer.json()
        target = answer.headers.get("link", "").partition("<")[2].partition(">")[0]
    assert (paged, target) == (whole, "")


@pytest.mark.parametrize("group_by", list(Grouping))
async def test_what_was_summed_up_in_advance_is_told_the_same(
    client: Client, database: Database, tenant: str, group_by: Grouping
) -> None:
    path = f"/api/v1/usage?tenant_id={tenant}&group_by={group_by}&{RANGE}"
    before = [(await client.http.get(path + more)).content for more in ("", "&limit=1", "&format=csv")]
    assert await sum_up(database) == 7
    assert [(await client.http.get(path + more)).content for more in ("", "&limit=1", "&format=csv")] == before
    await book(database, tenant)
    calls = sum(row["calls"] for row in await ask(client, tenant, group_by))
    assert calls == 5, "what was closed since then comes to it"


async def test_a_cursor_of_something_else_is_refused(client: Client, tenant: str) -> None:
    path = f"/usage?tenant_id={tenant}&group_by=employee&{RANGE}&cursor="
    answer = await client.http.get(f"/api/v1/usage?tenant_id={tenant}&group_by=user&{RANGE}&limit=1")
    foreign = answer.headers["link"].partition("cursor=")[2].partition(">")[0]
    for cursor in ("x", "ä", foreign):
        await client.problem("GET", path + cursor, 422, "invalid_cursor")


@pytest.mark.parametrize("group_by", list(Grouping))
async def test_nor_is_one_that_no_database_could_look_for(client: Client, tenant: str, group_by: Grouping) -> None:
    path = f"/usage?tenant_id={tenant}&group_by={group_by}&{RANGE}&cursor={key_cursor(chr(0))}"
    await client.problem("GET", path, 422, "invalid_cursor")


async def test_by_default_it_is_the_last_thirty_days(client: Client, database: Database) -> None:
    tenant = await client.tenant()
    now = datetime.now(UTC)
    for days in (0.01, 29.9, 30.1):
        await book(database, tenant, opened_at=now - timedelta(days=days), usage=None, micros=int(days))
    rows = await client.call("GET", f"/usage?tenant_id={tenant}", 200)
    assert sorted(row["cost_micros"] for row in rows) == [0, 29]
    assert [row["key"] for row in rows] == sorted(row["key"] for row in rows), "grouped by day"


async def test_a_range_is_bounded_below_and_open_above(client: Client, tenant: str) -> None:
    at_noon = NOON.isoformat().replace("+00:00", "Z")
    assert await ask(client, tenant, "day", f"from={at_noon}&to={at_noon}") == []
    rows = await ask(client, tenant, "day", f"from={at_noon}&to=2026-03-01T13:00:01%2B01:00")
    assert [row["calls"] for row in rows] == [3], "whatever the zone"


@pytest.mark.parametrize(
    ("more", "parameter"),
    [
        ("from=2026-03-01T00:00:00", "from"),
        ("to=2026-03-01T00:00:00", "to"),
        ("from=yesterday", "from"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
        ("from=2025-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
        ("to=9999-12-31T23:59:59-01:00", "to"),
        ("group_by=hour", "group_by"),
        ("format=xml", "format"),
        ("limit=201", "limit"),
    ],
)
async def test_what_cannot_be_summed_up_is_refused(lone_client: Client, more: str, parameter: str) -> None:
    path = f"/usage?tenant_id={await lone_client.tenant()}&{more}"
    problem = await lone_client.problem("GET", path, 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == parameter


async def test_four_hundred_days_are_not_too_long(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    assert await ask(lone_client, tenant, "day", "from=2025-01-01T00:00:00Z&to=2026-02-05T00:00:00Z") == []
    assert await ask(lone_client, tenant, "day", "to=0001-01-02T00:00:00Z") == []


async def test_the_operator_has_to_name_the_tenant(lone_client: Client) -> None:
    problem = await lone_client.problem("GET", "/usage", 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == "tenant_id"


@pytest.mark.parametrize(
    ("more", "accept", "kind"),
    [
        ("&format=csv", "application/json", "text/csv; charset=utf-8"),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("", "text/csv;q=0.5, application/json", "application/json"),
        ("", "*/*", "application/json"),
        ("", "text/csv;q=inf", "application/json"),
        ("&format=json", "text/csv", "application/json"),
    ],
)
async def test_who_wants_a_table_gets_one(client: Client, tenant: str, more: str, accept: str, kind: str) -> None:
    path = f"/api/v1/usage?tenant_id={tenant}&group_by=user&{RANGE}{more}"
    answer = await client.http.get(path, headers={"accept": accept})
    assert answer.headers["content-type"] == kind
    assert "accept" in answer.headers["vary"].lower()


async def test_a_table_has_the_same_rows_and_no_formula(client: Client, tenant: str) -> None:
    rows = await ask(client, tenant, "user")
    answer = await client.http.get(f"/api/v1/usage?tenant_id={tenant}&group_by=user&{RANGE}&format=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="usage-by-user.csv"'
    assert answer.content.endswith(b"\r\n")
    head, *table = csv.reader(io.StringIO(answer.text, newline=""), strict=True)
    assert head == ["user", *COLUMNS]
    assert [line[0] for line in table] == ["", "'=1+1", "ada's user"]
    assert [line[1:] for line in table] == [
        ["" if row[name] is None else str(row[name]) for name in COLUMNS] for row in rows
    ]
