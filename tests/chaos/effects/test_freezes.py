"""A process is frozen in the middle of a call and wakes up too late: it stores nothing, and says nothing."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from retinue.domain.runs import WaitingFor
from retinue.domain.tools import Resolution
from tests.chaos.books import active_runs, recovery_of
from tests.chaos.effects.books import check_doubt, check_errand, check_reader, journal_of
from tests.chaos.effects.cast import Cast, assemble
from tests.chaos.effects.errand import Errand
from tests.chaos.effects.points import IN_DOUBT, Point
from tests.chaos.effects.receiver import Receiver
from tests.chaos.effects.script import SET, WRITE
from tests.chaos.logs import stored_log
from tests.chaos.outages import BreakableRedis
from tests.chaos.sizes import SIZES
from tests.chaos.world import LEASE_SECONDS, RECOVERY_SECONDS
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import connect_postgres, rows
from tests.e2e.streams.talk import eventually
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

LEASE = LEASE_SECONDS
TABLES = (
    "runs",
    "run_events",
    "messages",
    "ledger",
    "tool_calls",
    "approvals",
    "checkpoints",
    "audit_entries",
    "audit_heads",
)


async def _snapshot(server: ForkedServer, tenant: UUID) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tenant in the tables that runs write to."""
    found = {}
    for table in TABLES:
        found[table] = sorted(await rows(server, f"SELECT * FROM {table} WHERE tenant_id = {{}}", tenant), key=repr)
    return found


def _published(redis: BreakableRedis, cast: Cast, errand: Errand) -> list[bytes] | None:
    """The run's stream in Redis, flattened; None before its end has come there."""
    found = redis.command("XRANGE", f"retinue:{cast.tenant}:run:{errand.run}", "-", "+")
    return found if any(b"run.completed" in entry for entry in found) else None


async def _all_published(redis: BreakableRedis, cast: Cast) -> list[list[bytes]]:
    async def of(errand: Errand) -> list[bytes]:
        async def probe() -> list[bytes] | None:
            return _published(redis, cast, errand)

        return await eventually(probe, within=5)

    return [await of(errand) for errand in cast.errands]


async def test_in_the_middle_of_a_call(
    replicas: Replicas,
    upstream: ThreadedUpstream,
    receiver: Receiver,
    redis: BreakableRedis,
    rng: random.Random,
    *,
    figure: Callable[[str], None],
) -> None:
    takeovers = []
    for number in range(SIZES.effect_freezes):
        upstream.reset()
        parts = [(tool, point) for point in sorted(IN_DOUBT) for tool in (WRITE, SET)]
        cast = await assemble(replicas, upstream, receiver, rng, parts, shift=number)
        try:
            way = (_wakes_when_all_is_over, _wakes_while_nobody_knows)[number % 2]
            takeovers.append(await way(cast, redis))
        except BaseException as error:
            error.add_note(f"in round {number}:\n" + "\n".join(f"  {errand}" for errand in cast.errands))
            raise
        finally:
            _thaw(replicas)
            cast.leave()
    figure(f"{SIZES.effect_freezes} processes frozen in the middle of 6 calls, longest takeover {max(takeovers):.2f} s")


def _thaw(replicas: Replicas) -> None:
    for server in replicas:
        server.process.send_group(signal.SIGCONT)


class Freeze(NamedTuple):
    victim: ForkedServer
    other: ForkedServer
    frozen: list[Errand]
    took: float
    """Seconds until all of them had another owner, or waited for a person."""


async def _freeze(cast: Cast) -> Freeze:
    """Let a process come to a stand in the middle of calls until they are somebody else's, who may finish them."""
    victim, other = cast.rng.sample(list(cast.world), 2)
    for errand in cast.errands:
        errand.clients = [victim.client()]
    await asyncio.gather(*(errand.go_to_the_point() for errand in cast.errands))
    if all(errand.pid == other.process.pid for errand in cast.errands):  # it looked around at the wrong moment
        victim, other = other, victim
    frozen = cast.note_lost(victim.process.pid)
    for errand in cast.errands:
        errand.clients = [other.client()]
    victim.process.send_group(signal.SIGSTOP)
    lost = [one for one in await active_runs(other) if one.run in {str(errand.run) for errand in frozen}]
    took = await recovery_of(other, lost, within=RECOVERY_SECONDS)
    return Freeze(victim, other, frozen, took)


async def _wakes_when_all_is_over(cast: Cast, redis: BreakableRedis) -> float:
    victim, other, frozen, took = await _freeze(cast)
    await asyncio.gather(*(errand.decide_to_the_end() for errand in frozen))
    # Those in the other process come to their end, too; nobody stands still from now on, the frozen ones least of all.
    cast.release()
    await asyncio.gather(*(errand.decide_to_the_end() for errand in cast.errands))
    for errand in cast.errands:
        await check_errand(errand, other, other.client(), was_read=False)
    before, told = await _snapshot(other, cast.tenant), await _all_published(redis, cast)
    victim.process.send_group(signal.SIGCONT)
    await _lives(victim, cast)
    for errand in cast.errands:
        await errand.read_to_the_end()
    assert await _snapshot(other, cast.tenant) == before
    assert await _all_published(redis, cast) == told
    for errand in cast.errands:
        assert errand.run is not None
        check_reader(errand, await stored_log(other.client(), errand.run))
        _check_deliveries(errand)
    return took


