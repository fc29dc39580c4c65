"""What the model does in one conversation: turns that call tools, then a last word."""

from collections.abc import Sequence

import msgspec

from tests.support.upstream import Hold, Scenario, Text, Tool, says
from tests.support.upstream.catalogue import SERIES_MARK

WRITE, SET, READ = "remote_write", "remote_set", "remote_read"
TOOLS = [WRITE, SET, READ]


class Call(msgspec.Struct, frozen=True):
    tool: str
    marker: str

    @property
    def id(self) -> str:
        return f"call_{self.marker}"


Turn = Sequence[Call]


def held(marker: str, step: int) -> str:
    """The name of the gate at which the model stands before it says anything in a step, if it has one there."""
    return f"{marker}#{step}"


def last_word(marker: str) -> str:
    return f"All of {marker} is done."


def script(marker: str, turns: Sequence[Turn], *, hold_at: int | None = None) -> str:
    """The message that makes the model do this. `hold_at` counts the steps from 1."""
    answers = [_answer(marker, turn) for turn in turns]
    answers.append(says(last_word(marker)))
    if hold_at is not None:
        answer = answers[hold_at - 1]
        gate = Hold(held(marker, hold_at))
        answers[hold_at - 1] = answer.with_(pieces=(gate, *answer.pieces))
    return SERIES_MARK + msgspec.json.encode([_terse(answer) for answer in answers]).decode()


def _answer(marker: str, turn: Turn) -> Scenario:
    calls = [Tool({"marker": call.marker}, id=call.id, name=call.tool, index=index) for index, call in enumerate(turn)]
    return Scenario(pieces=(Text(f"I see to {marker}. "), *calls), finish="tool_calls")


def _terse(scenario: Scenario) -> dict[str, object]:
    """Without what is the default anyway: messages must not become too long."""
    default = msgspec.to_builtins(Scenario())
    return {name: value for name, value in msgspec.to_builtins(scenario).items() if value != default[name]}
