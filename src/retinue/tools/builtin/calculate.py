"""The tool `calculate`."""

from typing import Annotated

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool
from retinue.tools.builtin.arithmetic import FUNCTIONS, MAX_CHARS, Unsolvable, evaluate
from retinue.tools.builtin.failures import invalid


class CalculateArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expression: Annotated[
        str,
        msgspec.Meta(
            description=(
                "Numbers in decimal form without thousands separators, the operators + - * / // % **, parentheses, "
                f"the constants pi and e, and the functions {', '.join(sorted(FUNCTIONS))}. "
                "% is the remainder of a division: write 15 percent as 0.15."
            ),
            min_length=1,
            max_length=MAX_CHARS,
        ),
    ]


class CalculateAnswer(msgspec.Struct, frozen=True):
    result: str
    """A decimal number in full, as JSON numbers would lose digits."""
    is_exact: bool


class Calculate(Tool[CalculateArguments]):
    name = "calculate"
    description = "Works out an arithmetic expression exactly, in decimal numbers. Use it for every calculation."
    arguments = CalculateArguments
    effect = Effect.READ
    risk = Risk.NONE
    touches = "nothing"
    timeout = 5.0

    async def run(self, arguments: CalculateArguments, invocation: Invocation) -> CalculateAnswer:  # noqa: ARG002
        try:
            result, is_exact = evaluate(arguments.expression)
        except Unsolvable as error:
            raise invalid(str(error), code="invalid_expression") from None
        return CalculateAnswer(result=result, is_exact=is_exact)
