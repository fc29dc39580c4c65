"""How late a service's event loop was, as far as its own metrics tell."""

import re
from typing import NamedTuple

_BUCKET = re.compile(r'^retinue_event_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)$', re.MULTILINE)


class Lag(NamedTuple):
    """A histogram: for each bound in seconds, how many of the measurements did not exceed it."""

    buckets: dict[float, float]

    @classmethod
    def of(cls, metrics: str) -> "Lag":
        """From Prometheus's text.

        Raises:
            ValueError: there is none in it.
        """
        buckets = {float(bound): float(count) for bound, count in _BUCKET.findall(metrics)}
        if not buckets:
            raise ValueError("metrics that do not tell of the event loop's lag")
        return cls(buckets)

    def since(self, earlier: "Lag") -> "Lag":
        return Lag({bound: count - earlier.buckets[bound] for bound, count in self.buckets.items()})

    def within_ms(self, share: float) -> float | None:
        """The lowest bound that holds so many of the measurements, in milliseconds: they are at most so late. None if
        nothing was measured.
        """
        total = max(self.buckets.values(), default=0)
        held = [bound for bound, count in self.buckets.items() if count >= total * share]
        return min(held) * 1000 if total else None
