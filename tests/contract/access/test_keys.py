"""A key's life, over HTTP."""

import re
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.security.key_text import KeyText, make_key, read_key_text
from tests.contract.access.house import Caller, House, Tenant

FORMAT = re.compile(r"rtn_key_[0-9a-f]{32}_[0-9a-f]{48}_[0-9a-f]{8}")
ENDED = ("unauthenticated", "This key is not valid.")


async def refused(caller: Caller, path: str) -> None:
    """As if it had never existed."""
    response = await caller.ask("GET", path)
    assert (response.status_code, response.json()["code"], response.json()["detail"]) == (401, *ENDED)
    assert response.headers["www-authenticate"] == 'Bearer realm="retinue"'


async def test_a_key_is_shown_once_and_told_of_ever_after(house: House, tenant: Tenant) -> None:
    keys = f"{tenant.path}/api-keys"
    body = {"name": "Shop", "role": "viewer", "expires_in_seconds": 3600}
    made = await tenant.admin.call("POST", keys, body, status=201)
    assert FORMAT.fullmatch(made["key"])
    text = read_key_text(made["key"].encode())
    assert text is not None
    assert (str(text.id), text.last4, made["tenant_id"]) == (made["id"], made["last4"], tenant.id)
    assert made["created_by"] == f"key:{tenant.admin.key_id}"
    read = await tenant.admin.call("GET", f"{keys}/{made['id']}")
    assert read == {name: value for name, value in made.items() if name != "key"}
    listed = await house.operator.call("GET", keys)
    assert [key["role"] for key in listed] == ["admin", "member", "viewer", "viewer"]
    assert listed[-1] == read
    assert not any("key" in each or "digest" in each for each in listed)
    first = await house.operator.ask("GET", f"{keys}?limit=3")
    assert [key["id"] for key in first.json()] == [key["id"] for key in listed[:3]]
    assert 'rel="next"' in first.headers["link"]


