"""Lists over many pages: bounded, and complete while others write."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.contract.checked import CheckedClient

pytestmark = pytest.mark.slow

Insert = Callable[[int], Awaitable[str]]
"""Adds one more element; returns its id."""


class Shelf:
    """A list with something on it: where it is read, and how it grows."""

    def __init__(self, path: str, insert: Insert, *, newest_first: bool = False) -> None:
        self.path, self.insert, self.newest_first = path, insert, newest_first


async def employees(client: CheckedClient) -> Shelf:
    tenant = (await client.create_tenant()).id

    async def insert(number: int) -> str:
        return str((await client.create_employee(tenant, name=f"Employee {number}")).id)

    return Shelf(f"/employees?tenant_id={tenant}", insert)


async def conversations(client: CheckedClient) -> Shelf:
    tenant = (await client.create_tenant()).id
    employee = (await client.create_employee(tenant)).id

    async def insert(number: int) -> str:
        return str((await client.create_conversation(tenant, employee, title=str(number), user_id="ü & ?")).id)

    return Shelf(f"/conversations?tenant_id={tenant}&user_id=%C3%BC+%26+%3F", insert, newest_first=True)


async def messages(client: CheckedClient) -> Shelf:
    conversation = (await client.hire()).id

    async def insert(number: int) -> str:
        return str((await client.post_message(conversation, f"Message {number}")).expect(200).json["id"])

    return Shelf(f"/conversations/{conversation}/messages", insert)


SHELVES = {"employees": employees, "conversations": conversations, "messages": messages}


@pytest.fixture(params=list(SHELVES))
async def shelf(request: pytest.FixtureRequest, client: CheckedClient) -> Shelf:
    return await SHELVES[request.param](client)


def next_of(link: str | None) -> str | None:
    """The target of `rel="next"`."""
    if link is None:
        return None
    target, _, parameters = link.partition(";")
    assert parameters.strip() == 'rel="next"', link
    assert target[0] == "<", link
    assert target[-1] == ">", link
    return target[1:-1]


async def pages(client: CheckedClient, path: str, between: Callable[[], Awaitable[object]]) -> list[list[str]]:
    """The ids of every page, from the first to the one without a `Link`."""
    found: list[list[str]] = []
    target: str | None = path
    while target is not None:
        answer = (await client.get(target)).expect(200)
        found.append([each["id"] for each in answer.json])
        target = next_of(answer.header("link"))
        await between()
    return found


def with_limit(path: str, limit: int) -> str:
    return f"{path}{'&' if '?' in path else '?'}limit={limit}"


async def nothing() -> None:
    pass


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_every_element_is_on_exactly_one_page(client: CheckedClient, shelf: Shelf, limit: int) -> None:
    ids = [await shelf.insert(number) for number in range(7)]
    if shelf.newest_first:
        ids.reverse()
    found = await pages(client, with_limit(shelf.path, limit), nothing)
    assert [each for page in found for each in page] == ids
    assert [len(page) for page in found] == [limit] * (7 // limit) + ([7 % limit] if 7 % limit else [])


async def test_nothing_is_lost_or_doubled_while_others_write(client: CheckedClient, shelf: Shelf) -> None:
    before = [await shelf.insert(number) for number in range(9)]
    added: list[str] = []

    async def write() -> None:
        if len(added) < 3:
            added.append(await shelf.insert(100 + len(added)))

    found = [each for page in await pages(client, with_limit(shelf.path, 2), write) for each in page]
    assert len(added) == 3
    assert len(found) == len(set(found))
    if shelf.newest_first:
        assert found == before[::-1]
    else:
        assert found == before + added


async def test_a_page_goes_on_although_its_last_element_is_gone(client: CheckedClient) -> None:
    shelf = await conversations(client)
    ids = [await shelf.insert(number) for number in range(6)][::-1]
    first = (await client.get(with_limit(shelf.path, 3))).expect(200)
    (await client.delete(f"/conversations/{ids[2]}")).expect(204)
    rest = (await client.get(next_of(first.header("link")) or "")).expect(200)
    assert [each["id"] for each in rest.json] == ids[3:]


async def test_the_link_keeps_the_other_parameters(client: CheckedClient) -> None:
    shelf = await conversations(client)
    for number in range(3):
        await shelf.insert(number)
    target = next_of((await client.get(with_limit(shelf.path, 2))).header("link"))
    query = parse_qs(urlsplit(target or "").query)
    assert query["user_id"] == ["ü & ?"]
    assert query["limit"] == ["2"]
    assert (target or "").startswith("/api/v1/conversations?")


async def test_tenants_are_listed_without_gaps(client: CheckedClient) -> None:
    """Other tests create tenants too, so only the own ones are looked for."""
    mine = [str((await client.create_tenant()).id) for _ in range(4)]
    found = [each for page in await pages(client, "/tenants?limit=200", nothing) for each in page]
    assert [each for each in found if each in mine] == mine


async def test_a_list_is_never_unbounded(client: CheckedClient, shelf: Shelf) -> None:
    (await client.get(with_limit(shelf.path, 200))).expect(200)
    for limit in ("0", "-1", "201", "abc", "", "1.5", "null", "99999999999999999999999999", "%00"):
        path = f"{shelf.path}{'&' if '?' in shelf.path else '?'}limit={limit}"
        problem = (await client.get(path)).problem(422, "validation_failed")
        assert [error["parameter"] for error in problem["errors"]] == ["limit"]


async def test_a_filter_with_a_typing_error_does_not_answer_with_everything(client: CheckedClient) -> None:
    shelf = await conversations(client)
    for query in ("status=ACTIVE", "status=null", "status=", "employee_id=null", "employee_id=x", "statu=active"):
        problem = (await client.get(f"{shelf.path}&{query}")).problem(422, "validation_failed")
        assert [error["parameter"] for error in problem["errors"]] == [query.partition("=")[0]]
    twice = (await client.get(f"{shelf.path}&status=active&status=closed")).problem(422, "validation_failed")
    assert [error["parameter"] for error in twice["errors"]] == ["status"]


async def test_a_cursor_cannot_be_tampered_with(client: CheckedClient, shelf: Shelf) -> None:
    for number in range(3):
        await shelf.insert(number)
    link = next_of((await client.get(with_limit(shelf.path, 1))).header("link"))
    [cursor] = parse_qs(urlsplit(link or "").query)["cursor"]
    separator = "&" if "?" in shelf.path else "?"
    swapped = cursor[:6] + ("A" if cursor[6] != "A" else "B") + cursor[7:]
    for bad in (
        "",
        "x",
        swapped,
        cursor[:-1],
        cursor + "A",
        cursor + "=",
        cursor.lower(),
        "%00",
        "%F0%9F%8D%B5",
        "...",
    ):
        answer = await client.get(f"{shelf.path}{separator}cursor={bad}")
        answer.problem(422, "invalid_cursor")
    (await client.get(f"{shelf.path}{separator}cursor={'A' * 600}")).problem(422, "validation_failed")


async def test_a_cursor_of_another_conversation_is_refused(client: CheckedClient) -> None:
    """Its message has no place in this one, and an empty page would read as the end of the list."""
    mine, other = await messages(client), await messages(client)
    for number in range(2):
        await mine.insert(number)
        await other.insert(number)
    link = next_of((await client.get(with_limit(other.path, 1))).header("link")) or ""
    [cursor] = parse_qs(urlsplit(link).query)["cursor"]
    (await client.get(f"{mine.path}?cursor={cursor}")).problem(422, "invalid_cursor")
    assert len((await client.get(link)).expect(200).json) == 1


async def test_a_cursor_of_another_list_shows_nothing_of_it(client: CheckedClient) -> None:
    """A cursor is a place, no permission."""
    mine, other = await conversations(client), await conversations(client)
    for number in range(3):
        await mine.insert(number)
        await other.insert(number)
    link = next_of((await client.get(with_limit(other.path, 1))).header("link"))
    [cursor] = parse_qs(urlsplit(link or "").query)["cursor"]
    seen: list[dict[str, Any]] = (await client.get(f"{mine.path}&cursor={cursor}")).expect(200).json
    tenant = parse_qs(urlsplit(mine.path).query)["tenant_id"][0]
    assert {each["tenant_id"] for each in seen} <= {tenant}
