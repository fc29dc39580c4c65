"""The numbers of a process as Prometheus reads them: what was counted, and how things are now."""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retinue.domain.errors import RetinueError
from retinue.observability.metrics import METRICS, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FRESH_SECONDS = 5.0
"""The database is not asked more often than that, whoever asks here."""


class Exposition:
    """What one application tells about itself."""

    def __init__(
        self,
        *,
        active_runs: Callable[[], int],
        lag_ms: Callable[[], float],
        pools: Mapping[str, Callable[[], tuple[int, int]]],
        pending_approvals: Callable[[], Coroutine[Any, Any, int]],
        metrics: Metrics = METRICS,
    ) -> None:
        """
        Args:
            lag_ms: the worst of the last seconds.
            pools: for each pool of database connections, how many are in use and how many there may be.
            pending_approvals: of all tenants, whichever process asked for them.
        """
        self._active_runs, self._lag_ms, self._pools = active_runs, lag_ms, pools
        self._count_pending = pending_approvals
        self._pending: int | None = None
        self._asked_at = -FRESH_SECONDS
        self._registry = CollectorRegistry()
        self._registry.register(metrics.registry)
        self._registry.register(_Gauges(self._gauges))

    async def render(self) -> bytes:
        """Everything, in Prometheus's text format. What the database does not tell is left out."""
        if monotonic() - self._asked_at >= FRESH_SECONDS:
            self._asked_at = monotonic()
            try:
                self._pending = await self._count_pending()
            except RetinueError:
                self._pending = None
        return generate_latest(self._registry)

    def _gauges(self) -> Iterator[Metric]:
        yield _gauge("active_runs", "Runs in this process.", self._active_runs())
        yield _gauge(
            "event_loop_lag_worst_seconds",
            "The worst lag of the event loop within three seconds.",
            self._lag_ms() / 1e3,
        )
        if self._pending is not None:
            yield _gauge(
                "approvals_pending", "Approvals that nobody has decided, in the whole database.", self._pending
            )
        used = GaugeMetricFamily("retinue_database_connections_in_use", "Of each pool.", labels=["pool"])
        most = GaugeMetricFamily("retinue_database_connections_max", "Of each pool.", labels=["pool"])
        for name, pool in self._pools.items():
            in_use, limit = pool()
            used.add_metric([name], in_use)
            most.add_metric([name], limit)
        yield from (used, most)


class _Gauges(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"retinue_{name}", documentation, value=value)
