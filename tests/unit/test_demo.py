"""The demo tenant: made once, and found again."""

import io
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import click
import httpx2
import msgspec
import pytest

from retinue import demo
from retinue.__main__ import _decider
from retinue.app import open_keyring
from retinue.crypto import Keyring
from retinue.db import migrations
from retinue.db.session import Database
from retinue.domain.audit import AuditEntry
from retinue.domain.employees import Employee
from retinue.domain.ids import new_id
from retinue.domain.policy import Permission
from retinue.domain.shop import Order, OrderStatus
from retinue.domain.tenants import SecretState, StoredConfig
from retinue.http.pagination import encode_cursor
from retinue.runs.context import api_key_place
from retinue.server import url_of
from retinue.settings import Settings, load

KEY = "sk-of-the-customer-1234"


@pytest.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    settings = load(environ={"RETINUE_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"})
    await migrations.upgrade(settings.database.url)
    return settings


async def configure(settings: Settings, tenant: demo.Seed, keyring: Keyring) -> StoredConfig:
    """What the customer does with the tenant between two starts."""
    database = Database.connect(settings.database.url)
    async with database.unit(tenant.tenant_id) as unit:
        current = await unit.config.get()
        assert current is not None
        config = msgspec.structs.replace(
            current.config, llm_provider="openai", llm_model="own", llm_api_key=SecretState(set=True, last4="1234")
        )
        stored = StoredConfig(config=config, sealed_api_key=keyring.seal(KEY, api_key_place(config)))
        await unit.config.put(stored)
    await database.aclose()
    return stored


async def stored_config(settings: Settings, tenant: demo.Seed) -> StoredConfig | None:
    database = Database.connect(settings.database.url)
    async with database.unit(tenant.tenant_id, read_only=True) as unit:
        stored = await unit.config.get()
    await database.aclose()
    return stored


async def test_a_first_start_answers_offline(settings: Settings) -> None:
    seed = await demo.seed(settings)
    assert (seed.provider, seed.employee) == ("scripted", "Ada")


async def test_a_later_start_leaves_the_provider_and_its_key_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await configure(settings, await demo.seed(settings), open_keyring(settings))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-environment")
    again = await demo.seed(settings)
    assert (again.provider, again.model) == ("openai", "own")
    kept = await stored_config(settings, again)
    assert kept is not None
    assert (kept.config, kept.sealed_api_key) == (own.config, own.sealed_api_key)


Rows = tuple[Sequence[Employee], Sequence[Order], Sequence[AuditEntry]]


async def rows(settings: Settings, tenant: demo.Seed) -> Rows:
    database = Database.connect(settings.database.url)
    async with database.unit(tenant.tenant_id, read_only=True) as unit:
        found = (
            await unit.employees.list(limit=10),
            await unit.shop.orders(limit=10),
            await unit.audit.list(limit=10),
        )
    await database.aclose()
    return found


async def test_the_employee_can_do_the_work_of_the_shop(settings: Settings) -> None:
    seed = await demo.seed(settings)
    [ada], orders, _ = await rows(settings, seed)
    assert ada.permission is Permission.WRITE
    assert {"get_order_status", "cancel_order", "generate_coupon"} <= set(ada.tools)
    assert {order.status for order in orders} == set(OrderStatus)
    assert orders[0].id in demo.QUESTION


async def test_a_later_start_leaves_orders_and_employees_alone(settings: Settings) -> None:
    seed = await demo.seed(settings)
    database = Database.connect(settings.database.url)
    async with database.unit(seed.tenant_id) as unit:
        order = await unit.shop.order("1043")
        assert order is not None
        await unit.shop.update_order(msgspec.structs.replace(order, status=OrderStatus.CANCELLED))
    await database.aclose()
    before = await rows(settings, seed)
    again = await demo.seed(settings)
    employees, orders, entries = await rows(settings, again)
    assert (employees, orders) == before[:2]
    assert [entry.action for entry in entries] == ["conversation.created", *(entry.action for entry in before[2])]


async def test_what_a_start_makes_stands_in_the_audit_trail(settings: Settings) -> None:
    seed = await demo.seed(settings)
    _, _, entries = await rows(settings, seed)
    assert [entry.action for entry in entries] == ["conversation.created", "employee.created", "config.updated"]
    assert {entry.actor for entry in entries} == {"system:demo"}
    database = Database.connect(settings.database.url)
    async with database.operator() as operator:
        [created] = await operator.audit.list(limit=10)
    await database.aclose()
    assert (created.action, created.object_id) == ("tenant.created", str(seed.tenant_id))


def test_the_banner_shows_how_to_talk_and_how_to_decide() -> None:
    seed = demo.Seed(tenant_id=new_id(), conversation_id=new_id(), employee="Ada", provider="p", model="m")
    shown = demo.banner("http://h", seed, is_open=True)
    assert f"/conversations/{seed.conversation_id}/messages/stream" in shown
    assert f"/approvals/pending?tenant_id={seed.tenant_id}" in shown
    assert demo.QUESTION in shown
    assert "Bearer" not in shown
    closed = demo.banner("http://h", seed, is_open=False).splitlines()
    assert all("Bearer $RETINUE_OPERATOR_KEY" in line for line in closed if "curl" in line)


