"""`retinue prove-isolation`."""

from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from retinue import proving
from retinue.__main__ import main
from retinue.proving.attacks import Finding
from retinue.proving.exchange import Ask
from retinue.proving.report import Report
from retinue.proving.timing import Timing

KEY = "the-operators-own-key"
FINDING = Finding(
    operation="GET /api/v1/runs/{run_id}",
    attacker="stranger's admin",
    places="path run_id",
    what="status 200 instead of 404",
    repeat="curl one",
    compare="curl other",
)
TIMING = Timing(operation="GET /", places="path run_id", foreign_ms=3.0, missing_ms=1.0, chance=0.0)


def report(*findings: Finding, held_back: int = 0) -> Report:
    return Report(
        url="http://127.0.0.1:1",
        operations=3,
        attackers=["stranger's admin"],
        attacks=7,
        requests=20,
        held_back=held_back,
        findings=findings,
        timings=[TIMING],
    )


def run(monkeypatch: pytest.MonkeyPatch, outcome: Report | Exception, *options: str, key: str | None = KEY) -> Result:
    async def prove(url: str, operator: str, *, rounds: int) -> Report:
        assert (url, operator, rounds) == ("http://127.0.0.1:1", KEY, 20)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(proving, "prove", prove)
    environment: dict[str, Any] = {"RETINUE_OPERATOR_KEY": key}
    return CliRunner().invoke(main, ["prove-isolation", "--url", "http://127.0.0.1:1", *options], env=environment)


def test_a_clean_report_is_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, report(held_back=2))
    assert done.exit_code == 0, done.output
    assert "3 operations, 7 attacks, 20 requests" in done.output
    assert "2 attacks with wrong credentials were held back" in done.output
    assert "suspicious" in done.output
    assert "No difference was found." in done.output


def test_a_difference_is_a_failure_that_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, report(FINDING))
    assert done.exit_code == 1
    for said in (FINDING.what, FINDING.repeat, FINDING.compare, "1 differences."):
        assert said in done.output
    assert KEY not in done.output


def test_a_report_can_be_read_by_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, report(FINDING), "--json")
    assert done.exit_code == 1
    read = msgspec.json.decode(done.output)
    assert read["is_clean"] is False
    assert read["findings"] == [msgspec.to_builtins(FINDING)]


def test_nothing_proven_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, proving.ProvingFailed("Nobody answers."))
    assert (done.exit_code, "Nobody answers." in done.output) == (2, True)


def test_without_a_key_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, report(), key=None)
    assert done.exit_code == 2
    assert "--operator-key" in done.output


def test_a_command_to_repeat_shows_no_credential() -> None:
    ask = Ask(
        method="POST",
        path="/a b",
        query={"after": "run:1-1"},
        headers={"Idempotency-Key": "it's"},
        body={"text": "it's"},
    )
    assert ask.as_curl("http://h", "TOKEN_USER") == (
        "curl -i -X POST -H 'Idempotency-Key: it'\"'\"'s' -H \"Authorization: Bearer $TOKEN_USER\" "
        "-H 'Content-Type: application/json' -d '{\"text\":\"it'\"'\"'s\"}' 'http://h/a b?after=run%3A1-1'"
    )
