"""The numbers: how long they may be, and how far they can be trusted."""

from collections.abc import Callable
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    getcontext,
)
from typing import NamedTuple

DIGITS = 100
SURE = 50
"""Digits that are right in spite of all rounding on the way: what differs only behind them is the same."""
SHOWN = 30
"""Digits of a result that is not exact."""
EXPONENT = 999

CONTEXT = Context(prec=DIGITS, Emax=EXPONENT, Emin=-EXPONENT, traps=[DivisionByZero, InvalidOperation, Overflow])
_SURE = Context(prec=SURE, Emax=EXPONENT, Emin=-EXPONENT, traps=[Overflow])
_SHOWN = Context(prec=SHOWN, Emax=EXPONENT, Emin=-EXPONENT, traps=[Overflow])


class Unsolvable(Exception):
    """The expression has no result; the text says why, for whoever wrote it."""


class Value(NamedTuple):
    """A number, and whether nothing was rounded on the way to it."""

    number: Decimal
    is_exact: bool


def applied(work: Callable[..., Decimal], *values: Value) -> Value:
    """What `work` makes of the numbers, in the current context."""
    flags = getcontext().flags
    flags[Inexact] = False
    number = work(*(value.number for value in values))
    return Value(number, not flags[Inexact] and all(value.is_exact for value in values))


def steady(number: Decimal) -> Decimal:
    """Of a number that was rounded, the digits that are right: 100/3*3 is 100."""
    return _SURE.plus(number)


def shown(value: Value) -> str:
    """In plain digits, or with an exponent if it has very many."""
    number = (value.number if value.is_exact else _SHOWN.plus(value.number)).normalize()
    if not number:
        return "0"
    is_long = not -SHOWN <= number.adjusted() < (DIGITS if value.is_exact else SHOWN)
    return f"{number:E}" if is_long else f"{number:f}"
