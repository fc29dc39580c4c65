"""What a token is bound to, it is bound to on every route."""

from typing import Any, NamedTuple

import pytest

from retinue.domain.ids import new_id
from tests.contract.access import table
from tests.contract.access.house import Caller, House, Tenant
from tests.contract.access.test_user_tokens import ALL

ENDLESS = "GET /api/v1/conversations/{conversation_id}/events"


class Place(NamedTuple):
    conversation: str
    run: str
    approval: str

    def fill(self, path: str) -> str:
        ids = {"conversation_id": self.conversation, "run_id": self.run, "approval_id": self.approval}
        return path.format(**ids).removeprefix("/api/v1")

    @property
    def event(self) -> dict[str, str]:
        return {"last-event-id": f"{self.run}:1-1"}


BODIES: dict[str, Any] = {
    "PATCH /api/v1/conversations/{conversation_id}": {"title": "T"},
    "POST /api/v1/conversations/{conversation_id}/messages": {"content": "Hi"},
    "POST /api/v1/conversations/{conversation_id}/messages/stream": {"content": "Hi", "on_busy": "reject"},
    "POST /api/v1/approvals/{approval_id}/decision": True,
    "POST /api/v1/runs/{run_id}/continue/stream": {"approval_id": "{approval_id}"},
    "POST /api/v1/runs/{run_id}/password/stream": {"approval_id": "{approval_id}", "password": "x"},
    "POST /api/v1/runs/{run_id}/resolve-effect": {"tool_call_id": "call_0", "outcome": "happened"},
}
ROUTES = [
    route for route in table.TABLE if table.TABLE[route].endswith(" user") and "{" in route and "DELETE" not in route
]


def nowhere() -> Place:
    return Place(*(str(new_id()) for _ in range(3)))


class World(NamedTuple):
    tenant: Tenant
    own: Place
    of_colleague: Place
    """The same user's, with another employee."""
    theirs: Place
    """Another user's."""
    tokens: dict[str, tuple[Caller, set[Place]]]
    """With what each of them sees."""


@pytest.fixture
async def world(tenant: Tenant) -> World:
    own = Place(*await tenant.coupon("user-1"))
    theirs = Place(*await tenant.coupon("user-2"))
    first, tenant.clerk = (
        tenant.clerk,
        await tenant.hire(
            name="Eve", permission="write", tools=["generate_coupon"], model_settings={"model": "scripted-shop"}
        ),
    )
    of_colleague = Place(*await tenant.coupon("user-1"))
    tokens = {
        "user": (await tenant.token("user-1", scopes=ALL), {own, of_colleague}),
        "other user": (await tenant.token("user-2", scopes=ALL), {theirs}),
        "nearly that user": (await tenant.token("User-1", scopes=ALL), set()),
        "employee": (await tenant.token("user-1", scopes=ALL, employee_id=first), {own}),
        "conversation": (
            await tenant.token("user-1", scopes=ALL, conversation_id=of_colleague.conversation),
            {of_colleague},
        ),
    }
    return World(tenant, own, of_colleague, theirs, tokens)


async def ask(caller: Caller, route: str, place: Place) -> tuple[int, str, str]:
    """Status, code and detail."""
    method, path = route.split()
    body = BODIES.get(route)
    if isinstance(body, dict):
        body = {name: value.format(approval_id=place.approval) for name, value in body.items()}
    answer = await caller.ask(method, place.fill(path), body)
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    problem = answer.json() if is_problem else {"code": "", "detail": ""}
    return answer.status_code, problem["code"], problem["detail"]


async def test_what_is_out_of_sight_does_not_exist(world: World) -> None:
    assert len(ROUTES) > 18
    missing = {route: await ask(world.tenant.member, route, nowhere()) for route in ROUTES}
    assert {answer[:2] for answer in missing.values()} == {(404, "not_found")}
    for name, (token, seen) in world.tokens.items():
        for place in {world.own, world.of_colleague, world.theirs} - seen:
            for route in ROUTES:
                assert await ask(token, route, place) == missing[route], (name, route)
            path = f"/conversations/{place.conversation}"
            await token.problem("DELETE", path, 404, "not_found")
            await world.tenant.member.call("GET", path)


async def test_what_is_in_sight_can_be_used(world: World) -> None:
    for name, (token, seen) in world.tokens.items():
        for place in seen:
            for route in ROUTES:
                if route != ENDLESS:
                    status, code, _ = await ask(token, route, place)
                    # Nobody asks for a password, and no outcome is unknown.
                    assert status not in {401, 403, 404, 405} or route.endswith("resolve-effect"), (name, route, code)
    for token, seen in list(world.tokens.values())[:2]:
        for place in seen:
            await token.call("DELETE", f"/conversations/{place.conversation}", status=204)


