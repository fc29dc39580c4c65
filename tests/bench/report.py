"""What a run comes to: JSON with every round, and tables for people."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from sqlite3 import sqlite_version
from typing import Any, NamedTuple

from retinue import __version__
from retinue.domain.spending import Grouping
from tests.bench.arena import OBVIOUS, RELAY
from tests.bench.figures import ratio
from tests.bench.goals import Verdict, judged
from tests.bench.machine import Cores, description
from tests.bench.running import Outcome
from tests.bench.scenarios.growth import SAME

LABELS = {
    "tokens_per_s": "tokens/s",
    "cpu_ms_per_1000_tokens": "CPU ms per 1,000 tokens",
    "first_token_p50_ms": "first token p50, ms",
    "first_token_p99_ms": "first token p99, ms",
    "transit_p50_ms": "transit p50, ms",
    "transit_p99_ms": "transit p99, ms",
    "core": "of its core",
    "rest_busy": "of the other core",
    "lag_p99_ms": "loop lag p99, ms, at most",
    "turns_per_s": "turns/s",
    "cpu_ms_per_turn": "CPU ms per turn",
    "turn_p50_ms": "turn p50, ms",
    "others_cpu_ms_per_1000_tokens": "CPU ms per 1,000 tokens of the first replica",
    "streams": "streams",
    "rest_busy_beyond": "of the other core, with too many",
    "kib_per_stream": "KiB per stream",
    "process_mib": "MiB of the process",
    "messages_p50_ms": "GET …/messages p50, ms",
    "conversations_p50_ms": "GET /conversations p50, ms",
    "conversations_of_user_p50_ms": "the same, of one user",
    **{f"usage_{each}_p50_ms": f"GET /usage by {each}, 30 days, p50, ms" for each in Grouping},
    **{
        f"usage_{each}_{SAME}_calls_p50_ms": f"GET /usage by {each}, the last {SAME} calls, p50, ms"
        for each in Grouping
    },
}
_PACKAGES = (
    "litestar",
    "hypercorn",
    "uvloop",
    "openai",
    "sse-starlette",
    "sqlalchemy",
    "asyncpg",
    "fastapi",
    "uvicorn",
)
UNPINNED = (
    "Not pinned: this process may use one core only, or the system cannot keep processes on cores. The contenders "
    "share what there is with the load, so that these figures compare with no others."
)


class Report(NamedTuple):
    outcomes: Sequence[Outcome]
    cores: Cores
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """With every round's figures."""
        return {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": description(),
            "pinned": self.cores.is_pinned,
            "versions": self.versions,
            "scenarios": {
                outcome.scenario.name: {
                    "title": outcome.scenario.title,
                    "medians": outcome.medians,
                    "rounds": outcome.rounds,
                }
                for outcome in self.outcomes
            },
            "goals": [
                {**verdict.goal._asdict(), "value": verdict.value, "is_met": verdict.is_met}
                for verdict in self.verdicts
            ],
        }

    def as_markdown(self) -> str:
        """A table a scenario, and one of the goals."""
        about = description()
        machine = f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}"
        packages = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        lines = [f"{machine}, {datetime.now(UTC):%Y-%m-%d}; {packages}", ""]
        if not self.cores.is_pinned:
            lines += [UNPINNED, ""]
        for outcome in self.outcomes:
            lines += [*_table(outcome), ""]
        return "\n".join([*lines, *_goals(self.verdicts)]).rstrip() + "\n"

    @property
    def verdicts(self) -> list[Verdict]:
        return judged({outcome.scenario.name: outcome.medians for outcome in self.outcomes})


def versions() -> dict[str, str]:
    """Of Retinue, Python, and what decides about speed."""
    found = {"retinue": __version__, "python": platform.python_version(), "sqlite": sqlite_version}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _table(outcome: Outcome) -> Iterator[str]:
    """One line a figure, one column a contender; the main figure's ratios at the end."""
    scenario, medians = outcome.scenario, outcome.medians
    rounds = max((len(each) for each in outcome.rounds.values()), default=0)
    yield f"**{scenario.name}**: {scenario.title}; {'one round' if rounds == 1 else f'medians of {rounds} rounds'}"
    yield ""
    yield _row(["", *medians])
    yield _row(["---", *("---:" for _ in medians)])
    for name in dict.fromkeys(name for figures in medians.values() for name in figures):
        yield _row([LABELS.get(name, name), *(_shown(figures.get(name)) for figures in medians.values())])
    mains = [figures.get(scenario.main) for figures in medians.values()]
    for other in (RELAY, OBVIOUS):
        reference = medians.get(other, {}).get(scenario.main)
        if reference is not None:
            ratios = [None if main is None else ratio(main, reference) for main in mains]
            yield _row([f"{LABELS.get(scenario.main)}: times {other}", *map(_shown, ratios)])


def _goals(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if not verdicts:
        return
    yield _row(["", "", "goal", "measured", ""])
    yield _row(["---", "---", "---", "---:", "---"])
    for verdict in verdicts:
        goal = verdict.goal
        label = f"{LABELS.get(goal.figure, goal.figure)}, {goal.contender}"
        yield _row([goal.scenario, label, str(goal), _shown(verdict.value), "met" if verdict.is_met else "**missed**"])


def _shown(value: float | None) -> str:
    """Three digits that count; no more of them mean anything."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
