"""Retinue with everything switched on that it promises: tenants, roles, limits, a budget, prices, records."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from tests.bench.contenders.base import TURNS, post, refuse_incomplete
from tests.bench.lag import Lag
from tests.bench.load import Told, Wrong
from tests.bench.machine import Cores, pin
from tests.bench.plan import Plan
from tests.support import http1
from tests.support.client import API, RetinueClient
from tests.support.processes import free_port
from tests.support.server import RetinueServer, environment_for, running_retinue

TENANTS = 8
_AT_A_TIME = 16
PLENTY = 10**9
"""A bound that is counted against and never reached."""
_BOUNDS = {"requests_per_minute": PLENTY, "tokens_per_minute": PLENTY, "concurrent_runs": PLENTY}
_PRICE = {"provider": "openai", "model": "bench", "input_price": 2_500_000, "output_price": 10_000_000}
_BUDGET = {"subject": "tenant", "period": "month", "limit_micros": 10**15, "soft_percent": 80}
_PRODUCTION = {
    "RETINUE_LOG_LEVEL": "info",
    "RETINUE_LIMITS_MESSAGES": str(PLENTY),
    "RETINUE_RUNS_MAX_ACTIVE": "4000",
    "RETINUE_RATES_WRONG_CREDENTIALS_PER_MINUTE": "30",
}


class Tenant(NamedTuple):
    """What its clients need to talk."""

    client: RetinueClient
    id: UUID
    employee: UUID


class Retinue:
    def __init__(
        self, name: str, servers: Sequence[RetinueServer], upstream: int, *, tools: Sequence[str], tenants: int
    ) -> None:
        self.name, self.servers = name, servers
        self.port = servers[0].port
        self.measured = servers[0]
        """The one whose costs count; all questions go to the first."""
        self.tenants: list[Tenant] = []
        self._upstream, self._tools, self._count = upstream, tools, tenants
        self._conversations: dict[int, list[UUID]] = {}
        self._turns: Counter[int] = Counter()

    @property
    def pids(self) -> Sequence[int]:
        return [self.measured.process.pid]

    async def open(self) -> None:
        """Take in the tenants."""
        operator = self.servers[0].client()
        for number in range(self._count):
            self.tenants.append(await self._take_in(operator, f"bench-{number}"))

    async def _take_in(self, operator: RetinueClient, slug: str) -> Tenant:
        tenant = await operator.create_tenant(slug=slug)
        base = f"http://127.0.0.1:{self._upstream}/v1"
        await operator.configure(tenant.id, "openai", "bench", llm_base_url=base, llm_api_key="sk-bench")
        await operator.put(f"/tenants/{tenant.id}/prices", {"prices": [_PRICE]})
        await operator.put(f"/tenants/{tenant.id}/limits", dict.fromkeys(("tenant", "key", "user"), _BOUNDS))
        (await operator.post(f"/tenants/{tenant.id}/budgets", _BUDGET)).expect(201)
        employee = await operator.create_employee(tenant.id, tools=[*self._tools])
        made = await operator.post(f"/tenants/{tenant.id}/api-keys", {"name": "bench", "role": "member"})
        key: str = made.expect(201).json["key"]
        return Tenant(RetinueClient(operator.address, key), tenant.id, employee.id)

    def tenant_of(self, client: int) -> Tenant:
        return self.tenants[client % self._count]

    async def prepare(self, clients: int, turns: int) -> None:
        for first in range(0, clients, _AT_A_TIME):
            several = range(first, min(first + _AT_A_TIME, clients))
            await asyncio.gather(*(self.prepare_one(client, turns) for client in several))

    async def prepare_one(self, client: int, turns: int) -> None:
        """As `prepare`, for this client alone."""
        own = self._conversations.setdefault(client, [])
        tenant = self.tenant_of(client)
        while len(own) * TURNS < self._turns[client] + turns:
            made = await tenant.client.create_conversation(tenant.id, tenant.employee, user_id=f"user-{client}")
            own.append(made.id)

    def conversation(self, client: int) -> UUID:
        """The one in which the client takes its next turn."""
        return self._conversations[client][self._turns[client] // TURNS]

    def ask(self, client: int, plan: Plan) -> bytes:
        path = f"{API}/conversations/{self.conversation(client)}/messages/stream"
        self._turns[client] += 1
        return post(path, b'{"content": "%b"}' % str(plan).encode(), self.headers(client))

    def headers(self, client: int) -> str:
        return f"authorization: {self.tenant_of(client).client.headers['authorization']}\r\n"

    def check(self, told: Told, plan: Plan) -> None:
        refuse_incomplete(told, plan, b'"status":"completed"')
        if plan.calls:
            refuse_failed_calls(told, plan)

    async def lag(self) -> Lag:
        address = f"127.0.0.1:{self.measured.environment['RETINUE_METRICS_PORT']}"
        async with await http1.request(address, "GET", "/metrics") as response:
            return Lag.of((await response.read()).decode())


def refuse_failed_calls(told: Told, plan: Plan) -> None:
    """The answer's log, in its last frame, must have all tool calls, and none of them may have failed.

    Raises:
        Wrong: it is not so.
    """
    try:
        log, _ = json.JSONDecoder().raw_decode(told.tail.rpartition(b'"tool_log":')[2].decode())
    except ValueError:
        log = []
    if len(log) != plan.calls or any(entry["error"] is not None for entry in log):
        raise Wrong(f"not {plan.calls} tool calls in the answer's log, or failed ones: {told.tail!r}")


@contextmanager
def retinue(
    name: str,
    folder: Path,
    upstream: int,
    database: str,
    cores: Cores,
    *,
    replicas: int = 1,
    tools: Sequence[str] = (),
    tenants: int = TENANTS,
    more: Mapping[str, str] | None = None,
) -> Iterator[Retinue]:
    """So many processes on one database, all on the server's core. The first one is asked, unless a scenario wants
    more.
    """
    environment = environment_for(database, allow=f"127.0.0.1:{upstream}", **_PRODUCTION)
    for setting in ("RETINUE_READINESS_MAX_LAG_MS", "RETINUE_RUNS_DRAIN_SECONDS"):
        del environment[setting]
    environment |= more or {}
    with ExitStack() as stack:
        servers = []
        for number in range(replicas):
            (own := folder / f"{name}-{number}").mkdir(parents=True)
            ports = {"RETINUE_METRICS_PORT": str(free_port())}
            servers.append(stack.enter_context(running_retinue(own, environment | ports)))
            pin(servers[-1].process.pid, cores.server)
        yield Retinue(name, servers, upstream, tools=tools, tenants=tenants)