async def _wakes_while_nobody_knows(cast: Cast, _: BreakableRedis) -> float:
    """It comes back with the outcome, and too late: what nobody could know is a person's to say."""
    victim, other, frozen, took = await _freeze(cast)
    doubtful = [errand for errand in frozen if errand.target.tool == WRITE]
    for errand in doubtful:
        assert await eventually(partial(_doubt_of, errand), within=RECOVERY_SECONDS) == [errand.target.id]
    cast.release()
    victim.process.send_group(signal.SIGCONT)
    await _lives(victim, cast)
    for errand in doubtful:
        await check_doubt(errand, errand.target.id)
    await asyncio.gather(*(errand.finish() for errand in cast.errands))
    await cast.check(other.client())
    return took


async def _doubt_of(errand: Errand) -> list[str] | None:
    return await errand.doubts() if (await errand.look()).waiting_for is WaitingFor.EFFECT_UNKNOWN else None


def _check_deliveries(errand: Errand) -> None:
    """The zombie's request may have been on its way all the time; nobody has sent another one unless told to."""
    for call in errand.calls:
        sent = errand.receiver.of(call.marker)
        assert len({delivery.key for delivery in sent}) <= 1
        if call.tool == WRITE:
            assert len(sent) <= 1 + errand.resolutions.get(call.id, []).count(Resolution.RETRY), sent


async def _lives(victim: ForkedServer, cast: Cast) -> None:
    """It serves others, so that it has had every chance to do something about what it had."""
    for _ in range(2):
        hello = await victim.client().hire(
            "openai", "echo", llm_base_url=cast.upstream.openai_url, llm_api_key="sk-test-0123456789abcdef"
        )
        assert (await victim.client().ask(hello.id, "Hello")).end["status"] == "completed"


HOLD = 4242
"""The advisory lock at which a commit waits."""


@asynccontextmanager
async def _held_commit(server: ForkedServer, errand: Errand) -> AsyncIterator[Any]:
    """The commit of the intent of the target waits until the lock is given back."""
    keeper = await connect_postgres(server)
    try:
        await keeper.execute(f"SELECT pg_advisory_lock({HOLD})")
        await keeper.execute(
            f"""
            CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({HOLD}); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER hold_commit AFTER UPDATE ON tool_calls DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.status = 'executing' AND NEW.call_id = '{errand.target.id}')
            EXECUTE FUNCTION hold_commit();
            """
        )
        yield keeper
    finally:
        await keeper.execute("SELECT pg_advisory_unlock_all()")
        await keeper.execute("DROP FUNCTION hold_commit CASCADE")
        await keeper.close()


async def test_between_the_intent_and_the_call(
    replicas: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random
) -> None:
    """The intent is committed, and before its process hears of that the run is somebody else's: no call is made."""
    cast = await assemble(replicas, upstream, receiver, rng, [(WRITE, Point.DECIDED)])
    [errand] = cast.errands
    errand.answers = [Resolution.DID_NOT_HAPPEN]
    await errand.go_to_the_point()
    [victim] = [server for server in replicas if server.process.pid == errand.pid]
    [other] = [server for server in replicas if server is not victim]
    errand.clients = [other.client()]
    try:
        async with _held_commit(other, errand) as keeper:
            cast.release()

            async def commits() -> bool | None:
                waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4242 AND NOT granted"
                return True if await rows(other, waiting) else None

            await eventually(commits, within=10)
            victim.process.send_group(signal.SIGSTOP)
            await keeper.execute("SELECT pg_advisory_unlock_all()")
            await errand.decide_to_the_end()
        victim.process.send_group(signal.SIGCONT)
        await errand.read_to_the_end()
        await _lives(victim, cast)
    finally:
        _thaw(replicas)
        cast.leave()
    assert errand.resolutions[errand.target.id] == [Resolution.DID_NOT_HAPPEN]
    assert errand.target.marker not in [marker for marker, _ in receiver.begun]
    assert receiver.of(errand.target.marker) == []
    await cast.check(other.client())


async def test_an_outcome_that_comes_too_late(
    replicas: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random
) -> None:
    """The zombie stores what it knows before anybody has told it that it has lost the run."""
    cast = await assemble(replicas, upstream, receiver, rng, [(WRITE, Point.ANSWERED)])
    [errand] = cast.errands
    try:
        victim, other, *_ = await _freeze(cast)
        assert await eventually(partial(_doubt_of, errand), within=RECOVERY_SECONDS) == [errand.target.id]
        async with _nobody_changes_runs(other):
            cast.release()
            victim.process.send_group(signal.SIGCONT)

            async def has_tried() -> bool | None:
                left = [line for line in victim.output.splitlines() if str(errand.run) in line and "run_left" in line]
                return True if left or await _is_known(errand, other) else None

            await eventually(has_tried, within=10)
        await check_doubt(errand, errand.target.id)
        await errand.finish()
        await cast.check(other.client())
    finally:
        _thaw(replicas)
        cast.leave()


@asynccontextmanager
async def _nobody_changes_runs(server: ForkedServer) -> AsyncIterator[None]:
    """Leases are not renewed meanwhile, so that nobody notices that one is lost. Everything else can be stored."""
    keeper = await connect_postgres(server)
    try:
        async with keeper.transaction():
            await keeper.execute("LOCK TABLE runs IN SHARE MODE")
            yield
    finally:
        await keeper.close()


async def _is_known(errand: Errand, server: ForkedServer) -> bool:
    assert errand.run is not None
    journal = await journal_of(server, errand.run)
    return [row["status"] for row in journal if row["call_id"] == errand.target.id] != ["outcome_unknown"]
