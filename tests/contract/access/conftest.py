"""The product on each database."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.access.house import House, Tenant, open_house


@pytest.fixture
async def house(migrated_url: str) -> AsyncIterator[House]:
    async with open_house(migrated_url) as house:
        yield house


@pytest.fixture
async def tenant(house: House) -> Tenant:
    return await house.tenant()


@pytest.fixture
async def lone_house(migrated_file: Path, tmp_path: Path) -> AsyncIterator[House]:
    """On SQLite only, for what no database has a part in."""
    shutil.copy(migrated_file, tmp_path / "lone.db")
    async with open_house(f"sqlite+aiosqlite:///{tmp_path / 'lone.db'}") as house:
        yield house


@pytest.fixture
async def lone_tenant(lone_house: House) -> Tenant:
    return await lone_house.tenant()
