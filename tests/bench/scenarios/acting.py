"""S8: runs that call tools before they answer."""

from contextlib import ExitStack

from tests.bench.arena import Arena
from tests.bench.contenders import Contender
from tests.bench.plan import Plan
from tests.bench.scenarios.turns import CLIENTS, turns

RUNS = 200
ACTING = Plan(tokens=10, calls=3)


async def open_acting(arena: Arena, stack: ExitStack, name: str) -> Contender:
    """Its employees have the tool that the model calls."""
    return await arena.open(stack, name, tools=["calculate"])


async def acting(contender: Contender) -> dict[str, float]:
    """At least so many runs, with as many clients as there are for turns."""
    return await turns(contender, plan=ACTING, each=-(-RUNS // CLIENTS))
