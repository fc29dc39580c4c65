"""How much a tenant that asks for ten times what it may slows another one's answers down.

`python -m tests.bench.noise [--production] [--rounds 8] [--answers 60]`: a real server with a fake model provider, on
SQLite or on PostgreSQL and Redis. Rounds without the other tenant, with one that keeps to its limit, and with noise
take turns, so that whatever else the machine does falls on all of them; what is compared is the median of the rounds'
95th percentiles of the time to the first token.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

from tests.chaos.noisy import Voice, more_of, voice
from tests.support import http1
from tests.support.client import API, RetinueClient
from tests.support.databases import running_postgres
from tests.support.redis import running_redis
from tests.support.server import environment_for, running_retinue
from tests.support.upstream import ThreadedUpstream, upstream_in_thread

LIMIT = 120
"""Requests per minute of the noisy tenant."""
TIMES = 10
"""So many times its limit it sends."""
CONVERSATIONS = 8
NO_LIMITS = {"requests_per_minute": 0, "tokens_per_minute": 0, "concurrent_runs": 0}


async def shout(address: str, key: str, path: str, times: int) -> None:
    """Send so many times what may be sent, at an even pace, until the process is ended; each asks for an answer."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    told: Counter[int] = Counter()
    running: set[asyncio.Task[None]] = set()

    async def one() -> None:
        async with await http1.request(address, "POST", path, body=b'{"content": "Noise"}', headers=headers) as answer:
            told[answer.status] += 1
            await answer.read()

    began, number, has_told = time.monotonic(), 0, False
    while True:
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
        if (told[429] or (times == 1 and number > 3)) and not has_told:
            has_told = True
            _say("warm")
        await asyncio.sleep(max(began + number * 60 / (LIMIT * times) - time.monotonic(), 0))


@contextmanager
def noise(address: str, noisy: Voice, times: int) -> Iterator[None]:
    """Another process shouts meanwhile, and has used up what it may send at once."""
    path = f"{API}/conversations/{noisy.conversation}/messages/stream"
    command = [sys.executable, "-m", "tests.bench.noise", "--shout", address, noisy.key, path, str(times)]
    # What it needs itself must not be taken from the server: elsewhere it has a machine of its own.
    process = subprocess.Popen(["nice", "-n", "19", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        process.communicate()


async def first_token(client: RetinueClient, conversation: UUID) -> float:
    """Milliseconds from asking to the first piece of the answer."""
    began = time.perf_counter()
    async with await client.stream(conversation, "Hello") as stream:
        await stream.until("token")
        took = (time.perf_counter() - began) * 1000
        await stream.rest()
    return took


async def percentile(client: RetinueClient, conversations: list[UUID], answers: int) -> tuple[float, float]:
    """The median and the 95th percentile of so many answers, two at a time."""
    times: list[float] = []

    async def some(own: list[UUID]) -> None:
        for number in range(answers // 2):
            times.append(await first_token(client, own[number % len(own)]))
            await asyncio.sleep(0.02)

    await asyncio.gather(some(conversations[::2]), some(conversations[1::2]))
    return median(times), quantiles(times, n=20, method="inclusive")[-1]


async def measure(address: str, key: str | None, upstream: ThreadedUpstream, rounds: int, answers: int) -> None:
    operator = RetinueClient(address, key)
    noisy = await voice(operator, upstream, **NO_LIMITS | {"requests_per_minute": LIMIT})
    quiet = await voice(operator, upstream, **NO_LIMITS)
    client = quiet.at(address)
    conversations = [await more_of(quiet, client) for _ in range(CONVERSATIONS)]
    await percentile(client, conversations, answers)
    taken: dict[int, list[tuple[float, float]]] = {0: [], 1: [], TIMES: []}
    for number in range(rounds):
        order = list(taken)
        for times in order[number % 3 :] + order[: number % 3]:
            with noise(address, noisy, times) if times else nullcontext():
                taken[times].append(await percentile(client, conversations, answers))
        _say(f"round {number + 1}: p95 " + ", ".join(f"{each[-1][1]:.0f} ms at {n} x" for n, each in taken.items()))
    for name, place in (("p50", 0), ("p95", 1)):
        none, own, loud = (median(round_[place] for round_ in each) for each in taken.values())
        _say(f"{name} {none:.1f} ms alone, {own:.1f} ms beside a tenant at its limit, {loud:.1f} ms at {TIMES} times")
        _say(f"    {loud / none:.2f} of alone, {loud / own:.2f} of beside it")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shout", nargs=4, metavar=("ADDRESS", "KEY", "PATH", "TIMES"), help=argparse.SUPPRESS)
    parser.add_argument("--production", action="store_true", help="on PostgreSQL and Redis")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--answers", type=int, default=60)
    asked = parser.parse_args()
    if asked.shout:
        address, key, path, times = asked.shout
        asyncio.run(shout(address, key, path, int(times)))
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retinue-noise-")))
        upstream = stack.enter_context(upstream_in_thread())
        url, more = f"sqlite+aiosqlite:///{folder / 'retinue.db'}", {}
        if asked.production:
            url = stack.enter_context(stack.enter_context(running_postgres()).database())
            more = {"RETINUE_COORDINATION_URL": stack.enter_context(running_redis()).url}
        environment = environment_for(url, allow=upstream.address, **more)
        server = stack.enter_context(running_retinue(folder, environment))
        asyncio.run(measure(server.address, server.key, upstream, asked.rounds, asked.answers))


if __name__ == "__main__":
    main()
