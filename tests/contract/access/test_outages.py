"""Without a database nobody knows who somebody is: that is said, and nobody is taken for somebody else."""

import asyncio
from pathlib import Path

import pytest

from retinue.db.session import Database
from retinue.domain.ids import new_id
from retinue.security.key_text import KeyText, make_key, read_key_text
from tests.contract.access.house import House, Tenant
from tests.support.roles import is_postgresql, open_database


@pytest.fixture
def nowhere(migrated_url: str, tmp_path: Path) -> Database:
    """A database that does not answer."""
    gone = tmp_path / "gone"
    url = (
        f"postgresql+asyncpg://nobody@/none?host={gone}"
        if is_postgresql(migrated_url)
        else f"sqlite+aiosqlite:///{gone}/x"
    )
    return open_database(url)


def cut(house: House, database: Database) -> None:
    access = house.application._access
    access.book._database = access.authenticator._database = database
    access.book._keys.forget_all()


async def test_it_is_503_and_neither_401_nor_200(house: House, tenant: Tenant, nowhere: Database) -> None:
    there = house.application._database
    token = await tenant.token()
    cut(house, nowhere)
    callers = [tenant.admin, tenant.viewer, token, house.caller(make_key(new_id()).write())]
    for caller in callers:
        for method, path in (("GET", tenant.path), ("GET", "/conversations"), ("DELETE", tenant.path)):
            answer = await caller.ask(method, path)
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable"), answer.text
            assert answer.json()["retryable"] is True
    await house.caller("rtn_key_nonsense").problem("GET", "/conversations", 401, "unauthenticated")
    await house.operator.problem("GET", f"/tenants/{new_id()}", 404, "not_found")
    cut(house, there)
    for caller in callers[:2]:
        await caller.call("GET", tenant.path)
    await token.call("GET", "/conversations")
    await callers[3].problem("GET", "/conversations", 401, "unauthenticated")


async def test_a_process_that_started_without_its_secrets_gets_them_later(
    house: House, tenant: Tenant, nowhere: Database
) -> None:
    there, access = house.application._database, house.application._access
    token = await tenant.token()
    access.authenticator._secrets = None
    cut(house, nowhere)
    await access.start()
    for caller in (tenant.admin, token):
        await caller.problem("GET", "/conversations", 503, "storage_unavailable")
    await tenant.admin.problem(
        "POST", f"{tenant.path}/api-keys", 503, "storage_unavailable", {"name": "x", "role": "viewer"}
    )
    cut(house, there)
    for caller in (tenant.admin, token):
        await caller.call("GET", "/conversations")


async def test_a_forged_token_is_refused_without_asking(house: House, tenant: Tenant, nowhere: Database) -> None:
    text = read_key_text(str((await tenant.token()).credential).encode())
    assert text is not None
    cut(house, nowhere)
    forged = house.caller(KeyText("user", new_id(), text.secret).write())
    await forged.problem("GET", "/conversations", 401, "unauthenticated")


async def test_uses_wait_for_the_database(house: House, tenant: Tenant, nowhere: Database) -> None:
    there, book = house.application._database, house.application._access.book
    await tenant.viewer.call("GET", tenant.path)
    used = set(book._used)
    assert used
    cut(house, nowhere)
    await book.write_uses()
    assert book._used == used
    cut(house, there)
    await book.write_uses()
    assert book._used == set()
    shown = await tenant.admin.call("GET", f"{tenant.path}/api-keys/{tenant.viewer.key_id}")
    assert shown["last_used_at"] is not None


async def test_uses_are_not_lost_by_a_write_that_is_cancelled(house: House, tenant: Tenant) -> None:
    """As when the process stops in the middle of it: it writes once more then."""
    await tenant.viewer.call("GET", tenant.path)
    book = house.application._access.book
    writing = asyncio.create_task(book.write_uses())
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await book.write_uses()
    shown = await tenant.admin.call("GET", f"{tenant.path}/api-keys/{tenant.viewer.key_id}")
    assert shown["last_used_at"] is not None
