"""All scenarios, in full and in short."""

from tests.bench.arena import OBVIOUS, POSTGRESQL, RELAY, SQLITE, Arena
from tests.bench.contenders import Contender
from tests.bench.scenarios.acting import acting, open_acting
from tests.bench.scenarios.base import Scenario
from tests.bench.scenarios.burst import burst
from tests.bench.scenarios.ceiling import LATEST_MS, ceiling
from tests.bench.scenarios.crowd import crowd
from tests.bench.scenarios.following import FOLLOWER, followed, open_replicas
from tests.bench.scenarios.growth import SIZES, Growth
from tests.bench.scenarios.paced import paced
from tests.bench.scenarios.turns import turns

_CPU = "cpu_ms_per_1000_tokens"
_COMPARED = (RELAY, OBVIOUS, SQLITE, POSTGRESQL)


def full(most_rows: int = max(SIZES.values())) -> list[Scenario]:
    """`most_rows` leaves out the larger sizes of S7."""
    sizes = tuple(name for name, rows in SIZES.items() if rows <= most_rows)
    return [_s1(1, 4), _s1(8, 4), _s2(200), _s3(), _s4(6), _s5(500), _s5(1000), _s6(), _s7(4, sizes), _s8()]


def quick() -> list[Scenario]:
    """Nothing here is exact; it shows where the figures are."""
    short = [_s1(1, 1), _s1(8, 1), _s2(100), _s4(1.5)]
    return [scenario._replace(contenders=_COMPARED, most_rounds=1) for scenario in short]


def _s1(streams: int, seconds: float) -> Scenario:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await burst(contender, streams=streams, seconds=seconds)

    return Scenario(f"S1 x{streams}", f"{streams} at once, 500 tokens each, as fast as they come", _CPU, measure)


def _s2(tokens: int) -> Scenario:
    async def measure(arena: Arena, contender: Contender) -> dict[str, float]:
        return await paced(contender, streams=50, rest=arena.cores.rest, tokens=tokens)

    return Scenario("S2", f"50 at once, {tokens} tokens each, one in 20 ms", _CPU, measure)


def _s3() -> Scenario:
    async def measure(arena: Arena, contender: Contender) -> dict[str, float]:
        return await ceiling(contender, rest=arena.cores.rest)

    title = f"streams as those of S2 that one core carries, transit p99 within {LATEST_MS} ms"
    return Scenario("S3", title, "streams", measure)


def _s4(seconds: float) -> Scenario:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await turns(contender, seconds=seconds)

    return Scenario(
        "S4", "32 clients in a closed loop, turns of 10 tokens, not stored by the relays", "turns_per_s", measure
    )


def _s5(streams: int) -> Scenario:
    async def measure(arena: Arena, contender: Contender) -> dict[str, float]:
        return await crowd(arena, contender.name, streams=streams)

    title = f"{streams:,} streams with a token a second, in processes of their own"
    return Scenario(f"S5 x{streams}", title, "kib_per_stream", measure, most_rounds=1)


def _s6() -> Scenario:
    title = f"S2, and S2 with two replicas and Redis: {FOLLOWER} is the second one, where every run is read once more"
    names = (POSTGRESQL, FOLLOWER)
    return Scenario("S6", title, _CPU, followed, contenders=names, open=open_replicas)


def _s7(seconds: float, sizes: tuple[str, ...]) -> Scenario:
    growth = Growth(seconds=seconds)

    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await growth.measure(contender)

    title = "a tenant with a year behind it on PostgreSQL: reads one by one, then S4"
    return Scenario("S7", title, "turn_p50_ms", measure, contenders=sizes, open=growth.open)


def _s8() -> Scenario:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await acting(contender)

    title = "224 runs of 32 clients, three tool calls before 10 tokens each"
    return Scenario("S8", title, "cpu_ms_per_turn", measure, contenders=(SQLITE, POSTGRESQL), open=open_acting)
