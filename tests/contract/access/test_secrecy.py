"""A key goes out once and is nowhere afterwards."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.tables import Base
from retinue.security.key_text import read_key_text
from tests.contract.access.house import House, Tenant
from tests.support.roles import superuser_url

PATHS = ("/audit?limit=200", "/usage?group_by=day", "/audit/verify", "/conversations", "/employees", "/tools")


async def made(house: House, tenant: Tenant) -> list[str]:
    """Every key and token that somebody can have, as it was shown."""
    keys, headers = f"{tenant.path}/api-keys", {"idempotency-key": "k"}
    answers = []
    for _ in range(2):
        body = {"name": "Shop", "role": "admin"}
        answers.append(await house.operator.call("POST", keys, body, status=201, headers=headers))
        path = f"{keys}/{tenant.viewer.key_id}/rotate"
        answers.append(await tenant.admin.call("POST", path, {}, status=201, headers=headers))
    token = await tenant.token()
    await token.call("GET", "/conversations")
    shown = [answer["key"] for answer in answers if answer["key"]] + [str(token.credential)]
    assert len(shown) == 3
    return [*shown, *(str(caller.credential) for caller in (tenant.admin, tenant.member, tenant.viewer))]


def secrets_of(shown: list[str]) -> list[str]:
    texts = [read_key_text(credential.encode()) for credential in shown]
    return [text.secret for text in texts if text is not None]


async def everything_in(url: str) -> str:
    """Every column of every row, also as the bytes that it holds."""
    engine = create_async_engine(superuser_url(url))
    async with engine.connect() as connection:
        tables = [table.name for table in Base.metadata.sorted_tables]
        found = [(await connection.execute(sa.text(f"SELECT * FROM {table}"))).all() for table in tables]
    await engine.dispose()
    return "\n".join(_spelled(value) for rows in found for row in rows for value in row)


def _spelled(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    spelled = value.decode("latin-1") + value.hex()
    return spelled + (gzip.decompress(value).decode("latin-1") if value[:2] == b"\x1f\x8b" else "")


async def test_no_table_holds_a_key(house: House, tenant: Tenant, migrated_url: str, tmp_path: Path) -> None:
    shown = await made(house, tenant)
    await house.application._access.book.write_uses()
    told = await everything_in(migrated_url)
    assert tenant.admin.key_id in told, "the search finds what is there"
    assert "api_key.rotated" in told
    for secret in [*shown, *secrets_of(shown)]:
        assert secret not in told
    for file in tmp_path.glob("*.db*"):
        content = file.read_bytes()
        assert not any(secret.encode() in content for secret in secrets_of(shown)), file


async def test_no_answer_tells_a_key_again(house: House, tenant: Tenant) -> None:
    shown = await made(house, tenant)
    paths = [*PATHS, tenant.path, f"{tenant.path}/api-keys", f"{tenant.path}/config", f"{tenant.path}/origins"]
    paths += [f"{tenant.path}/api-keys/{caller.key_id}" for caller in (tenant.admin, tenant.member, tenant.viewer)]
    told = "".join([(await tenant.admin.ask("GET", path)).text for path in paths])
    told += (await house.http.get("/openapi.json")).text
    assert "api_key.created" in told
    for secret in [*shown, *secrets_of(shown)]:
        assert secret not in told


async def test_no_log_line_and_no_problem_tells_a_key(
    lone_house: House, lone_tenant: Tenant, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shown = await made(lone_house, lone_tenant)
    problems = []
    for credential in shown:
        caller = lone_house.caller(credential)
        wrong = [lone_house.caller(each) for each in (credential[:-1], credential + "0", credential.upper())]
        problems += [(await each.ask("GET", "/conversations?limit=x")).text for each in (caller, *wrong)]
        problems.append((await caller.ask("POST", "/tenants", {"name": credential})).text)
    told = "".join(problems) + "".join(capfd.readouterr()) + caplog.text
    for secret in [*shown, *secrets_of(shown)]:
        assert secret not in told


async def test_only_digests_tell_keys_apart(house: House, tenant: Tenant, migrated_url: str) -> None:
    """Under a pepper that is not in the database as it is."""
    engine = create_async_engine(superuser_url(migrated_url))
    async with engine.connect() as connection:
        digests = (await connection.execute(sa.text("SELECT digest FROM api_keys"))).scalars().all()
        sealed = (await connection.execute(sa.text("SELECT sealed FROM server_secrets"))).scalars().all()
    await engine.dispose()
    assert len({len(digest) for digest in digests}) == len({len(each) for each in sealed}) == 1
    assert len(digests[0]) == 32
    secrets = await house.application._access.authenticator.secrets()
    assert secrets.digest(str(tenant.admin.credential)) in digests
    for each in sealed:
        assert secrets._pepper not in each
        assert secrets._signing not in each
        assert secrets._pepper.hex().encode() not in each
