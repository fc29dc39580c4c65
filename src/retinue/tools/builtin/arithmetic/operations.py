"""What can be done with numbers."""

import operator
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DivisionByZero, InvalidOperation

from retinue.tools.builtin.arithmetic.numbers import SHOWN, SURE, Unsolvable, Value, applied, steady

Work = Callable[..., Decimal]


def work_out(work: Work, *values: Value) -> Value:
    """What `work` makes of the values.

    Some work would tell a number from one that differs by nothing but rounding. For numbers that were rounded it is
    done in another way, which does not.
    """
    is_exact = all(value.is_exact for value in values)
    return applied(work if is_exact else _FOR_ROUNDED.get(work, work), *values)


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if not base and exponent < 0:
        raise DivisionByZero  # decimals make it infinity
    return base**exponent


def _floor_divide(left: Decimal, right: Decimal) -> Decimal:
    return _divided(left, right)[0]


def _remainder(left: Decimal, right: Decimal) -> Decimal:
    return _divided(left, right)[1]


def _divided(left: Decimal, right: Decimal) -> tuple[Decimal, Decimal]:
    """Rounded down, as in mathematics; `divmod` of decimals rounds towards zero."""
    if not right:
        raise DivisionByZero
    quotient, rest = divmod(left, right)
    return (quotient - 1, rest + right) if rest and (rest < 0) != (right < 0) else (quotient, rest)


def _steadily_divided(left: Decimal, right: Decimal) -> tuple[Decimal, Decimal]:
    if not right:
        raise DivisionByZero
    quotient = steady(left / right)
    if quotient.adjusted() >= SURE:
        return _divided(left, right)
    whole = _floor(quotient)
    return whole, Decimal(0) if whole == quotient else left - whole * right


def _logarithm(of: Callable[[Decimal], Decimal]) -> Callable[[Decimal], Decimal]:
    """Decimals answer the logarithm of zero with minus infinity."""

    def positive(value: Decimal) -> Decimal:
        if value <= 0:
            raise InvalidOperation
        return of(value)

    return positive


def _floor(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_FLOOR)


def _ceil(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_CEILING)


def _round(value: Decimal, places: Decimal = Decimal(0)) -> Decimal:
    if places != places.to_integral_value() or abs(places) > SHOWN:
        raise Unsolvable(f"round takes a whole number of places up to {SHOWN}.")
    return value.scaleb(places).to_integral_value(ROUND_HALF_UP).scaleb(-places)


def _sum(*values: Decimal) -> Decimal:
    return sum(values, Decimal(0))


def _of_steady(work: Work) -> Work:
    return lambda *numbers: work(*map(steady, numbers))


def _without_noise(work: Work) -> Work:
    """What is left of numbers that are the same but for the rounding is nothing."""

    def combined(*numbers: Decimal) -> Decimal:
        number = work(*numbers)
        largest = max((part.adjusted() for part in numbers if part), default=0)
        return number if number.adjusted() > largest - SURE else Decimal(0)

    return combined


OPERATIONS: dict[str, Work] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": _floor_divide,
    "%": _remainder,
    "**": _power,
}

ANY = 500
"""More arguments than an expression has room for."""
FUNCTIONS: dict[str, tuple[int, int, Work]] = {
    "abs": (1, 1, abs),
    "avg": (1, ANY, lambda *values: _sum(*values) / len(values)),
    "ceil": (1, 1, _ceil),
    "exp": (1, 1, Decimal.exp),
    "floor": (1, 1, _floor),
    "ln": (1, 1, _logarithm(Decimal.ln)),
    "log10": (1, 1, _logarithm(Decimal.log10)),
    "max": (1, ANY, lambda *values: max(values)),
    "min": (1, ANY, lambda *values: min(values)),
    "round": (1, 2, _round),
    "sqrt": (1, 1, Decimal.sqrt),
    "sum": (1, ANY, _sum),
}
"""By name: the least and the most arguments, and the work. Halves are rounded away from zero."""

_FOR_ROUNDED: dict[Work, Work] = {
    operator.add: _without_noise(operator.add),
    operator.sub: _without_noise(operator.sub),
    _sum: _without_noise(_sum),
    _ceil: _of_steady(_ceil),
    _floor: _of_steady(_floor),
    _round: _of_steady(_round),
    _floor_divide: lambda left, right: _steadily_divided(left, right)[0],
    _remainder: lambda left, right: _steadily_divided(left, right)[1],
}
