"""Thousands of requests from the description, and everything that is wrong with what they are answered."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import EnsureResourceAvailability

from retinue.http.idempotency import REPLAYED
from tests.fuzz.exclusions import excluded
from tests.fuzz.ground import CANARY, KINDS, Ground
from tests.fuzz.sizes import IS_FULL, SEED, Sizes

ENDLESS = "stream_conversation"
"""The operation whose stream has no end of its own."""
ENDLESS_SECONDS = 0.5
STREAM_EVENTS = 25
"""A stream is left after so many."""
ANSWER_SECONDS = 120.0

NO_FAULT = ["402", "403", "404", "409", "429"]
"""Refusals of requests that have nothing wrong in themselves."""
REFUSALS = [*NO_FAULT, "400", "401", "405", "413", "414", "415", "422", "431"]
FAMILIARITY = 0.6
"""How often a request names something that there is."""

PLACES = {
    "tenant_id": ("path.tenant_id", "query.tenant_id", "body.tenant_id"),
    "employee_id": ("path.employee_id", "query.employee_id", "body.employee_id"),
    "conversation_id": ("path.conversation_id", "body.conversation_id"),
    "run_id": ("path.run_id",),
    "approval_id": ("path.approval_id", "body.approval_id"),
    "key_id": ("path.key_id",),
    "event_id": ("query.after", "header.Last-Event-ID"),
}
"""Where ids of a kind can be told."""


class Finding(msgspec.Struct, frozen=True):
    check: str
    operation: str
    title: str
    detail: str
    request: str
    """As a command that sends it again."""
    answer: str

    def __str__(self) -> str:
        return f"{self.check}: {self.operation}: {self.title}\n{self.detail}\n{self.request}\n→ {self.answer}"


class Report(msgspec.Struct):
    """What came of a campaign."""

    cases: Counter[str] = msgspec.field(default_factory=Counter)
    """Requests by phase."""
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    reached: defaultdict[str, set[int]] = msgspec.field(default_factory=lambda: defaultdict(set))
    """The statuses that each operation answered with."""
    findings: list[Finding] = msgspec.field(default_factory=list)
    excluded: Counter[str] = msgspec.field(default_factory=Counter)
    errors: list[str] = msgspec.field(default_factory=list)
    """Why something could not be tried."""

    @property
    def total(self) -> int:
        return self.cases.total()


class Campaign:
    """
    Args:
        heal: puts the tenant's settings right again after a request has changed them.
    """

    def __init__(
        self, document: Mapping[str, Any], address: str, ground: Ground, sizes: Sizes, heal: Callable[[], None]
    ) -> None:
        self._ground = ground
        self._heal = heal
        config = _config(address, ground, sizes, _names(document))
        self._schema = schemathesis.openapi.from_dict(dict(document), config=config)
        self._report = Report()
        self._replayed: set[str] = set()
        """What answers to repeated requests tell of."""
        for hook in (self.filter_case, self.filter_failure, self.after_call):
            self._schema.hooks.register_hook_with_name(hook, hook.__name__)

    def run(self) -> Report:
        for event in from_schema(self._schema).execute():
            match event:
                case events.ScenarioFinished():
                    self._count(event)
                case events.NonFatalError():
                    self._report.errors.append(f"{event.label}: {event.info.title}: {event.info.message}")
                case events.FatalError():
                    raise event.exception
        return self._report

    def filter_case(self, _: HookContext, case: Case[Any]) -> bool:
        """Keep what all other requests live on."""
        ends = case.operation.method.upper() == "DELETE" or case.operation.path.endswith("/rotate")
        return not ends or self._ground.kept.isdisjoint(_named(case))

    def filter_failure(self, _: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
        reason = excluded(failure, case, response)
        if isinstance(failure, EnsureResourceAvailability) and not self._replayed.isdisjoint(_named(case)):
            reason = "a repeated request tells again what it made; it may have been deleted since"
        if reason is not None:
            self._report.excluded[reason] += 1
        return reason is None

    def after_call(self, _: HookContext, case: Case[Any], response: Response) -> None:
        status = response.status_code
        if response.headers.get(REPLAYED.lower()):
            self._replayed.add(str(response.json().get("id")))
        self._report.statuses[status] += 1
        self._report.reached[case.operation.label].add(status)
        if self._ground.kind != "operator":
            self._look_for_others(case, response)
        if status < 300 and case.operation.method.upper() in {"PUT", "PATCH", "POST"}:
            self._repair(case)

    def _look_for_others(self, case: Case[Any], response: Response) -> None:
        foreign = {each for ids in self._ground.foreign.values() for each in ids}
        if CANARY.encode() in response.content or (_named(case) & foreign and response.status_code < 400):
            self._report.findings.append(_finding("isolation", case, response))

    def _repair(self, case: Case[Any]) -> None:
        if case.operation.path.rpartition("/")[2] in {"config", "limits", "budgets"}:
            self._heal()

    def _count(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        self._report.cases[event.phase.value] += len(recorder.interactions)
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if (info := check.failure_info) is None:
                    continue
                answered = recorder.interactions[info.failure.case_id or case_id].response
                self._report.findings.append(
                    Finding(
                        check.name,
                        recorder.cases[case_id].value.operation.label,
                        info.failure.title,
                        info.failure.message,
                        info.code_sample,
                        "nothing" if answered is None else _shown(answered),
                    )
                )


def _named(case: Case[Any]) -> set[str]:
    return set(map(str, (case.path_parameters or {}).values()))


def _finding(check: str, case: Case[Any], response: Response) -> Finding:
    return Finding(check, case.operation.label, "Somebody else's", "", case.as_curl_command(), _shown(response))


def _shown(response: Response) -> str:
    return f"{response.status_code} {response.content[:800].decode(errors='replace')}"


def _names(document: Mapping[str, Any]) -> list[str]:
    return sorted(operation["operationId"] for path in document["paths"].values() for operation in path.values())


def _without(phase: str, names: Sequence[str], share: int, offset: int) -> list[dict[str, Any]]:
    """Leaves a phase out, but for every so many-th operation."""
    others = [name for number, name in enumerate(names) if (number - offset) % share]
    return [{"include-operation-id": name, "phases": {phase: {"enabled": False}}} for name in others]


def _config(address: str, ground: Ground, sizes: Sizes, operations: Sequence[str]) -> SchemathesisConfig:
    generation = {
        "max-examples": sizes.examples,
        "deterministic": not IS_FULL,
        "database": "none",
        "with-security-parameters": False,
        "no-shrink": not IS_FULL,
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "base-url": f"http://{address}",
            "headers": {"Authorization": f"Bearer {ground.credential}"},
            "continue-on-failure": True,
            "request-timeout": ANSWER_SECONDS,
            "max-stream-events": STREAM_EVENTS,
            "output": {"sanitization": {"enabled": False}},
            "generation": generation,
            "checks": {
                "negative_data_rejection": {"expected-statuses": REFUSALS},
                "positive_data_acceptance": {"expected-statuses": ["2xx", *NO_FAULT, "5xx"]},
            },
            "phases": {
                "stateful": {
                    "max-steps": sizes.steps,
                    "generation": generation | {"max-examples": sizes.scenarios},
                    # Links that a server only hints at may lead anywhere, and a URL that is none ends the campaign.
                    "inference": {"algorithms": ["dependency-analysis"]},
                }
            },
            "operations": [
                {"include-operation-id": ENDLESS, "request-timeout": ENDLESS_SECONDS},
                *_without("coverage", operations, sizes.share, KINDS.index(ground.kind)),
                *_without("fuzzing", operations, sizes.share, KINDS.index(ground.kind) + 1),
            ],
            "dictionaries": {name: {"values": ids} for name, ids in ground.words.items()},
            "parameters": {
                place: {"dictionary": name, "probability": FAMILIARITY}
                for name in ground.words
                for place in PLACES[name]
            },
        }
    )
