"""What the engine, the models and the people who decide rely on, for each tool."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retinue.domain.errors import ToolError
from retinue.domain.tools import Effect, Risk, ToolErrorKind
from retinue.egress import EgressPolicy, make_client
from retinue.tools.base import Tool
from retinue.tools.builtin.registry import builtin_tools
from retinue.tools.registry import ToolRegistry
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings
from tests.contract.tools.subjects import SUBJECTS, Subject, a_shop
from tests.unit.tools.builtin.calls import CALLER, an_invocation

SEVERITY = (Effect.READ, Effect.IDEMPOTENT, Effect.WRITE)
OWN_WORDS = {"risk_level", "reason"}
"""Arguments in which the model speaks about its call; they are shown apart from the question."""


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    chosen: Subject = request.param
    return chosen


@pytest.fixture
def tool(subject: Subject, tmp_path: Path) -> Tool[Any]:
    return subject.make(tmp_path)


def test_every_tool_is_under_contract(tmp_path: Path) -> None:
    policy = EgressPolicy()
    tools = builtin_tools(make_client(policy), policy, a_shop()) + workspace_tools(WorkspaceSettings(root=tmp_path))
    assert sorted(subject.name for subject in SUBJECTS) == sorted(tool.name for tool in tools)


def test_the_registry_takes_it(subject: Subject, tool: Tool[Any]) -> None:
    assert ToolRegistry([tool]).find(subject.name) is tool


def test_it_says_what_it_is(subject: Subject, tool: Tool[Any]) -> None:
    assert subject.is_idempotent == (tool.effect is Effect.IDEMPOTENT)
    assert len(tool.description) > 20
    assert tool.description.endswith(".")
    assert tool.version
    assert tool.touches
    assert 0 < tool.timeout <= 300


def test_models_understand_its_schema(subject: Subject, tool: Tool[Any]) -> None:
    """One object, no references, nothing unknown allowed, every argument explained."""
    schema = tool.spec.parameters
    assert "$ref" not in msgspec.json.encode(schema).decode()
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert set(subject.args) == set(schema["properties"]) - OWN_WORDS
    assert all(len(argument["description"]) > 10 for argument in schema["properties"].values())
    assert jsonschema_rs.validator_for(schema).is_valid(subject.args)


def test_it_reads_what_fits_its_schema(subject: Subject, tool: Tool[Any]) -> None:
    arguments = tool.read(subject.args)
    assert {name: getattr(arguments, name) for name in subject.args} == subject.args
    with pytest.raises(AttributeError):
        setattr(arguments, next(iter(subject.args)), None)


@pytest.mark.parametrize("wrong", [None, True, 1, "text", [], [{}], {"unknown": 1}, {"": ""}])
def test_it_refuses_what_is_no_set_of_arguments(tool: Tool[Any], wrong: Any) -> None:
    refused(tool, wrong)


@pytest.mark.parametrize("wrong", [{}, [], [1], {"a": {}}, 1.5, -1, 10**30, "", "x" * 900])
def test_it_refuses_arguments_of_another_kind(subject: Subject, tool: Tool[Any], wrong: Any) -> None:
    """By the schema that the model was given, no more and no less."""
    validator = jsonschema_rs.validator_for(tool.spec.parameters)
    for name in subject.args:
        args = {**subject.args, name: wrong}
        if validator.is_valid(args):
            tool.read(args)
        else:
            refused(tool, args)


def test_it_refuses_endless_texts(subject: Subject, tool: Tool[Any]) -> None:
    """Also where the schema is silent about it: models are not shown large bounds."""
    for name, value in subject.args.items():
        if isinstance(value, str):
            refused(tool, {**subject.args, name: "x" * 100_000})


def test_it_refuses_what_it_does_not_know(subject: Subject, tool: Tool[Any]) -> None:
    refused(tool, {**subject.args, "force": True})


def refused(tool: Tool[Any], args: Any) -> None:
    with pytest.raises(ToolError) as caught:
        tool.read(args)
    assert (caught.value.kind, caught.value.problem_code) == (ToolErrorKind.VALIDATION, "invalid_arguments")
    assert caught.value.took_effect is False


async def test_a_call_is_no_worse_than_the_tool_says(subject: Subject, tool: Tool[Any]) -> None:
    arguments = tool.read(subject.args)
    assessment = await tool.assess(arguments, CALLER)
    assert SEVERITY.index(assessment.effect) <= SEVERITY.index(tool.effect)
    assert assessment.refusal is None
    assert await tool.assess(arguments, CALLER) == assessment


async def test_reading_runs_at_once_and_changes_are_asked_for(subject: Subject, tool: Tool[Any]) -> None:
    assessment = await tool.assess(tool.read(subject.args), CALLER)
    is_harmless = assessment.risk.severity < Risk.MEDIUM.severity and not assessment.scope
    assert is_harmless == (assessment.effect is Effect.READ)
    assert is_harmless or tool.effect is not Effect.READ


def test_a_person_is_asked_in_one_sentence_with_all_that_matters(subject: Subject, tool: Tool[Any]) -> None:
    question = tool.question(tool.read(subject.args))
    assert question.endswith("?")
    assert "\n" not in question
    assert all(str(value) in question for name, value in subject.args.items() if name not in OWN_WORDS)


async def test_it_returns_json(subject: Subject, tool: Tool[Any]) -> None:
    arguments = tool.read(subject.args)
    await tool.assess(arguments, CALLER)
    result = msgspec.to_builtins(await tool.run(arguments, an_invocation()), str_keys=True)
    assert msgspec.json.decode(msgspec.json.encode(result))


async def test_it_keeps_nothing(subject: Subject, tool: Tool[Any]) -> None:
    """Tenants share the instance."""
    assert tool.spec.name == subject.name
    before = dict(vars(tool))
    arguments = tool.read(subject.args)
    await tool.assess(arguments, CALLER)
    await tool.run(arguments, an_invocation())
    after = vars(tool)
    assert list(after) == list(before)
    assert all(after[name] is value for name, value in before.items())


@pytest.mark.parametrize("subject", [subject for subject in SUBJECTS if subject.is_idempotent], ids=str)
async def test_a_repeated_idempotent_call_answers_the_same(subject: Subject, tool: Tool[Any]) -> None:
    arguments = tool.read(subject.args)
    first = await tool.run(arguments, an_invocation("run:1"))
    assert await tool.run(arguments, an_invocation("run:1")) == first


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that fit a tool's schema, with the strangest texts."""
    properties = {name: value(part) for name, part in schema["properties"].items()}
    required = {name: properties.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=properties)


