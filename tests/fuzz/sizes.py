"""How much is tried: the short form for every run of the suite, the full one for `make fuzz`."""

import os
import random

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that decide how long the suites take."""

    examples: int
    """Requests that are made up for each operation, for each kind of credentials."""
    scenarios: int
    """Chains of requests that follow the ids of answers."""
    steps: int
    """Requests in such a chain at most."""
    share: int
    """Of so many operations one is covered systematically, the next at random, with each kind of credentials."""
    machine_runs: int
    """Lives of the model, on each database."""
    machine_steps: int
    """Steps of such a life at most."""


SHORT = Sizes(examples=4, scenarios=4, steps=6, share=8, machine_runs=6, machine_steps=20)
FULL = Sizes(examples=60, scenarios=150, steps=10, share=1, machine_runs=500, machine_steps=40)

IS_FULL = os.environ.get("FUZZ", "short") == "full"
_FORM = FULL if IS_FULL else SHORT
SIZES = msgspec.convert(
    {name: os.environ.get(f"FUZZ_{name.upper()}", getattr(_FORM, name)) for name in Sizes.__struct_fields__},
    Sizes,
    strict=False,
)
"""Any of them can be set by hand, such as `FUZZ_EXAMPLES=200`."""
SEED = int(os.environ.setdefault("FUZZ_SEED", str(random.SystemRandom().randrange(2**31) if IS_FULL else 1)))
"""Workers inherit it, so that one seed repeats a whole run."""
