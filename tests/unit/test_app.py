"""What only the composition root can get wrong."""

import base64
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from genai_prices import data_snapshot

from retinue.app import Application, KeyFileUnusable, open_keyring
from retinue.crypto import Place
from retinue.db import migrations
from retinue.domain.ids import new_id
from retinue.observability.redaction import Redactor
from retinue.server.log import log_to_stderr
from retinue.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(environ={"RETINUE_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"})


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
async def application(settings: Settings, redactor: Redactor) -> AsyncIterator[Application]:
    application = Application(settings, redactor)
    yield application
    await let_go(application)


async def let_go(application: Application) -> None:
    """End what was never served."""
    await application._engine.aclose()
    await application._providers.aclose()
    await application._database.aclose()


def place() -> Place:
    return Place(tenant=new_id(), table="tenant_configs", column="sealed_api_key", row=new_id())


async def test_the_log_redacts_every_key_that_is_opened(
    settings: Settings, application: Application, redactor: Redactor
) -> None:
    sealed = open_keyring(settings).seal("sk-of-a-tenant-123", here := place())
    assert "sk-of-a-tenant-123" in redactor.redact("key=sk-of-a-tenant-123")
    application._keyring.open(sealed, here)
    assert "sk-of-a-tenant-123" not in redactor.redact("key=sk-of-a-tenant-123")


def test_open_mode_keeps_its_key_beside_the_database(settings: Settings, tmp_path: Path) -> None:
    sealed = open_keyring(settings).seal("secret", here := place())
    assert (tmp_path / "master.key").stat().st_mode & 0o077 == 0
    assert open_keyring(settings).open(sealed, here) == "secret"


async def test_readiness_asks_the_database_and_the_supervisor(application: Application) -> None:
    assert await application._readiness.reasons() == ["database"]
    await application.drain(0)
    assert await application._readiness.reasons() == ["draining"]


async def test_price_lists_are_read_before_anybody_waits_for_them(settings: Settings, application: Application) -> None:
    await migrations.upgrade(settings.database.url)
    data_snapshot._bundled_snapshot.cache_clear()
    await application.check()
    assert data_snapshot._bundled_snapshot.cache_info().currsize == 1


async def test_readiness_goes_by_the_settings_and_by_the_place(settings: Settings, redactor: Redactor) -> None:
    await migrations.upgrade(settings.database.url)
    application = Application(settings, redactor, place=lambda: "not_alone")
    assert await application._readiness.reasons() == ["not_alone"]
    assert application._readiness._max_load == settings.readiness.max_load
    assert application._readiness._max_lag_ms == settings.readiness.max_lag_ms
    await let_go(application)


@pytest.mark.parametrize(("content", "mode"), [("k1:" + "A" * 43 + "=", 0o644), ("nonsense", 0o600), ("", 0o600)])
def test_a_key_file_that_cannot_be_used_is_said(settings: Settings, tmp_path: Path, content: str, mode: int) -> None:
    file = tmp_path / "master.key"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(KeyFileUnusable, match=re.escape(str(file))) as caught:
        open_keyring(settings)
    assert not content or content not in caught.value.detail


def test_a_key_file_that_cannot_be_made_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "master.key").symlink_to(tmp_path / "nowhere" / "deep" / "master.key")
    with pytest.raises(KeyFileUnusable):
        open_keyring(settings)


def test_the_command_line_hides_the_operator_s_own_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, master = "operator-key-0123456789", base64.b64encode(bytes(range(32))).decode()
    settings = load(
        environ={
            "RETINUE_DATABASE_URL": "postgresql+asyncpg://retinue:database-password@localhost/retinue",
            "RETINUE_OPERATOR_KEY": key,
            "RETINUE_MASTER_KEYS": f"k1:{master}",
        }
    )
    redactor = log_to_stderr(settings)
    for number in range(20_000):  # keys of tenants must not push the operator's out
        redactor.add(f"key-of-tenant-{number:06}")
    logging.getLogger("retinue.test").warning("said %s and %s and database-password", key, master)
    said = capsys.readouterr().err
    assert "said" in said
    assert not any(secret in said for secret in (key, master, "database-password"))


async def test_batches_are_as_large_and_as_late_as_the_settings_say(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"
    environ = {"RETINUE_DATABASE_URL": url, "RETINUE_RUNS_EVENT_BATCH": "7", "RETINUE_RUNS_EVENT_FLUSH_MS": "1500"}
    application = Application(load(environ=environ), Redactor())
    writer = application._engine._writer
    assert (writer._batch, writer._flush_seconds) == (7, 1.5)
    await let_go(application)
