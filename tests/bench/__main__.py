"""`python -m tests.bench`: what a token, a turn and a stream cost, beside a raw relay and the obvious service.

All contenders run on one machine in one run; each is pinned to one core, everything else to the others. A contender
that answers wrongly ends the run: figures of wrong answers mean nothing.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import uvloop

from tests.bench.arena import CONTENDERS, OBVIOUS, Arena
from tests.bench.machine import Cores
from tests.bench.report import UNPINNED, Report, versions
from tests.bench.running import run
from tests.bench.scenarios import registry
from tests.bench.scenarios.base import Scenario
from tests.bench.scenarios.growth import SIZES

ROUNDS = 3


async def measure(cores: Cores, scenarios: Sequence[Scenario], names: Sequence[str], rounds: int) -> Report:
    with ExitStack() as stack:
        arena = Arena(stack, cores)
        outcomes = [await run(arena, scenario, names, rounds, say) for scenario in scenarios]
        return Report([outcome for outcome in outcomes if outcome.rounds], cores, versions() | arena.versions())


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def chosen(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Scenario]:
    """Those that are asked for by name; otherwise all."""
    scenarios = registry.quick() if asked.quick else registry.full(asked.most_rows)
    keys = asked.scenario.split(",") if asked.scenario else [scenario.key for scenario in scenarios]
    if unknown := set(keys) - {scenario.key for scenario in scenarios}:
        parser.error(f"there is no {', '.join(sorted(unknown))} in this kind of run")
    return [scenario for scenario in scenarios if scenario.key in keys]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--scenario", metavar="S1,S4", help="only these")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each scenario ({ROUNDS})")
    sizes = ", ".join(f"{rows:,}" for rows in SIZES.values())
    parser.add_argument(
        "--most-rows", type=int, default=max(SIZES.values()), metavar="ROWS", help=f"of S7, whose sizes are {sizes}"
    )
    parser.add_argument("--quick", action="store_true", help="short forms of S1, S2 and S4, one round")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="only these contenders")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    asked = parser.parse_args()
    scenarios = chosen(asked, parser)
    if asked.rounds < 1:
        parser.error("there is no result without a round")
    is_compared = OBVIOUS in asked.only and any(OBVIOUS in scenario.contenders for scenario in scenarios)
    if is_compared and find_spec("fastapi") is None:
        parser.error("the obvious service needs FastAPI: `make bench` installs it")
    cores = Cores.shared_out()
    if not cores.is_pinned:
        say(UNPINNED)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measure(cores, scenarios, asked.only, asked.rounds))
    if asked.json:
        asked.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    tables = report.as_markdown()
    if asked.markdown:
        asked.markdown.write_text(tables)
    sys.stdout.write(tables)


if __name__ == "__main__":
    main()
