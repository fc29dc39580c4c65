"""Two transactions that meet, on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retinue.db.session import Database, Unit
from retinue.domain.tenants import Tenant

Act = Callable[[Unit], Awaitable[Any]]
_BLOCKED = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Stage:
    """Lets one unit act, a second one run into it, and then ends the first."""

    def __init__(self, database: Database, tenant: Tenant, observer: AsyncConnection) -> None:
        self._database, self._tenant, self._observer = database, tenant, observer

    async def meet(self, first: Act, second: Act, *, commit: bool = True) -> tuple[Any, Any]:
        """What the two got. The second must have waited until the first was committed or rolled back."""
        may_end = asyncio.Event()
        leading = await self._lead(first, may_end, commit=commit)
        following = asyncio.create_task(self._act(second))
        async with asyncio.timeout(20):
            await self._until_blocked(following)
            may_end.set()
            results = await asyncio.gather(leading, following, return_exceptions=True)
        return results[0], results[1]

    async def pass_by(self, first: Act, second: Coroutine[Any, Any, Any]) -> tuple[Any, Any]:
        """What the two got. The second, which opens its own unit, must not have waited for the first to end."""
        may_end = asyncio.Event()
        leading = await self._lead(first, may_end)
        async with asyncio.timeout(5):
            result = await second
        may_end.set()
        return await leading, result

    async def _lead(self, act: Act, may_end: asyncio.Event, *, commit: bool = True) -> "asyncio.Task[Any]":
        """A unit that has acted and stays open."""
        acted = asyncio.Event()

        async def lead() -> Any:
            async with self._database.unit(self._tenant.id) as unit:
                result = await act(unit)
                acted.set()
                await may_end.wait()
                if not commit:
                    raise asyncio.CancelledError
            return result

        leading = asyncio.create_task(lead())
        async with asyncio.timeout(5):
            await acted.wait()
        return leading

    async def _act(self, act: Act) -> Any:
        async with self._database.unit(self._tenant.id) as unit:
            return await act(unit)

    async def _until_blocked(self, following: "asyncio.Task[Any]") -> None:
        while await self._observer.scalar(_BLOCKED) == 0:
            assert not following.done(), "the second did not wait"
