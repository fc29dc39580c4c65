"""Answers that look wrong to a tool that knows a schema only, and why they are right.

Each is told as narrowly as it can be: one check, and one way in which the API refuses.
"""

import re
from typing import Any, NamedTuple

import msgspec
from schemathesis import Case, Response
from schemathesis.core.failures import Failure, ServerError
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

_ANY = ""


class Exclusion(NamedTuple):
    """All that is told must fit: each as a regular expression, somewhere in the text."""

    check: type[Failure]
    reason: str
    code: str = _ANY
    place: str = _ANY
    """Of everything that the problem document complains about: the JSON pointer or the parameter."""
    detail: str = _ANY
    """Of everything that it complains about."""
    operation: str = _ANY


def _between_fields(operation: str, place: str, detail: str) -> Exclusion:
    reason = "a rule between fields, told in their descriptions"
    return Exclusion(RejectedPositiveData, reason, "^validation_failed$", place, detail, operation)


_KNOWN_TO_SERVER = "a word of the right form that only the server gives out or knows; the description lists the code"
_SETTING = "a bound that is a setting of the server, told in the description"

EXCLUSIONS = (
    Exclusion(
        ServerError,
        "the model provider's failure, not the server's; the description lists the code",
        "^(?:provider_|egress_refused$|process_lost$|run_timeout$|step_limit|answer_too_long|tokens_used_up)",
        operation="POST /conversations/{conversation_id}/messages$",
    ),
    Exclusion(
        EnsureResourceAvailability,
        "a tenant that was just made has no provider yet; the description lists the code",
        "^provider_not_configured$",
        operation="GET /tenants/{tenant_id}/config$",
    ),
    Exclusion(
        RejectedPositiveData,
        _KNOWN_TO_SERVER,
        "^(?:unknown_(?:provider|tool|event_id)|invalid_(?:event_id|cursor)|idempotency_key_reused)$",
    ),
    Exclusion(
        RejectedPositiveData,
        "a tenant's credentials may leave tenant_id out, the operator may not; the description says so",
        place="^/?tenant_id$",
        detail="^Required",
    ),
    Exclusion(
        RejectedPositiveData,
        "to a schema 1.0 is an integer; a body with it was made by somebody who does not mean one",
        place="^/",
        detail="^Expected `int(?: \\| null)?`, got `float`$",
    ),
    Exclusion(RejectedPositiveData, _SETTING, place="/max_output_tokens$|/context_tokens$", detail="on this server"),
    Exclusion(RejectedPositiveData, _SETTING, place="^/content$", detail="characters"),
    Exclusion(RejectedPositiveData, _SETTING, "^message_exceeds_context$"),
    Exclusion(RejectedPositiveData, "a bound that depends on other fields", "^(?:api_key_missing|egress_refused)$"),
    _between_fields("POST /conversations/{conversation_id}/messages$", "^/(?:reasoning|on_)", "^Needs an answer"),
    _between_fields("POST /conversations/{conversation_id}/messages(?:/stream)?$", "^/reasoning$", "."),
    _between_fields("POST /runs/{run_id}/continue/stream$", "^/comment$", "^Needs a decision"),
    _between_fields("POST /runs/{run_id}/resolve-effect$", "^/result$", "^Only what happened"),
    _between_fields("POST /tenants/{tenant_id}/budgets$", "^/subject_id$", "."),
    _between_fields("PUT /tenants/{tenant_id}/config$", "^/max_output_tokens$", "^An answer must be shorter"),
    _between_fields("PUT /tenants/{tenant_id}/prices$", "^/prices/[0-9]+", "has a price already|must be one of"),
    _between_fields("PUT /tenants/{tenant_id}/origins$", "^/origins/[0-9]+$", "^Leave out the port"),
    _between_fields("GET /usage$", "^from$", "^Before `to`"),
)


def excluded(failure: Failure, case: Case[Any], response: Response) -> str | None:
    """Why this is none; None for a failure."""
    problem = _problem(response)
    if problem is None:
        return None
    operation = f"{case.operation.method.upper()} {case.operation.path.removeprefix('/api/v1')}"
    for exclusion in EXCLUSIONS:
        if isinstance(failure, exclusion.check) and _fits(exclusion, operation, problem):
            return exclusion.reason
    return None


def _fits(exclusion: Exclusion, operation: str, problem: dict[str, Any]) -> bool:
    complaints = problem.get("errors", ())
    if not complaints and (exclusion.place or exclusion.detail):
        return False
    places = (str(complaint.get("pointer") or complaint.get("parameter")) for complaint in complaints)
    return bool(
        re.search(exclusion.operation, operation)
        and re.search(exclusion.code, problem["code"])
        and all(re.search(exclusion.place, place) for place in places)
        and all(re.search(exclusion.detail, complaint["detail"]) for complaint in complaints)
    )


def _problem(response: Response) -> dict[str, Any] | None:
    if response.headers.get("content-type") != ["application/problem+json"]:
        return None
    problem: dict[str, Any] = msgspec.json.decode(response.content)
    return problem
