"""What is counted, and how it is told."""

from collections.abc import Callable

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from retinue.domain.errors import Unavailable
from retinue.observability import exposition as exposition_module
from retinue.observability.exposition import Exposition
from retinue.observability.metrics import METHODS, METRICS, Metrics


class Database:
    """Says how many approvals wait, if it says anything."""

    def __init__(self) -> None:
        self.pending, self.asked, self.is_away = 3, 0, False

    async def count(self) -> int:
        self.asked += 1
        if self.is_away:
            raise Unavailable
        return self.pending


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def exposition(database: Database) -> Exposition:
    return Exposition(
        active_runs=lambda: 2,
        lag_ms=lambda: 250.0,
        pools={"requests": lambda: (1, 10), "own": lambda: (0, 3)},
        pending_approvals=database.count,
        metrics=Metrics(),
    )


def values(text: bytes) -> dict[tuple[str, frozenset[str]], float]:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_how_things_are(exposition: Exposition) -> None:
    told = values(await exposition.render())
    assert told["retinue_active_runs", frozenset()] == 2
    assert told["retinue_event_loop_lag_worst_seconds", frozenset()] == 0.25
    assert told["retinue_approvals_pending", frozenset()] == 3
    assert told["retinue_database_connections_in_use", frozenset({"requests"})] == 1
    assert told["retinue_database_connections_max", frozenset({"own"})] == 3


async def test_the_database_is_not_asked_by_every_scrape(
    exposition: Exposition, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(exposition_module, "monotonic", lambda: clock[0])
    for _ in range(3):
        await exposition.render()
    assert database.asked == 1
    clock[0] += exposition_module.FRESH_SECONDS
    database.pending = 4
    assert values(await exposition.render())["retinue_approvals_pending", frozenset()] == 4


async def test_what_the_database_does_not_tell_is_left_out(exposition: Exposition, database: Database) -> None:
    database.is_away = True
    told = await exposition.render()
    assert b"approvals_pending" not in told
    assert b"retinue_active_runs 2.0" in told


def series(metrics: Metrics) -> int:
    return sum(len(family.samples) for family in metrics.registry.collect() if family.name.startswith("retinue"))


@pytest.mark.parametrize(
    "count",
    [
        lambda metrics, word: metrics.request_answered(word, None, 404, 0.1),
        lambda metrics, _: metrics.tool_called(None, "read", "failed"),
    ],
)
def test_what_clients_and_models_make_up_becomes_no_series(count: Callable[[Metrics, str], None]) -> None:
    metrics = Metrics()
    count(metrics, "FIRST")
    before = series(metrics)
    for number in range(100):
        count(metrics, f"WORD{number}")
    assert series(metrics) == before


def test_methods_of_ours_are_named() -> None:
    metrics = Metrics()
    for method in METHODS:
        metrics.request_answered(method, "/x", 200, 0.1)
        labels = {"method": method, "route": "/x", "status": "2xx"}
        assert metrics.registry.get_sample_value("retinue_requests_total", labels) == 1


@pytest.mark.parametrize(("status", "is_refused"), [(401, True), (403, True), (429, True), (404, False), (200, False)])
def test_refusals_are_counted_apart(status: int, *, is_refused: bool) -> None:
    metrics = Metrics()
    metrics.request_answered("GET", "/x", status, 0.1)
    counted = metrics.registry.get_sample_value("retinue_requests_refused_total", {"status": str(status)})
    assert counted == (1 if is_refused else None)


def test_tokens_that_nobody_knows_are_not_counted() -> None:
    metrics = Metrics()
    metrics.provider_called("openai", "completed", input_tokens=7, output_tokens=None)
    value = metrics.registry.get_sample_value
    assert value("retinue_tokens_total", {"provider": "openai", "direction": "input"}) == 7
    assert value("retinue_tokens_total", {"provider": "openai", "direction": "output"}) is None


def test_the_library_s_own_registry_is_not_used() -> None:
    ours = {family.name for family in METRICS.registry.collect() if family.name.startswith("retinue")}
    theirs = {family.name for family in prometheus_client.REGISTRY.collect()}
    assert ours
    assert not ours & theirs
