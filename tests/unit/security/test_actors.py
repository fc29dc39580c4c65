"""Who acts in a request, as the audit trail is told."""

from typing import Any

import httpx2
import pytest

from retinue.domain.audit import SYSTEM, Actor, acting
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal
from tests.unit.http.conftest import LOCAL, small_app

KEY = "operator-key"


def client_of(operator_key: str | None) -> httpx2.AsyncClient:
    """In the test's own context, as a server may serve several requests in one."""
    app: Any = small_app(operator_key)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=LOCAL)


@pytest.mark.parametrize(("operator_key", "kind"), [(KEY, "operator"), (None, "anonymous")])
async def test_whoever_asks_acts(operator_key: str | None, kind: str) -> None:
    headers = {"x-api-key": KEY, "x-request-id": "r-1"}
    async with client_of(operator_key) as client:
        answer = (await client.get("/acting", headers=headers)).json()
    assert answer == {"kind": kind, "id": "", "request_id": "r-1"}


async def test_every_request_has_an_id_of_its_own() -> None:
    async with client_of(None) as client:
        ids = [(await client.get("/acting")).json()["request_id"] for _ in range(2)]
    assert all(ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("path", ["/acting", "/boom", "/things/x", "/nowhere"])
async def test_nobody_acts_after_the_request(path: str) -> None:
    async with client_of(KEY) as client:
        await client.get(path, headers={"x-api-key": KEY})
        assert acting.get() is SYSTEM
        assert (await client.get("/acting-in-public")).json()["kind"] == "system"


async def test_a_request_does_not_act_for_the_one_before() -> None:
    before = acting.set(Actor(kind="operator", request_id="old"))
    try:
        async with client_of(KEY) as client:
            assert (await client.get("/acting-in-public")).json() == {"kind": "system", "id": "", "request_id": None}
            assert (await client.get("/acting")).status_code == 401
        assert acting.get().request_id == "old"
    finally:
        acting.reset(before)


@pytest.mark.parametrize("principal", [OPERATOR, ANONYMOUS])
def test_a_principal_is_named_like_its_actor(principal: Principal) -> None:
    assert principal.name == principal.kind
    assert principal.actor("r") == Actor(kind=principal.kind, request_id="r")