def value(part: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "anyOf" in part:
        return st.one_of([value(branch) for branch in part["anyOf"]])
    if "enum" in part:
        return st.sampled_from(part["enum"])
    match part["type"]:
        case "string":
            sizes = {"min_size": part.get("minLength", 0), "max_size": min(part.get("maxLength", 200), 200)}
            return st.text(**sizes) | st.text("\x00\ud800\u202e/.:~%$;|&`'\"(){}<>#@\\ \n12ax", **sizes)
        case "integer":
            return st.integers(part.get("minimum", -(10**9)), part.get("maximum", 10**9))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise AssertionError(f"say here how to make {part}")


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_fits_the_schema_has_a_result_or_a_typed_error(subject: Subject, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tool = subject.make(Path(folder))
        args = data.draw(fitting(tool.spec.parameters))
        asyncio.run(tried(tool, args))


async def tried(tool: Tool[Any], args: dict[str, Any]) -> None:
    """Anything but a ToolError fails the test."""
    with contextlib.suppress(ToolError):
        arguments = tool.read(args)
        assert len(tool.question(arguments).splitlines()) == 1
        assessment = await tool.assess(arguments, CALLER)
        if not (assessment.refusal or assessment.scope or assessment.effect is Effect.WRITE):
            result = await tool.run(arguments, an_invocation())
            assert msgspec.to_builtins(result, str_keys=True) is not None
