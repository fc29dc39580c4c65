"""The demo tenant: made once, and found again."""

import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from retinue import demo
from retinue.app import open_keyring
from retinue.crypto import Keyring
from retinue.db import migrations
from retinue.db.session import Database
from retinue.domain.ids import new_id
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


async def talk(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx2.Request], httpx2.Response]) -> str:
    """One turn against a server that answers like that; what was printed."""

    def client(**options: Any) -> httpx2.AsyncClient:
        return made(**options, transport=httpx2.MockTransport(answer))

    made = httpx2.AsyncClient
    monkeypatch.setattr(httpx2, "AsyncClient", client)
    out = io.BytesIO()
    await demo.talk("http://127.0.0.1:1", "Hi", "", out)
    return out.getvalue().decode()


class Server:
    """Lists one tenant per page."""

    def __init__(self, slugs: list[str], employees: list[dict[str, Any]]) -> None:
        self.tenants = [{"id": str(new_id()), "slug": slug} for slug in slugs]
        self.employees = employees

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/api/v1/tenants":
            page = int(request.url.params.get("page", 0))
            target = f"/api/v1/tenants?limit=200&cursor={encode_cursor(new_id())}&page={page + 1}"
            headers = {"link": f'<{target}>; rel="next"'} if page + 1 < len(self.tenants) else {}
            return httpx2.Response(200, json=self.tenants[page : page + 1], headers=headers)
        if path == "/api/v1/employees":
            return httpx2.Response(200, json=self.employees)
        if path == "/api/v1/conversations":
            return httpx2.Response(201, json={"id": str(new_id())})
        return httpx2.Response(200, content=frames())


async def frames() -> AsyncIterator[bytes]:
    yield b'data: {"status":"completed"}\n\n'


async def test_the_demo_tenant_is_looked_for_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(["a", "b", "demo"], [{"id": str(new_id())}])
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
