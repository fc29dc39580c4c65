"""What an approval is bound to, and what a grant covers."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given

from retinue.domain.approvals import Grant, call_digest
from retinue.domain.ids import new_id, now
from retinue.domain.tools import Effect, Risk
from tests.support.runs import json_values

CALL: dict[str, Any] = {
    "tenant_id": UUID("01928f6e-0000-7000-8000-000000000001"),
    "run_id": UUID("01928f6e-0000-7000-8000-000000000002"),
    "call_id": "call_1",
    "tool": "list_dir",
    "version": "1",
    "args": {"path": "/srv", "depth": 1},
}


def grant(**fields: Any) -> Grant:
    at = {"id": new_id(), "tenant_id": new_id(), "conversation_id": new_id(), "approval_id": new_id()}
    words = {"tool": "list_dir", "tool_version": "1", "scope": "/srv", "granted_by": "operator"}
    bounds = {"effect": Effect.IDEMPOTENT, "risk": Risk.LOW}
    return Grant(**{**at, **words, **bounds, "created_at": now(), **fields})


def test_a_digest_stays_what_it_is_for_ever() -> None:
    """Approvals are stored with theirs: another digest for the same call would void all that are pending."""
    assert call_digest(**CALL) == "986e7493b4e84b3394ca0bb394bf090150c3afd52799c9f88ae32b3951f5f025"


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": new_id()},
        {"run_id": new_id()},
        {"call_id": "call_2"},
        {"tool": "file_read"},
        {"version": "2"},
        {"args": {"path": "/srv/", "depth": 1}},
        {"args": {"path": "/srv", "depth": "1"}},
        {"args": {"path": "/srv", "depth": True}},
        {"args": {"path": "/srv"}},
        {"args": {"path": "/srv", "depth": 1, "more": None}},
        {"args": [{"path": "/srv", "depth": 1}]},
        {"call_id": "call_1list_dir", "tool": ""},
    ],
)
def test_everything_that_was_shown_is_bound(change: dict[str, Any]) -> None:
    assert call_digest(**CALL | change) != call_digest(**CALL)


def test_the_order_of_the_arguments_does_not_matter() -> None:
    assert call_digest(**CALL | {"args": {"depth": 1, "path": "/srv"}}) == call_digest(**CALL)


@given(json_values, json_values)
def test_other_arguments_have_another_digest(one: Any, other: Any) -> None:
    is_same = msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
    assert (call_digest(**CALL | {"args": one}) == call_digest(**CALL | {"args": other})) is is_same


@given(json_values)
def test_a_digest_survives_being_stored(args: Any) -> None:
    assume(args is not None)
    again = msgspec.json.decode(msgspec.json.encode(args))
    assert call_digest(**CALL | {"args": again}) == call_digest(**CALL | {"args": args})


@pytest.mark.parametrize(
    ("wanted", "is_covered"),
    [
        ({}, True),
        ({"risk": Risk.NONE}, True),
        ({"risk": Risk.MEDIUM}, False),
        ({"effect": Effect.READ}, True),
        ({"effect": Effect.WRITE}, False),
        ({"tool": "file_read"}, False),
        ({"version": "2"}, False),
        ({"scope": ""}, False),
        ({"scope": "/srv/deeper"}, False),
        ({"scope": "/"}, False),
    ],
)
def test_a_grant_covers_exactly_its_scope_and_no_higher_risk(wanted: dict[str, Any], is_covered: bool) -> None:
    asked: dict[str, Any] = {"tool": "list_dir", "version": "1", "effect": Effect.IDEMPOTENT}
    asked |= {"risk": Risk.LOW, "scope": "/srv"}
    assert grant().covers(**asked | wanted) is is_covered
