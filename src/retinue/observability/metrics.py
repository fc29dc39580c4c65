"""What this process counts.

The numbers belong to the process, as its log does: whoever has something to count imports `METRICS`. No label names a
tenant, a user, an id or anything that somebody wrote, so that neither the number of series nor what they tell grows
with the use. Nothing is counted per token or per event.
"""

import platform
from collections.abc import Callable
from functools import cache

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.process_collector import ProcessCollector

from retinue import __version__

UNKNOWN = "unknown"
"""The label of what came from outside and is none of ours: a path, a method, a tool."""
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
REFUSALS = frozenset({401, 403, 429})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# Otherwise every counter comes with a second series that tells when it began.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """One registry with everything that is counted in it. Prometheus's own default registry is not used."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        info = Info("retinue_build", "The version that runs.", registry=self.registry)
        info.info({"version": __version__, "python": platform.python_version()})
        ProcessCollector(registry=self.registry)
        self._requests = self._counters("requests", "Answered requests.", "method", "route", "status")
        seconds = Histogram(
            "retinue_request_duration_seconds",
            "Seconds until a request was answered; of a stream, until it began.",
            ("method", "route"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._seconds = cache(seconds.labels)
        self._refused = self._counters("requests_refused", "Requests answered with 401, 403 or 429.", "status")
        self.open_streams = Gauge("retinue_open_streams", "Streams that clients are reading.", registry=self.registry)
        self._run_ends = self._counters("run_ends", "Runs that ended, written down by this process.", "status")
        self._runs_lost = self._counter("runs_lost", "Runs that were given up, to another process or for good.")
        self._calls = self._counters("provider_calls", "Calls of model providers, every try.", "provider", "outcome")
        self._tokens = self._counters("tokens", "Tokens of model calls, as far as known.", "provider", "direction")
        self._tool_calls = self._counters("tool_calls", "Tool calls that came to an end.", "tool", "effect", "status")
        self.lag = Histogram(
            "retinue_event_loop_lag_seconds",
            "By how much the event loop was late, measured ten times a second.",
            registry=self.registry,
            buckets=_LAG_SECONDS,
        )

    def request_answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """
        Args:
            route: the template of the path; None if there is no such route.
        """
        method, route = method if method in METHODS else UNKNOWN, route or UNKNOWN
        self._requests(method, route, f"{status // 100}xx").inc()
        self._seconds(method, route).observe(seconds)
        if status in REFUSALS:
            self._refused(str(status)).inc()

    def run_ended(self, status: str) -> None:
        """A run has ended, and that is committed."""
        self._run_ends(status).inc()

    def run_lost(self) -> None:
        """This process has let go of a run that is not its own any more."""
        self._runs_lost.inc()

    def provider_called(
        self, provider: str, outcome: str, *, input_tokens: int | None = None, output_tokens: int | None = None
    ) -> None:
        self._calls(provider, outcome).inc()
        for direction, tokens in (("input", input_tokens), ("output", output_tokens)):
            if tokens:
                self._tokens(provider, direction).inc(tokens)

    def tool_called(self, tool: str | None, effect: str, status: str) -> None:
        """
        Args:
            tool: its name; None if the model has asked for one that does not exist.
        """
        self._tool_calls(tool or UNKNOWN, effect, status).inc()

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(f"retinue_{name}", documentation, registry=self.registry)

    def _counters(self, name: str, documentation: str, *labels: str) -> Callable[..., Counter]:
        """One for each choice of labels; there are few, and each is looked for once."""
        return cache(Counter(f"retinue_{name}", documentation, labels, registry=self.registry).labels)


METRICS = Metrics()
