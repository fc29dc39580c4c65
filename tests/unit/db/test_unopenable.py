"""A SQLite file that cannot be opened."""

from pathlib import Path

import aiosqlite
import pytest

from retinue.db.session import Database
from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id


async def test_it_is_told_before_a_thread_is_started_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That thread would speak to an event loop that may be closed by then."""

    def start(*_: object, **__: object) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(aiosqlite, "connect", start)
    (tmp_path / "file").touch()
    database = Database.connect(f"sqlite+aiosqlite:///{tmp_path / 'file' / 'retinue.db'}")
    with pytest.raises(Unavailable):
        async with database.unit(new_id()) as unit:
            await unit.clock()
    await database.aclose()
