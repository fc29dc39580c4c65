"""S7: the same calls on a tenant with little behind it and with much."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from random import Random
from statistics import median
from urllib.parse import urlencode

from retinue.domain.spending import Grouping
from tests.bench.arena import POSTGRESQL, Arena
from tests.bench.contenders import Contender, Retinue
from tests.bench.history import History, remember
from tests.bench.load import Client, Told, Wrong
from tests.bench.scenarios.turns import turns
from tests.support.client import API

SIZES: Mapping[str, int] = {f"{rows:,} rows": rows for rows in (10_000, 1_000_000, 10_000_000)}
CALLS = 30
RANGE = timedelta(days=30)
SAME = 200
"""Calls in the range of time that has as many of them at every size."""

_RANGES = ("", f"_{SAME}_calls")
FLAT = (
    "turn_p50_ms",
    *(f"{name}_p50_ms" for name in ("messages", "conversations", "conversations_of_user")),
    *(f"usage_{grouping}{suffix}_p50_ms" for grouping in Grouping for suffix in _RANGES),
)
"""What must not depend on how much there is."""


class Growth:
    """One tenant a database, one database a size; all clients are that tenant's."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._histories: dict[str, History] = {}

    async def open(self, arena: Arena, stack: ExitStack, name: str) -> Contender:
        database = stack.enter_context(arena.postgres.database())
        contender = await arena.open(stack, POSTGRESQL, database=database, tenants=1)
        assert isinstance(contender, Retinue)
        contender.name = name
        self._histories[name] = await remember(arena.postgres, database, contender.tenants[0], SIZES[name])
        return contender

    async def measure(self, contender: Contender) -> dict[str, float]:
        """Reads, each over and over on one connection, before anything new is written; then S4."""
        assert isinstance(contender, Retinue)
        figures = {}
        async with Client.several(contender.port, 1) as (client,):
            for name, path in reads(self._histories[contender.name]).items():
                times = []
                for number in range(CALLS):
                    told = await client.ask(_get(contender, path(number)))
                    refuse_empty(told)
                    times.append(told.took / 1000)
                figures[f"{name}_p50_ms"] = median(times)
        return figures | await turns(contender, seconds=self._seconds)


def reads(history: History) -> dict[str, Callable[[int], str]]:
    """For each figure the path of its n-th call."""
    some = Random(7)  # the same at every size, and none twice in a row
    chosen = [some.choice(history.conversations) for _ in range(CALLS)]
    tenant = {"tenant_id": str(history.tenant)}
    paths: dict[str, Callable[[int], str]] = {
        "messages": lambda number: f"/conversations/{chosen[number % CALLS]}/messages",
        "conversations": lambda _: f"/conversations?{urlencode(tenant)}",
        "conversations_of_user": lambda _: f"/conversations?{urlencode(tenant | {'user_id': 'old-0'})}",
    }
    return paths | dict(_usage(history, tenant))


def _usage(history: History, tenant: dict[str, str]) -> Iterator[tuple[str, Callable[[int], str]]]:
    """Each grouping over thirty days, which hold more calls the more the tenant has made, and over as much time as has
    the same number of calls at every size. Both end where the history does, so that what S4 adds is not in them.
    """
    for grouping in Grouping:
        for suffix, since in zip(_RANGES, (history.until - RANGE, history.since_last(SAME)), strict=True):
            yield f"usage_{grouping}{suffix}", _path_of_usage(grouping, since, history.until, tenant)


def _path_of_usage(
    grouping: Grouping, since: datetime, until: datetime, tenant: dict[str, str]
) -> Callable[[int], str]:
    query = urlencode(tenant | {"group_by": grouping, "from": since.isoformat(), "to": until.isoformat()})
    return lambda _: f"/usage?{query}"


def _get(contender: Retinue, path: str) -> bytes:
    """As the operator, who may read everything."""
    key = contender.servers[0].client().headers["authorization"]
    return f"GET {API}{path} HTTP/1.1\r\nhost: bench\r\nauthorization: {key}\r\n\r\n".encode()


def refuse_empty(told: Told) -> None:
    """A list was asked for, and there is something in it.

    Raises:
        Wrong: it is not so.
    """
    if told.status != 200 or not told.tail.endswith(b"}]"):
        raise Wrong(f"{told.status}, and no list: {told.tail[-500:]!r}")
