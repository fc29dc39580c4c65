"""The tree of errors: as drawn, and each with a code of its own."""

import re
from collections.abc import Iterator

import pytest

from retinue.domain import errors
from retinue.domain.errors import (
    FailedAnswer,
    FieldError,
    InvalidRequest,
    NotFound,
    PasswordRefused,
    ProviderError,
    ProviderRateLimited,
    RequestError,
    RetinueError,
    RunError,
    ToolError,
    Unavailable,
)
from retinue.domain.tools import ToolErrorKind

BRANCHES = (RetinueError, RequestError, ProviderError, RunError)
"""Never raised themselves."""


def descendants(kind: type[RetinueError]) -> Iterator[type[RetinueError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith(errors.__name__):
            yield child
            yield from descendants(child)


KINDS = [kind for kind in descendants(RetinueError) if kind not in (*BRANCHES, FailedAnswer)]


def drawing(kind: type[RetinueError], prefix: str = "") -> Iterator[str]:
    """The lines below a class, as the docstring of the module draws them."""
    children = [child for child in kind.__subclasses__() if child.__module__.startswith(errors.__name__)]
    for child in children:
        is_last = child is children[-1]
        words = _words(child)
        line = f"{prefix}{'└── ' if is_last else '├── '}{child.__name__}"
        yield f"{line:<34}{words}".rstrip()
        yield from drawing(child, prefix + ("    " if is_last else "│   "))


def _words(kind: type[RetinueError]) -> str:
    if kind in BRANCHES:
        return ""
    if kind is ToolError:
        return f"{kind.code}, told to the model"
    if issubclass(kind, ToolError):
        return kind.code
    return "as the run failed" if kind is FailedAnswer else f"{kind.status} {kind.code}"


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    drawn = errors.__doc__.split("\n\n")[1].splitlines()
    assert drawn == ["RetinueError", *drawing(RetinueError)]


def test_codes_are_unique_words() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)+|[a-z]+", code)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_speaks_for_itself(kind: type[RetinueError]) -> None:
    own = vars(kind)
    assert {"code", "title"} <= own.keys(), "code and title are not inherited"
    assert 400 <= kind.status <= 599
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    error = kind()
    assert (error.detail, error.problem_code, error.errors, error.headers) == (kind.title, kind.code, (), {})
    assert str(error) == kind.title


def test_titles_are_unique() -> None:
    assert len({kind.title for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, RequestError)])
def test_only_requests_that_may_succeed_later_are_worth_repeating(kind: type[RetinueError]) -> None:
    assert kind.retryable is (kind.status in {402, 408, 429, 503})


def test_a_case_may_have_its_own_code_detail_fields_and_headers() -> None:
    fields = (FieldError(pointer="/name", detail="too long"),)
    error = InvalidRequest("No.", code="name_too_long", errors=fields)
    assert (error.problem_code, error.code, error.detail, error.errors) == (
        "name_too_long",
        "validation_failed",
        "No.",
        fields,
    )
    assert Unavailable(headers={"Retry-After": "1"}).headers == {"Retry-After": "1"}
    assert NotFound().problem_code == "not_found"


def test_a_provider_may_ask_for_a_pause() -> None:
    assert ProviderRateLimited(retry_after=2.5).retry_after == 2.5
    assert ProviderRateLimited().retry_after is None


def test_a_tool_that_fails_says_what_it_knows_of_its_effect() -> None:
    error = ToolError("Busy.", kind=ToolErrorKind.TRANSIENT, code="shop_busy", took_effect=False)
    assert (error.detail, error.kind, error.problem_code) == ("Busy.", ToolErrorKind.TRANSIENT, "shop_busy")
    assert error.took_effect is False
    assert (ToolError().kind, ToolError().took_effect) == (ToolErrorKind.UNKNOWN, None)


def test_a_wrong_password_has_done_nothing() -> None:
    error = PasswordRefused()
    assert (error.kind, error.took_effect, error.detail) == (ToolErrorKind.AUTH, False, "The password is wrong")


def test_a_failed_answer_repeats_what_the_run_said() -> None:
    error = FailedAnswer(code="provider_auth", title="Refused", status=502, detail="The key.", retryable=True)
    assert (error.problem_code, error.title, error.status, error.detail, error.retryable) == (
        "provider_auth",
        "Refused",
        502,
        "The key.",
        True,
    )
    assert FailedAnswer.status == 500, "the class itself stays as it was"
