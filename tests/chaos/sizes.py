"""How much chaos: the short form for every run of the suite, the full one for `make chaos`."""

import os

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that decide how long the suites take. Seconds where the name says nothing else."""

    cut_events: int
    """Events of the run whose stream is cut after each of them."""
    kill_rounds: int
    """Times that a process is killed, for each way to run Retinue."""
    kill_conversations: int
    freeze_rounds: int
    cancels: int
    """Cancelled runs per variant."""
    cancel_p95_ms: float
    crowd: int
    twins: int
    """Identical posts with one key."""
    outage_streams: int
    outage_seconds: float
    outage_period: float
    redis_down: float
    effect_kills: int
    """Times that processes are killed while tools change something, for each way to run Retinue."""
    effect_errands: int
    """Employees who lose their process together, each at another point."""
    effect_storms: int
    """The same at random times."""
    effect_freezes: int
    aborts: int
    """Runs and requests that are aborted at a random point."""


SHORT = Sizes(
    cut_events=40,
    kill_rounds=2,
    kill_conversations=3,
    freeze_rounds=1,
    cancels=12,
    cancel_p95_ms=2000,
    crowd=20,
    twins=12,
    outage_streams=12,
    outage_seconds=6,
    outage_period=2.5,
    redis_down=1,
    effect_kills=2,
    effect_errands=9,
    effect_storms=1,
    effect_freezes=2,
    aborts=150,
)
FULL = Sizes(
    cut_events=200,
    kill_rounds=200,
    kill_conversations=4,
    freeze_rounds=20,
    cancels=200,
    cancel_p95_ms=250,
    crowd=100,
    twins=50,
    outage_streams=50,
    outage_seconds=120,
    outage_period=15,
    redis_down=5,
    effect_kills=200,
    effect_errands=3,
    effect_storms=100,
    effect_freezes=20,
    aborts=10_000,
)

IS_FULL = os.environ.get("CHAOS", "short") == "full"
_FORM = FULL if IS_FULL else SHORT
SIZES = msgspec.convert(
    {name: os.environ.get(f"CHAOS_{name.upper()}", getattr(_FORM, name)) for name in Sizes.__struct_fields__},
    Sizes,
    strict=False,
)
"""Any of them can be set by hand, such as `CHAOS_KILL_ROUNDS=20`."""
