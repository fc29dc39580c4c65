"""What people read of a run."""

import json

from tests.bench.arena import OBVIOUS, POSTGRESQL, RELAY, Arena
from tests.bench.contenders import Contender
from tests.bench.machine import Cores
from tests.bench.report import UNPINNED, Report, versions
from tests.bench.running import Outcome
from tests.bench.scenarios.base import Scenario

CPU = "cpu_ms_per_1000_tokens"


async def measure(_: Arena, contender: Contender) -> dict[str, float]:
    raise AssertionError("nothing is measured here")


OUTCOME = Outcome(
    Scenario("S2", "a title", CPU, measure),
    {
        RELAY: [{CPU: 50.0}, {CPU: 70.0}, {CPU: 60.0}],
        OBVIOUS: [{CPU: 400.0}, {CPU: 500.0}, {CPU: 450.0}],
        POSTGRESQL: [{CPU: 119.0, "transit_p99_ms": 9.0}, {CPU: 130.0}, {CPU: 115.0, "transit_p99_ms": 8.0}],
    },
)
REPORT = Report([OUTCOME], Cores(frozenset({0}), frozenset({1})), versions())


def row(markdown: str, begins: str) -> list[str]:
    (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {begins} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_figures_are_medians_with_their_ratios() -> None:
    markdown = REPORT.as_markdown()
    assert "**S2**: a title; medians of 3 rounds" in markdown
    assert row(markdown, "CPU ms per 1,000 tokens") == ["60", "450", "119"]
    assert row(markdown, "CPU ms per 1,000 tokens: times relay") == ["1", "7.5", "1.98"]
    assert row(markdown, "CPU ms per 1,000 tokens: times obvious") == ["0.133", "1", "0.264"]
    assert "transit" not in markdown, "a round did not tell"


def test_goals_stand_beside_what_was_measured() -> None:
    markdown = REPORT.as_markdown()
    goals = [line for line in markdown.splitlines() if line.startswith("| S2 |")]
    assert goals == [
        f"| S2 | CPU ms per 1,000 tokens, {POSTGRESQL} | ≤ 120 | 119 | met |",
        f"| S2 | CPU ms per 1,000 tokens, {POSTGRESQL} | ≤ 1.9 × relay | 1.98 | **missed** |",
    ]


def test_json_has_every_round() -> None:
    document = json.loads(json.dumps(REPORT.as_json()))
    told = document["scenarios"]["S2"]
    assert told["rounds"][RELAY] == [{CPU: 50}, {CPU: 70}, {CPU: 60}]
    assert told["medians"][POSTGRESQL] == {CPU: 119}
    assert [goal["is_met"] for goal in document["goals"]] == [True, False]
    assert {"date", "machine", "pinned", "versions"} <= set(document)
    assert {"retinue", "python", "litestar"} <= set(document["versions"])


def test_what_was_not_pinned_says_so() -> None:
    unpinned = REPORT._replace(cores=Cores(frozenset(), frozenset()))
    assert UNPINNED in unpinned.as_markdown()
    assert UNPINNED not in REPORT.as_markdown()
    assert unpinned.as_json()["pinned"] is False