def undecided(_: dict[str, Any]) -> None:
    return None


async def talk(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx2.Request], httpx2.Response],
    decide: demo.Decide = undecided,
    out: io.BytesIO | None = None,
) -> str:
    """One turn against a server that answers like that; what was printed."""

    def client(**options: Any) -> httpx2.AsyncClient:
        return made(**options, transport=httpx2.MockTransport(answer))

    made = httpx2.AsyncClient
    monkeypatch.setattr(httpx2, "AsyncClient", client)
    out = out or io.BytesIO()
    await demo.talk("http://127.0.0.1:1", "Hi", "", out, decide)
    return out.getvalue().decode()


class Server:
    """Lists one tenant per page, and ends its streams one after the other with the given frames."""

    def __init__(self, slugs: list[str], employees: list[dict[str, Any]], *ends: dict[str, Any]) -> None:
        self.tenants = [{"id": str(new_id()), "slug": slug} for slug in slugs]
        self.employees = employees
        self.ends = list(ends) or [end("completed")]
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1")
        if path == "/tenants":
            page = int(request.url.params.get("page", 0))
            target = f"/api/v1/tenants?limit=200&cursor={encode_cursor(new_id())}&page={page + 1}"
            headers = {"link": f'<{target}>; rel="next"'} if page + 1 < len(self.tenants) else {}
            return httpx2.Response(200, json=self.tenants[page : page + 1], headers=headers)
        if path == "/employees":
            return httpx2.Response(200, json=self.employees)
        if path == "/conversations":
            return httpx2.Response(201, json={"id": str(new_id())})
        if path.startswith("/approvals"):
            self.asked.append(f"{request.method} {path}")
            return httpx2.Response(200, json={"message": "Really?", "reason": "It matters."})
        self.asked.append(path.rsplit("/", 2)[-2])
        return httpx2.Response(200, content=frames(self.ends.pop(0)))


def end(status: str, *approvals: str) -> dict[str, Any]:
    return {"type": "message_end", "run_id": "r1", "status": status, "approval_ids": approvals}


async def frames(end: dict[str, Any]) -> AsyncIterator[bytes]:
    """In pieces that fit no line."""
    text = b"id: 1\nevent: token\ndata: {}\n\nevent: message_end\ndata: " + msgspec.json.encode(end) + b"\n\n"
    for start in range(0, len(text), 7):
        yield text[start : start + 7]


ADA = [{"id": "e1"}]


async def test_each_approval_is_decided_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = [end("waiting_for_approval", "a1", "a2"), end("waiting_for_approval", "a2")]
    server = Server(["demo"], ADA, *waits, end("completed"))
    decisions: list[Literal["allow_once", "deny"]] = ["allow_once", "deny"]
    shown = await talk(monkeypatch, server, lambda _: decisions.pop(0))
    assert server.asked == [
        "messages",
        *("GET /approvals/a1", "POST /approvals/a1/allow_once", "continue"),
        *("GET /approvals/a2", "POST /approvals/a2/deny", "continue"),
    ]
    assert shown.count("event: message_end") == 3


async def test_what_nobody_decides_stays_undecided_and_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(["demo"], ADA, end("waiting_for_approval", "a1"))
    shown = await talk(monkeypatch, server)
    assert server.asked == ["messages", "GET /approvals/a1"]
    assert "Really? Nobody has decided yet." in shown
    assert "curl -X POST http://127.0.0.1:1/api/v1/approvals/a1/allow_once" in shown
    assert "http://127.0.0.1:1/api/v1/runs/r1/continue/stream" in shown


@pytest.mark.parametrize(
    ("last", "said"), [(end("failed"), "did not complete: failed"), ({"type": "token"}, "broke off")]
)
async def test_a_turn_that_ends_otherwise_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, last: dict[str, Any], said: str
) -> None:
    with pytest.raises(demo.DemoFailed, match=said):
        await talk(monkeypatch, Server(["demo"], ADA, last))


@pytest.mark.parametrize(
    ("allow", "terminal", "decision"),
    [(True, False, "allow_once"), (False, False, "deny"), (None, False, None), (None, True, "allow_once")],
)
def test_who_decides_in_the_demo(
    monkeypatch: pytest.MonkeyPatch, allow: bool | None, terminal: bool, decision: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: True)
    assert _decider(allow)({"message": "Really?", "reason": "It matters."}) == decision


async def test_the_demo_tenant_is_looked_for_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(["a", "b", "demo"], ADA)
    assert "completed" in await talk(monkeypatch, server)


async def test_no_demo_tenant_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(demo.DemoFailed, match="no demo tenant"):
        await talk(monkeypatch, Server(["a", "b"], []))


async def test_a_demo_tenant_without_employees_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(demo.DemoFailed, match="Nobody works for the demo tenant"):
        await talk(monkeypatch, Server(["demo"], []))


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")])
def test_an_address_becomes_a_url(host: str, expected: str) -> None:
    assert url_of(host, 8000) == expected
