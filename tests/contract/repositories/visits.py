"""How often somebody goes to the thread of a connection to SQLite."""

from typing import Any

import pytest

from retinue.db.session import Unit

sqlite_only = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def visits_of(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """To the thread of the unit's connection, from now on."""
    driver = unit._executor.connection.driver
    visits: list[Any] = []
    execute = driver._execute

    async def visit(*args: Any, **kwargs: Any) -> Any:
        visits.append(args)
        return await execute(*args, **kwargs)

    monkeypatch.setattr(driver, "_execute", visit)
    return visits