async def test_lists_hold_what_is_in_sight(world: World) -> None:
    for name, (token, seen) in world.tokens.items():
        listed = await token.call("GET", "/conversations")
        assert {each["id"] for each in listed} == {place.conversation for place in seen}, name
        pending = await token.call("GET", "/approvals/pending")
        assert {each["approval_id"] for each in pending} == {place.approval for place in seen}, name
        paged = await token.call("GET", "/conversations?limit=1")
        assert len(paged) == min(1, len(seen))
    whole = await world.tenant.viewer.call("GET", "/approvals/pending")
    assert {each["approval_id"] for each in whole} == {
        place.approval for place in (world.own, world.of_colleague, world.theirs)
    }


async def test_a_filter_does_not_lead_out_of_sight(world: World) -> None:
    member = world.tenant.member
    await member.call("PATCH", f"/conversations/{world.theirs.conversation}", {"external_id": "thread-2"})
    await member.call("PATCH", f"/conversations/{world.own.conversation}", {"external_id": "thread-1"})
    token, _ = world.tokens["user"]
    assert await token.call("GET", "/conversations?external_id=thread-2") == []
    assert await token.call("GET", "/conversations?external_id=nowhere") == []
    [found] = await token.call("GET", "/conversations?external_id=thread-1&user_id=user-1")
    assert found["id"] == world.own.conversation
    await token.problem("GET", "/conversations?user_id=user-2", 403, "outside_of_token")
    narrow, _ = world.tokens["employee"]
    await narrow.problem("GET", f"/conversations?employee_id={world.tenant.clerk}", 403, "outside_of_token")
    pinned, _ = world.tokens["conversation"]
    assert await pinned.call("GET", "/conversations?external_id=thread-1") == []
    cursor = (await member.ask("GET", "/conversations?limit=1")).headers["link"].split("cursor=")[1].split(">")[0]
    seen = await pinned.call("GET", f"/conversations?cursor={cursor}")
    assert {each["id"] for each in seen} <= {world.of_colleague.conversation}


async def test_an_event_of_a_foreign_run_leads_nowhere(world: World) -> None:
    token, _ = world.tokens["user"]
    own = world.own
    for target, body in (
        (f"POST /conversations/{own.conversation}/messages/stream", {"content": "Hi"}),
        (f"GET /conversations/{own.conversation}/events", None),
        (f"GET /runs/{own.run}/stream", None),
        (f"POST /runs/{own.run}/continue/stream", {"approval_id": own.approval}),
    ):
        method, path = target.split()
        answers = [
            (await token.ask(method, path, body, headers=place.event)).json() for place in (world.theirs, nowhere())
        ]
        assert answers[0] == answers[1], target
        assert answers[0]["status"] in {404, 422}, answers
    for place in (world.theirs, nowhere()):
        decision = {"approval_id": place.approval, "approved": True}
        await token.problem("POST", f"/runs/{own.run}/continue/stream", 404, "not_found", decision)
    shown = await world.tenant.member.call("GET", f"/approvals/{world.theirs.approval}")
    assert shown["status"] == "pending"


async def test_a_token_begins_nothing_out_of_sight(world: World) -> None:
    clerk = {"employee_id": world.tenant.clerk, "user_id": "user-1"}
    usual = {"employee_id": world.tenant.employee, "user_id": "user-1"}
    token, _ = world.tokens["user"]
    made = await token.call("POST", "/conversations", usual, status=201)
    assert made["user_id"] == "user-1"
    for user in ("user-2", "USER-1", "user-1 "):
        await token.problem("POST", "/conversations", 403, "outside_of_token", {**usual, "user_id": user})
    await token.problem("POST", "/conversations", 404, "not_found", {**usual, "employee_id": str(new_id())})
    narrow, _ = world.tokens["employee"]
    for employee in (world.tenant.clerk, world.tenant.employee, str(new_id())):
        await narrow.problem("POST", "/conversations", 404, "not_found", {**usual, "employee_id": employee})
    pinned, _ = world.tokens["conversation"]
    await pinned.problem("POST", "/conversations", 403, "outside_of_token", clerk)


async def test_who_decides_is_named(world: World) -> None:
    token, _ = world.tokens["user"]
    decided = await token.call("POST", f"/approvals/{world.own.approval}/deny")
    assert decided["decided_by"] == "user:user-1"
    decided = await world.tenant.member.call("POST", f"/approvals/{world.theirs.approval}/deny")
    assert decided["decided_by"] == f"key:{world.tenant.member.key_id}"


async def test_a_user_of_another_tenant_sees_nothing_of_this_one(house: House, world: World) -> None:
    other = await house.tenant()
    token = await other.token("user-1", scopes=ALL)
    for route in ROUTES:
        assert (await ask(token, route, world.own))[:2] == (404, "not_found"), route
    assert await token.call("GET", "/conversations") == []
    assert await token.call("GET", "/approvals/pending") == []
