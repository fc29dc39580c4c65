"""Which pages may read an answer, as far as no database is asked."""

from typing import Any
from uuid import UUID

import pytest
from litestar.types import Message

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.http.cors import MAX_ORIGIN_LENGTH, Cors, Preflights
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal

PAGE = "https://app.example.com"
TENANT, OTHER = new_id(), new_id()
OWN = Principal(kind="key", scopes=frozenset(), tenant_id=TENANT)
FOREIGN = Principal(kind="user", scopes=frozenset(), tenant_id=OTHER)


class World:
    """One tenant has listed one page."""

    def __init__(self, listed: str = PAGE) -> None:
        self.listed = {(listed, TENANT), (listed, None)}
        self.asked: list[tuple[str, UUID | None]] = []
        self.is_out = False

    async def is_listed(self, origin: str, tenant_id: UUID | None) -> bool:
        self.asked.append((origin, tenant_id))
        if self.is_out:
            raise Unavailable
        return (origin, tenant_id) in self.listed

    async def ask(
        self, *origins: str | bytes, principal: Principal | None = OWN, method: str = "GET", status: int = 200
    ) -> dict[str, list[str]]:
        """The headers of the answer, by name; `status` among them."""
        headers = [(b"origin", each if isinstance(each, bytes) else each.encode()) for each in origins]
        if method == "OPTIONS":
            headers.append((b"access-control-request-method", b"POST"))
        scope: Any = {"type": "http", "method": method, "headers": headers}
        found: dict[str, list[str]] = {}

        async def app(scope: Any, _: Any, send: Any) -> None:
            if principal is not None:
                scope["user"] = principal
            await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                found.setdefault("status", []).append(str(message["status"]))
                for name, value in message.get("headers", ()):
                    found.setdefault(name.decode(), []).append(value.decode())

        edge: Any = Cors(Preflights(app, self.is_listed), self.is_listed)
        await edge(scope, _nothing, send)
        return found


async def _nothing() -> Any:
    raise AssertionError


def allowed(headers: dict[str, list[str]]) -> list[str]:
    return headers.get("access-control-allow-origin", [])


async def test_a_listed_page_may_read_the_answer() -> None:
    found = await World().ask(PAGE)
    assert allowed(found) == [PAGE]
    assert found["vary"] == ["Origin"]
    [exposed] = found["access-control-expose-headers"]
    assert {"Retry-After", "Link", "X-Request-ID", "RateLimit-Remaining"} <= set(exposed.split(", "))
    assert found["x-own"] == ["1"]
    assert not any("credentials" in name for name in found)


@pytest.mark.parametrize("principal", [FOREIGN, OPERATOR])
async def test_nobody_else_s_answer_can_be_read(principal: Principal) -> None:
    found = await World().ask(PAGE, principal=principal)
    assert allowed(found) == []
    assert "access-control-expose-headers" not in found
    assert found["vary"] == ["Origin"]


@pytest.mark.parametrize("principal", [None, ANONYMOUS])
async def test_as_long_as_nobody_is_known_any_tenant_s_list_counts(principal: Principal | None) -> None:
    assert allowed(await World().ask(PAGE, principal=principal, status=401)) == [PAGE]
    assert allowed(await World().ask("https://other.example.com", principal=principal, status=401)) == []


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "NULL",
        "*",
        "",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.com:443",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://app.example.com@evil.example",
        f"{PAGE} {PAGE}",
        f"{PAGE}, https://evil.example",
        f"{PAGE}\t",
        "https://äpp.example.com",
        b"https://app.example.com\xff",
        "https://" + "a" * MAX_ORIGIN_LENGTH,
    ],
)
async def test_an_odd_origin_is_none(origin: str | bytes) -> None:
    world = World()
    for principal in (OWN, None):
        assert allowed(await world.ask(origin, principal=principal)) == []
    found = await world.ask(origin, method="OPTIONS")
    assert allowed(found) == []
    assert "access-control-allow-methods" not in found


async def test_several_origins_are_none() -> None:
    for origins in ((PAGE, PAGE), (PAGE, "https://evil.example"), ("https://evil.example", PAGE)):
        for method in ("GET", "OPTIONS"):
            found = await World().ask(*origins, method=method)
            assert allowed(found) == []
            assert found["vary"] == ["Origin"]


async def test_without_an_origin_nobody_is_asked() -> None:
    world = World()
    found = await world.ask()
    assert (world.asked, found["vary"], allowed(found)) == ([], ["Origin"], [])


async def test_a_listed_page_s_preflight_is_answered() -> None:
    found = await World().ask(PAGE, method="OPTIONS", principal=None)
    assert (found["status"], allowed(found)) == (["204"], [PAGE])
    assert set(found["access-control-allow-methods"][0].split(", ")) == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    sent = {"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-API-Key", "X-Request-ID"}
    assert set(found["access-control-allow-headers"][0].split(", ")) == sent
    assert "x-own" not in found, "the application is not asked"
    assert "*" not in str(found)


async def test_another_page_s_preflight_is_not() -> None:
    found = await World().ask("https://evil.example", method="OPTIONS", principal=None, status=401)
    assert (found["status"], allowed(found), found["x-own"]) == (["401"], [], ["1"])


async def test_without_a_database_no_page_reads_anything() -> None:
    world = World()
    world.is_out = True
    for method in ("GET", "OPTIONS"):
        found = await world.ask(PAGE, method=method, status=503)
        assert (found["status"], allowed(found)) == (["503"], [])


async def test_what_is_no_request_passes_through() -> None:
    seen: list[Any] = []

    async def app(scope: Any, _: Any, __: Any) -> None:
        seen.append(scope)

    edge: Any = Cors(Preflights(app, World().is_listed), World().is_listed)
    await edge({"type": "lifespan"}, _nothing, _nothing)
    assert seen == [{"type": "lifespan"}]
