import pytest

from retinue.domain.model_io import AssistantTurn, ModelRequest, ToolCall, ToolResult, ToolSpec, ToolTurn, UserTurn
from retinue.domain.usage import Provenance
from retinue.providers.estimate import estimate_input, estimate_tokens, estimate_usage


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 2), ("abcd日本語", 3), ("🚀", 1)],
)
def test_texts(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_everything_that_is_sent_counts() -> None:
    plain = ModelRequest(model="m", system="", turns=(UserTurn("abcd"),), max_output_tokens=9)
    assert estimate_input(plain) == 5
    full = ModelRequest(
        model="m",
        system="abcd",
        turns=(
            UserTurn("abcd"),
            AssistantTurn(text="abcd", tool_calls=(ToolCall(id="1", name="abcd", arguments="{}"),)),
            ToolTurn((ToolResult(call_id="1", name="abcd", content="abcd"),)),
        ),
        tools=(ToolSpec(name="abcd", description="abcd", parameters={}),),
        max_output_tokens=9,
    )
    assert estimate_input(full) == 5 + 5 + (5 + 1 + 1) + 5 + (4 + 1 + 1 + 1)


def test_usage_is_marked() -> None:
    request = ModelRequest(model="m", system="", turns=(UserTurn("abcd"),), max_output_tokens=9)
    usage = estimate_usage(request, text="abcd", reasoning="abcd", arguments="abcd")
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (5, 3, 1)
    assert usage.provenance is Provenance.ESTIMATED
    assert estimate_usage(request, text="").reasoning_tokens is None
