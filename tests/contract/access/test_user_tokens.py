"""Tokens for browsers: how they are made, and what they are not."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from retinue.domain.ids import new_id, now
from retinue.security.key_text import KeyText, read_key_text
from tests.contract.access.house import House, Tenant

USUAL = ["conversations:read", "conversations:write"]
ALL = [*USUAL, "approvals:read", "approvals:decide"]


async def test_a_token_is_for_one_user_and_a_short_time(house: House, tenant: Tenant) -> None:
    made = await tenant.member.call("POST", f"{tenant.path}/user-tokens", {"user_id": "user-1"}, status=201)
    assert made["token"].startswith("rtn_user_")
    assert (made["tenant_id"], made["user_id"], made["scopes"]) == (tenant.id, "user-1", USUAL)
    assert (made["employee_id"], made["conversation_id"]) == (None, None)
    lives = datetime.fromisoformat(made["expires_at"]) - now()
    assert timedelta(seconds=880) < lives <= timedelta(seconds=900)
    text = read_key_text(made["token"].encode())
    assert text is not None
    assert str(text.id) == made["id"]
    token = house.caller(made["token"])
    await token.call("GET", "/conversations")
    response = await house.http.get("/api/v1/conversations", headers={"x-api-key": made["token"]})
    assert response.status_code == 200
    [entry] = await tenant.admin.call("GET", "/audit?action=user_token.created")
    assert (entry["actor"], entry["object_id"]) == (f"key:{tenant.member.key_id}", made["id"])
    assert made["token"] not in str(await tenant.admin.call("GET", "/audit"))


@pytest.mark.parametrize("seconds", [0, 29, 3601, 86_400, -1, None, "900", 60.5])
async def test_no_token_lives_longer_than_an_hour(lone_tenant: Tenant, seconds: Any) -> None:
    body = {"user_id": "u", "expires_in_seconds": seconds}
    await lone_tenant.member.problem("POST", f"{lone_tenant.path}/user-tokens", 422, "validation_failed", body)


@pytest.mark.parametrize(
    "scopes", [[], ["employees:read"], ["operate"], [*USUAL, "tokens:write"], ["everything"], "conversations:read", [1]]
)
async def test_a_token_has_only_scopes_of_users(lone_tenant: Tenant, scopes: Any) -> None:
    body = {"user_id": "u", "scopes": scopes}
    problem = await lone_tenant.admin.problem("POST", f"{lone_tenant.path}/user-tokens", 422, "validation_failed", body)
    assert problem["errors"][0]["pointer"].startswith("/scopes")


async def test_a_token_has_the_scopes_that_were_asked_for(lone_tenant: Tenant) -> None:
    for scopes in (["approvals:decide"], ALL, [*USUAL, *USUAL]):
        body = {"user_id": "u", "scopes": scopes}
        made = await lone_tenant.member.call("POST", f"{lone_tenant.path}/user-tokens", body, status=201)
        assert made["scopes"] == list(dict.fromkeys(scopes))


async def test_only_a_tenant_s_key_makes_tokens(lone_house: House, lone_tenant: Tenant) -> None:
    path, body = f"{lone_tenant.path}/user-tokens", {"user_id": "user-1"}
    await lone_house.operator.problem("POST", path, 403, "tenant_key_required", body)
    await lone_tenant.viewer.problem("POST", path, 403, "insufficient_scope", body)
    token = await lone_tenant.token(scopes=ALL)
    await token.problem("POST", path, 403, "insufficient_scope", body)
    other = await lone_house.tenant()
    await other.admin.problem("POST", path, 404, "not_found", body)


async def test_an_idempotency_key_is_refused(lone_tenant: Tenant) -> None:
    """Rather than ignored: there is no answer to give again."""
    path, body = f"{lone_tenant.path}/user-tokens", {"user_id": "user-1"}
    for key in ("k", ""):
        headers = {"idempotency-key": key}
        await lone_tenant.member.problem("POST", path, 422, "invalid_idempotency_key", body, headers=headers)


async def test_a_token_is_bound_to_what_is_there(house: House, tenant: Tenant) -> None:
    path = f"{tenant.path}/user-tokens"
    own, theirs = await tenant.converse("user-1"), await tenant.converse("user-2")
    other = await house.tenant()
    elsewhere = await other.converse("user-1")
    for bound in (
        {"conversation_id": theirs},
        {"conversation_id": elsewhere},
        {"conversation_id": str(new_id())},
        {"conversation_id": own, "employee_id": tenant.clerk},
        {"employee_id": other.employee},
        {"employee_id": str(new_id())},
    ):
        await tenant.member.problem("POST", path, 404, "not_found", {"user_id": "user-1", **bound})
    for bound in ({"conversation_id": own}, {"conversation_id": own, "employee_id": tenant.employee}):
        made = await tenant.member.call("POST", path, {"user_id": "user-1", **bound}, status=201)
        assert {name: made[name] for name in bound} == bound


async def test_a_token_ends_with_its_key(house: House, tenant: Tenant) -> None:
    backend = await tenant.key("member")
    token, other = await tenant.token(by=backend), await tenant.token(by=tenant.member)
    await token.call("GET", "/conversations")
    await tenant.admin.call("DELETE", f"{tenant.path}/api-keys/{backend.key_id}", status=204)
    await token.problem("GET", "/conversations", 401, "unauthenticated")
    await other.call("GET", "/conversations")


async def test_a_token_that_was_altered_opens_nothing(lone_house: House, lone_tenant: Tenant) -> None:
    """In the last place that anybody would look for it: with a checksum that fits."""
    token = str((await lone_tenant.token()).credential)
    text = read_key_text(token.encode())
    assert text is not None
    for place in (0, 1, 40, len(text.secret) // 2, len(text.secret) - 1):
        letter = "a" if text.secret[place] != "a" else "b"
        altered = KeyText("user", text.id, text.secret[:place] + letter + text.secret[place + 1 :]).write()
        await lone_house.caller(altered).problem("GET", "/conversations", 401, "unauthenticated")
    for other in (KeyText("user", new_id(), text.secret), KeyText("key", text.id, text.secret)):
        await lone_house.caller(other.write()).problem("GET", "/conversations", 401, "unauthenticated")


async def test_another_user_s_words_are_not_in_the_way(house: House, tenant: Tenant) -> None:
    """Users choose their idempotency keys on their own, and so does the tenant's backend."""
    headers = {"idempotency-key": "k-1"}
    one, two = await tenant.token("user-1"), await tenant.token("user-2")
    made = []
    for caller, user in ((one, "user-1"), (two, "user-2"), (tenant.member, "user-1")):
        body = {"employee_id": tenant.employee, "user_id": user}
        made.append(await caller.call("POST", "/conversations", body, status=201, headers=headers))
        again = await caller.ask("POST", "/conversations", body, headers=headers)
        assert again.json() == made[-1]
        assert again.headers["idempotency-replayed"] == "true"
    assert len({each["id"] for each in made}) == 3
    narrow = await tenant.token("user-1", employee_id=tenant.clerk)
    body = {"employee_id": tenant.employee, "user_id": "user-1"}
    await narrow.problem("POST", "/conversations", 404, "not_found", body, headers=headers)


async def test_the_longest_user_id_makes_a_token_that_opens(lone_house: House, lone_tenant: Tenant) -> None:
    user = "\x01" * 254 + "ü"
    own = await lone_tenant.converse(user)
    token = await lone_tenant.token(user, scopes=ALL, conversation_id=own, employee_id=lone_tenant.employee)
    assert [each["id"] for each in await token.call("GET", "/conversations")] == [own]
