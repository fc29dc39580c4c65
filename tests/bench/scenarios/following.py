"""S6: a second replica follows every run of the first one."""

import re
from contextlib import ExitStack

from tests.bench.arena import POSTGRESQL, Arena
from tests.bench.contenders import Contender, Retinue
from tests.bench.load import Client, Told, Wrong
from tests.bench.plan import Plan
from tests.bench.scenarios.paced import Take, paced
from tests.support.client import API

FOLLOWER = "retinue-follower"
_RUN = re.compile(rb'"run_id":"([0-9a-f-]{36})"')


async def open_replicas(arena: Arena, stack: ExitStack, name: str) -> Contender:
    """The one that S2 has, and two replicas with Redis between them, of which the second one is measured."""
    if name == POSTGRESQL:
        return await arena.shared(name)
    more = {"RETINUE_COORDINATION_URL": arena.redis(stack)}
    contender = await arena.open(stack, FOLLOWER, replicas=2, more=more)
    assert isinstance(contender, Retinue)
    contender.measured = contender.servers[1]
    return contender


async def followed(arena: Arena, contender: Contender) -> dict[str, float]:
    """S2; of the follower, times and costs are the second replica's, which reads and sends all of it once more."""
    if not isinstance(contender, Retinue) or len(contender.servers) == 1:
        return await paced(contender, streams=50, rest=arena.cores.rest)
    first = contender.servers[0].process.pid
    return await paced(contender, streams=50, rest=arena.cores.rest, take=following, beside=[first])


def following(contender: Contender, plan: Plan) -> Take:
    """Ask the first replica, read on the second as soon as it is known which run it is."""
    assert isinstance(contender, Retinue)

    async def take(number: int, client: Client) -> Told:
        client.send(contender.ask(number, plan))
        opening = (await client.first_token()).opening
        follower = await Client.connect(contender.servers[1].port)
        path = f"{API}/runs/{run_of(opening)}/stream"
        followed = await follower.ask(f"GET {path} HTTP/1.1\r\nhost: bench\r\n{contender.headers(number)}\r\n".encode())
        told = await client.told()
        for each in (told, followed):
            contender.check(each, plan)
        follower.close()
        return followed

    return take


def run_of(opening: bytes) -> str:
    """The run that an answer's first frame names.

    Raises:
        Wrong: it names none.
    """
    found = _RUN.search(opening)
    if found is None:
        raise Wrong(f"an answer that names no run: {opening!r}")
    return found[1].decode()
