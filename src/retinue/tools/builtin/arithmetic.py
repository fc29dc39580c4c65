"""A small grammar of arithmetic in decimal numbers, bounded in time and memory.

    sum     = product (("+" | "-") product)*
    product = sign (("*" | "/" | "//" | "%") sign)*
    sign    = ("+" | "-") sign | power
    power   = atom ("**" sign)?
    atom    = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

Every number has at most `DIGITS` digits and an exponent of at most `EXPONENT`, so that no power can grow beyond that.
"""

import operator
import re
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    getcontext,
    localcontext,
)

MAX_CHARS = 500
MAX_DEPTH = 50
"""Of parentheses, signs and powers inside each other."""
DIGITS = 100
SHOWN = 30
"""Digits of a result that is not exact. The rest absorbs the rounding on the way: 1/3*3 is 1."""
EXPONENT = 999

_CONTEXT = Context(prec=DIGITS, Emax=EXPONENT, Emin=-EXPONENT, traps=[DivisionByZero, InvalidOperation, Overflow])
_TOKEN = re.compile(
    r"""\s*(?:
    ((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)  # a number
    |([a-z][a-z0-9]*)                                    # a name
    |(\*\*|//|.)                                         # a sign
    )""",
    re.VERBOSE,
)
_OTHER_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**"})
_CONSTANTS = {
    "pi": Decimal("3.14159265358979323846264338327950288419716939937510582097494"),
    "e": Decimal("2.71828182845904523536028747135266249775724709369995957496697"),
}


def _constant(value: Decimal) -> Decimal:
    getcontext().flags[Inexact] = True
    return +value


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


def _logarithm(of: Callable[[Decimal], Decimal]) -> Callable[[Decimal], Decimal]:
    """Decimals answer the logarithm of zero with minus infinity."""

    def positive(value: Decimal) -> Decimal:
        if value <= 0:
            raise InvalidOperation
        return of(value)

    return positive


def _round(value: Decimal, places: Decimal = Decimal(0)) -> Decimal:
    if places != places.to_integral_value() or abs(places) > SHOWN:
        raise Unsolvable(f"round takes a whole number of places up to {SHOWN}.")
    return value.scaleb(places).to_integral_value(ROUND_HALF_UP).scaleb(-places)


def _sum(*values: Decimal) -> Decimal:
    return sum(values, Decimal(0))


_OPERATIONS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "//": _floor_divide,
    "%": _remainder,
}

FUNCTIONS: dict[str, tuple[int, int, Callable[..., Decimal]]] = {
    "abs": (1, 1, abs),
    "avg": (1, MAX_CHARS, lambda *values: _sum(*values) / len(values)),
    "ceil": (1, 1, lambda value: value.to_integral_value(ROUND_CEILING)),
    "exp": (1, 1, Decimal.exp),
    "floor": (1, 1, lambda value: value.to_integral_value(ROUND_FLOOR)),
    "ln": (1, 1, _logarithm(Decimal.ln)),
    "log10": (1, 1, _logarithm(Decimal.log10)),
    "max": (1, MAX_CHARS, max),
    "min": (1, MAX_CHARS, min),
    "round": (1, 2, _round),
    "sqrt": (1, 1, Decimal.sqrt),
    "sum": (1, MAX_CHARS, _sum),
}
"""By name: the least and the most arguments, and the work. Halves are rounded away from zero."""


class Unsolvable(Exception):
    """The expression has no result; the text says why, for whoever wrote it."""


def evaluate(expression: str) -> tuple[str, bool]:
    """The value of an expression in plain decimal digits (or with an exponent if it has very many), and whether it is
    exact.

    Raises:
        Unsolvable: it is no expression, or its result is not a number of bounded size.
    """
    with localcontext(_CONTEXT) as context:
        context.clear_flags()
        try:
            value = _Parser(expression).whole()
        except DivisionByZero:
            raise Unsolvable("The expression divides by zero.") from None
        except Overflow:
            raise Unsolvable(f"A number in it is larger than 10 to the power of {EXPONENT}.") from None
        except InvalidOperation:
            raise Unsolvable(f"It has no real result, or one of more than {DIGITS} digits.") from None
        is_exact = not context.flags[Inexact]
        return _shown(value, is_exact), is_exact


def _shown(value: Decimal, is_exact: bool) -> str:
    if not is_exact:
        value = Context(prec=SHOWN, Emax=EXPONENT, Emin=-EXPONENT).plus(value)
    value = value.normalize()
    if not value:
        return "0"
    is_long = not -SHOWN <= value.adjusted() < (DIGITS if is_exact else SHOWN)
    return f"{value:E}" if is_long else f"{value:f}"


class _Parser:
    """Reads and works out in one go. Left to right, one token ahead."""

    def __init__(self, expression: str) -> None:
        if len(expression) > MAX_CHARS:
            raise Unsolvable(f"The expression is longer than {MAX_CHARS} characters.")
        self._text = expression.translate(_OTHER_SIGNS).lower().rstrip()
        self._position = 0
        self._depth = 0
        self._number = self._name = self._sign = ""
        self._advance()

    def whole(self) -> Decimal:
        value = self._sum()
        if not self._is_at_end:
            raise Unsolvable(f"There is something that does not belong there: {self._token!r}.")
        return value

    @property
    def _token(self) -> str:
        return self._number or self._name or self._sign

    @property
    def _is_at_end(self) -> bool:
        return not self._token

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        self._number, self._name, self._sign = ((part or "") for part in match.groups()) if match else ("", "", "")
        self._position = match.end() if match else len(self._text)

    def _accept(self, *signs: str) -> str:
        """The sign that comes next if it is one of these, which is then passed; else nothing."""
        sign = self._sign
        if sign not in signs:
            return ""
        self._advance()
        return sign

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise Unsolvable(f"{sign!r} is missing {f'before {self._token!r}' if self._token else 'at the end'}.")

    def _sum(self) -> Decimal:
        value = self._product()
        while sign := self._accept("+", "-"):
            right = self._product()
            value = value + right if sign == "+" else value - right
        return value

    def _product(self) -> Decimal:
        value = self._signed()
        while sign := self._accept("*", "//", "/", "%"):
            value = _OPERATIONS[sign](value, self._signed())
        return value

    def _signed(self) -> Decimal:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsolvable(f"It is nested more than {MAX_DEPTH} deep.")
        sign = self._accept("+", "-")
        value = self._signed() if sign else self._power()
        self._depth -= 1
        return -value if sign == "-" else value

    def _power(self) -> Decimal:
        base = self._atom()
        if not self._accept("**"):
            return base
        exponent = self._signed()
        if not base and exponent < 0:
            raise DivisionByZero  # decimals make it infinity
        return base**exponent

    def _atom(self) -> Decimal:
        if self._number:
            value = getcontext().create_decimal(self._number)
            self._advance()
            return value
        if self._name:
            return self._named()
        if not self._accept("("):
            what = f"in place of {self._token!r}" if self._token else "at the end"
            raise Unsolvable(f"A number is missing {what}.")
        value = self._sum()
        self._expect(")")
        return value

    def _named(self) -> Decimal:
        name = self._name
        self._advance()
        if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        function = FUNCTIONS.get(name)
        if function is None:
            raise Unsolvable(f"There is no function or constant {name!r}.")
        self._expect("(")
        values = [self._sum()]
        while self._accept(","):
            values.append(self._sum())
        self._expect(")")
        least, most, work = function
        if not least <= len(values) <= most:
            raise Unsolvable(f"{name} takes {least if least == most else f'{least} to {most}'} numbers.")
        return work(*values)
