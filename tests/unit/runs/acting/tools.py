"""Small tools that do what a test says, and models that ask for them."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from retinue.domain.encoding import encode_text
from retinue.domain.model_io import Finished, FinishReason, TextPiece, ToolCallEnded, ToolCallPiece, ToolCallStarted
from retinue.domain.tools import Assessment, Effect, Risk
from retinue.tools.base import Caller, Invocation, Tool
from tests.unit.runs.doubles import Step

Deed = Any | Exception | Callable[[], Awaitable[Any]]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""


class StubTool(Tool[Words]):
    """Does one deed per call: exceptions are raised, functions awaited for what they return, all else is the result."""

    description = "For tests."
    arguments = Words

    def __init__(self, *deeds: Deed, **assessment: Any) -> None:
        self.deeds = deque(deeds)
        self.assessment = Assessment(effect=self.effect, risk=self.risk, **assessment)
        self.invocations: list[Invocation] = []
        self.passwords: list[str | None] = []

    @property
    def times(self) -> int:
        """How often it was really called."""
        return len(self.invocations)

    async def assess(self, arguments: Words, caller: Caller) -> Assessment:  # noqa: ARG002
        return self.assessment

    async def run(self, arguments: Words, invocation: Invocation) -> Any:
        self.invocations.append(invocation)
        self.passwords.append(invocation.password.reveal() if invocation.password else None)
        deed = self.deeds.popleft() if self.deeds else f"{self.name} {arguments.text}".strip()
        if isinstance(deed, Exception):
            raise deed
        return await deed() if callable(deed) else deed


def a_tool(name: str, *deeds: Deed, effect: Effect = Effect.READ, risk: Risk = Risk.LOW, **more: Any) -> StubTool:
    own: dict[str, Any] = {key: more.pop(key) for key in ("timeout", "version") if key in more}
    kind = type(f"Stub_{name}", (StubTool,), {"name": name, "effect": effect, "risk": risk, **own})
    tool: StubTool = kind(*deeds, **more)
    return tool


def a_read(name: str = "look", *deeds: Deed, **more: Any) -> StubTool:
    return a_tool(name, *deeds, **more)


def a_write(name: str = "send", *deeds: Deed, risk: Risk = Risk.MEDIUM, **more: Any) -> StubTool:
    return a_tool(name, *deeds, effect=Effect.WRITE, risk=risk, **more)


def an_idempotent(name: str = "book", *deeds: Deed, **more: Any) -> StubTool:
    return a_tool(name, *deeds, effect=Effect.IDEMPOTENT, risk=Risk.MEDIUM, **more)


def a_sudo(*deeds: Deed, risk: Risk = Risk.HIGH) -> StubTool:
    """Needs a password."""
    return a_tool("sudo", *deeds, effect=Effect.WRITE, risk=risk, needs_password=True)


def wants(*calls: str | tuple[str, Any], text: str = "", first: int = 1) -> list[Step]:
    """A model turn that asks for tools, by name or by name and arguments. Their ids are `<name>-<number>`."""
    steps: list[Step] = [TextPiece(text)] if text else []
    for number, call in enumerate(calls, first):
        name, args = call if isinstance(call, tuple) else (call, {})
        call_id = f"{name}-{number}"
        fragment = args if isinstance(args, str) else encode_text(args)
        steps += [
            ToolCallStarted(id=call_id, name=name),
            ToolCallPiece(id=call_id, fragment=fragment),
            ToolCallEnded(id=call_id),
        ]
    return [*steps, Finished(FinishReason.TOOL_CALLS)]
