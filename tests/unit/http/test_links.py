"""Answers whose ids lead on."""

from typing import Any
from uuid import UUID

import msgspec

from retinue.http.openapi.links import links
from retinue.http.openapi.operations import Operation, Parameter


class Made(msgspec.Struct):
    id: UUID
    tenant_id: UUID


class Answered(msgspec.Struct):
    run_id: UUID
    approvals: tuple[str, ...]


def operation(method: str, path: str, status: int = 200, query: tuple[str, ...] = ()) -> Operation:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [Parameter(name=name, place="path", type=UUID, is_required=True) for name in names]
    parameters += [Parameter(name=name, place="query", type=UUID, is_required=False) for name in query]
    name = f"{method}{path.replace('/', '_').replace('{', '').replace('}', '')}"
    return Operation(
        path=path,
        method=method,
        name=name,
        summary="",
        description="",
        tags=(),
        is_public=False,
        scope=None,
        status=status,
        parameters=parameters,
    )


OTHERS = [
    operation("post", "/things", 201),
    operation("get", "/things", query=("tenant_id",)),
    operation("get", "/things/{thing_id}"),
    operation("delete", "/things/{thing_id}"),
    operation("post", "/things/{thing_id}/parts", 201),
    operation("get", "/things/{thing_id}/parts/{part_id}"),
    operation("get", "/runs/{run_id}"),
    operation("post", "/approvals/{approval_id}/deny"),
]


def targets(source: Operation, status: int, *answers: Any) -> dict[str, dict[str, str]]:
    return {name: link["parameters"] for name, link in links(source, status, answers, OTHERS).items()}


def test_what_was_made_is_read_listed_and_deleted() -> None:
    thing = {"thing_id": "$response.body#/id"}
    assert targets(OTHERS[0], 201, Made) == {
        "get_things": {"query.tenant_id": "$response.body#/tenant_id"},
        "get_things_thing_id": thing,
        "delete_things_thing_id": thing,
        "post_things_thing_id_parts": thing,
    }


def test_what_was_made_below_something_needs_both_ids() -> None:
    both = {"thing_id": "$request.path.thing_id", "part_id": "$response.body#/id"}
    assert targets(OTHERS[4], 201, Made) == {"get_things_thing_id_parts_part_id": both}


def test_runs_and_approvals_are_found_where_answers_name_them() -> None:
    say = operation("post", "/things/{thing_id}/say")
    run = {"run_id": "$response.body#/run_id"}
    assert targets(say, 200, Made, Answered) == {"get_runs_run_id": run}
    approval = {"approval_id": "$response.body#/approvals/0/approval_id"}
    assert targets(say, 202, Answered) == {"get_runs_run_id": run, "post_approvals_approval_id_deny": approval}


def test_only_what_acts_leads_on_and_only_from_one_object() -> None:
    assert targets(OTHERS[2], 200, Made) == {}
    assert targets(OTHERS[0], 200, list[Answered]) == {}