async def test_a_repeated_request_makes_one_key_and_shows_it_once(house: House, tenant: Tenant) -> None:
    keys, headers = f"{tenant.path}/api-keys", {"idempotency-key": "k"}
    body = {"name": "Shop", "role": "member"}
    made = await tenant.admin.call("POST", keys, body, status=201, headers=headers)
    again = await tenant.admin.ask("POST", keys, body, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == {**made, "key": None}
    await tenant.admin.problem("POST", keys, 422, "idempotency_key_reused", {**body, "role": "admin"}, headers=headers)
    new = await tenant.admin.call("POST", f"{keys}/{made['id']}/rotate", {}, status=201, headers=headers)
    repeated = await tenant.admin.call("POST", f"{keys}/{made['id']}/rotate", {}, status=201, headers=headers)
    assert repeated == {**new, "key": None}
    assert len(await house.operator.call("GET", keys)) == 5


async def test_two_keys_live_side_by_side_until_the_grace_is_over(house: House, tenant: Tenant) -> None:
    path = f"{tenant.path}/api-keys/{tenant.member.key_id}/rotate"
    made = await tenant.admin.call("POST", path, {"grace_seconds": 3600}, status=201)
    assert (made["rotated_from"], made["role"], made["name"]) == (tenant.member.key_id, "member", "member")
    new = house.caller(made["key"], key_id=made["id"])
    for caller in (tenant.member, new):
        await caller.call("GET", tenant.path)
    old = await tenant.admin.call("GET", f"{tenant.path}/api-keys/{tenant.member.key_id}")
    assert old["expires_at"] is not None
    await tenant.admin.call("POST", path, {"grace_seconds": 0}, status=201)
    await refused(tenant.member, tenant.path)
    await new.call("GET", tenant.path)
    await tenant.admin.problem("POST", path, 409, "key_ended", {})


async def test_a_key_may_rotate_itself(house: House, tenant: Tenant) -> None:
    path = f"{tenant.path}/api-keys/{tenant.admin.key_id}/rotate"
    made = await tenant.admin.call("POST", path, {"grace_seconds": 0}, status=201)
    await refused(tenant.admin, tenant.path)
    await house.caller(made["key"]).call("GET", f"{tenant.path}/api-keys")


async def test_a_revoked_key_opens_nothing_from_the_answer_on(house: House, tenant: Tenant) -> None:
    await tenant.member.call("GET", tenant.path)
    token = await tenant.token()
    await token.call("GET", "/conversations")
    path = f"{tenant.path}/api-keys/{tenant.member.key_id}"
    for _ in range(2):
        await tenant.admin.call("DELETE", path, status=204)
        await refused(tenant.member, tenant.path)
        await refused(token, "/conversations")
    shown = await tenant.admin.call("GET", path)
    assert shown["revoked_at"] is not None
    await tenant.admin.problem("POST", f"{path}/rotate", 409, "key_ended", {})
    await tenant.viewer.call("GET", tenant.path)
    actions = [entry["action"] for entry in await tenant.admin.call("GET", "/audit?action=api_key.revoked")]
    assert actions == ["api_key.revoked"], "a second time changes nothing"


async def test_a_key_of_a_deleted_tenant_opens_nothing(house: House, tenant: Tenant) -> None:
    token = await tenant.token()
    await house.operator.call("DELETE", tenant.path, status=204)
    house.application._access.book._keys.forget_all()
    for caller in (tenant.admin, tenant.member, tenant.viewer, token):
        await refused(caller, "/conversations")
        await refused(caller, tenant.path)
    await house.operator.problem("GET", f"{tenant.path}/api-keys", 404, "not_found")


async def test_what_is_not_a_key_to_the_letter_opens_nothing(lone_house: House, lone_tenant: Tenant) -> None:
    house, tenant = lone_house, lone_tenant
    key = str(tenant.admin.credential)
    text = read_key_text(key.encode())
    assert text is not None
    stranger = make_key(new_id())
    wrong = [
        KeyText("key", text.id, stranger.secret).write(),
        KeyText("key", text.id, text.secret[:-1] + ("0" if text.secret[-1] != "0" else "1")).write(),
        KeyText("user", text.id, text.secret).write(),
        KeyText("key", UUID(tenant.member.key_id), text.secret).write(),
        stranger.write(),
        key.upper(),
        key[:-1],
        key + "0",
        key.replace("rtn_", "rtn-"),
        text.secret,
        text.id.hex,
        "x" * 4096,
        "x" * 4097,
        "rtn_key_",
        f"{key},{key}",
        f"{key}\t{key}",
        "ключ",
    ]
    for credential in wrong:
        for header in ({"x-api-key": credential}, {"authorization": f"Bearer {credential}"}):
            raw = [(name.encode(), value.encode()) for name, value in header.items()]
            response = await house.http.get(f"/api/v1{tenant.path}", headers=raw)
            assert response.status_code == 401, credential
            assert credential[:40] not in response.text
    for padded in (f" {key}", f"{key} ", f"\t{key}"):
        response = await house.http.get(f"/api/v1{tenant.path}", headers=[(b"x-api-key", padded.encode())])
        assert response.status_code == 200, "blanks around a header's value are no part of it"


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"name": "x", "role": "operator"}, {"name": "", "role": "admin"}])
async def test_a_key_has_a_name_and_a_role(lone_tenant: Tenant, body: dict[str, Any]) -> None:
    await lone_tenant.admin.problem("POST", f"{lone_tenant.path}/api-keys", 422, "validation_failed", body)


async def test_lifetimes_have_bounds(lone_tenant: Tenant) -> None:
    keys = f"{lone_tenant.path}/api-keys"
    for field, values in {"expires_in_seconds": (0, 59, -1, 10**12, 60.5, "60")}.items():
        for value in values:
            body = {"name": "x", "role": "viewer", field: value}
            await lone_tenant.admin.problem("POST", keys, 422, "validation_failed", body)
    rotate = f"{keys}/{lone_tenant.viewer.key_id}/rotate"
    for grace in (-1, 31 * 86_400, None, "0"):
        await lone_tenant.admin.problem("POST", rotate, 422, "validation_failed", {"grace_seconds": grace})
    for change in ({"role": "admin"}, {"name": "x"}):
        await lone_tenant.admin.problem("POST", rotate, 422, "validation_failed", change)
        await lone_tenant.admin.problem(
            "PATCH", f"{keys}/{lone_tenant.viewer.key_id}", 405, "method_not_allowed", change
        )


async def test_another_tenant_s_key_is_not_there(house: House, tenant: Tenant) -> None:
    other = await house.tenant()
    for path in (f"{tenant.path}/api-keys/{other.admin.key_id}", f"{tenant.path}/api-keys/{new_id()}"):
        for caller in (tenant.admin, house.operator):
            problems = [
                await caller.problem("GET", path, 404, "not_found"),
                await caller.problem("DELETE", path, 404, "not_found"),
                await caller.problem("POST", f"{path}/rotate", 404, "not_found", {}),
            ]
            assert len({problem["detail"] for problem in problems}) == 1
    await other.admin.call("GET", other.path)
