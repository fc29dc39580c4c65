"""The tool `fallback_respond`."""

from typing import Annotated

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool

_WAYS_OUT = (
    "Ask for one of the things that this employee can do.",
    "Put the question in other words if it was misunderstood.",
    "Ask for a person to take over.",
)


class FallbackArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    question: Annotated[
        str,
        msgspec.Meta(
            description="What the user asks for that no tool and no knowledge at hand can serve, in one sentence.",
            min_length=1,
            max_length=500,
        ),
    ]


class FallbackAnswer(msgspec.Struct, frozen=True):
    status: str
    message: str
    ways_out: tuple[str, ...]


class FallbackRespond(Tool[FallbackArguments]):
    name = "fallback_respond"
    description = (
        "Use it when the user asks for something outside of what you can do, instead of guessing. "
        "It returns what to answer and which ways out there are; offer them to the user."
    )
    arguments = FallbackArguments
    effect = Effect.READ
    risk = Risk.NONE
    touches = "nothing"
    timeout = 5.0

    async def run(self, arguments: FallbackArguments, invocation: Invocation) -> FallbackAnswer:  # noqa: ARG002
        return FallbackAnswer(
            status="out_of_scope",
            message=f"This is outside of what can be done here, and nothing was done about it: {arguments.question}",
            ways_out=_WAYS_OUT,
        )
