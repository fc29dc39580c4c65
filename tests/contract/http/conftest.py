"""Clients of the API."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from retinue.db.session import Database
from retinue.domain.errors import EgressRefused, InvalidRequest, ProviderAuth
from retinue.domain.model_io import Capabilities, ModelRequest
from retinue.providers.base import ProviderConfig
from tests.contract.http.api import Calls, Client, client_of
from tests.contract.http.stage import stage
from tests.support.roles import open_database


class FakeProvider:
    def __init__(self, config: ProviderConfig, checked: list[ModelRequest]) -> None:
        self.config = config
        self.checked = checked
        self.capabilities = Capabilities(
            streams_reasoning=False,
            calls_tools=False,
            reports_usage=False,
            takes_temperature=config.model != "without-temperature",
        )

    async def check(self, request: ModelRequest) -> None:
        self.checked.append(request)
        if self.config.api_key == "refused-key-1234567890":
            raise ProviderAuth


class FakeProviders:
    """Knows `fake`, and refuses internal addresses."""

    def __init__(self) -> None:
        self.opened: list[ProviderConfig] = []
        self.checked: list[ModelRequest] = []

    def validate(self, config: ProviderConfig) -> None:
        if config.provider != "fake":
            raise InvalidRequest(code="unknown_provider")
        if config.base_url is not None and "10." in config.base_url:
            raise EgressRefused

    def open(self, config: ProviderConfig) -> FakeProvider:
        self.validate(config)
        self.opened.append(config)
        return FakeProvider(config, self.checked)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.aclose()


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    async with opened(migrated_url) as database:
        yield database


@pytest.fixture
def providers() -> FakeProviders:
    return FakeProviders()


@pytest.fixture
async def client(database: Database, providers: FakeProviders) -> AsyncIterator[Client]:
    """The API on an empty database, once on SQLite and once on PostgreSQL."""
    async with client_on(database, providers) as client:
        yield client


@pytest.fixture
async def lone_database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated_file, tmp_path / "lone.db")
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'lone.db'}") as database:
        yield database


@pytest.fixture
async def lone_client(lone_database: Database, providers: FakeProviders) -> AsyncIterator[Client]:
    """The API on SQLite only, for answers in which no database has a part."""
    async with client_on(lone_database, providers) as client:
        yield client


@asynccontextmanager
async def client_on(database: Database, providers: FakeProviders) -> AsyncIterator[Client]:
    calls = Calls()
    async with client_of(stage().set(database, providers, calls)) as http:
        yield Client(http, calls)
