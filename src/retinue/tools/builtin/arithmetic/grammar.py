"""A small grammar of arithmetic in decimal numbers.

    sum     = product (("+" | "-") product)*
    product = sign (("*" | "/" | "//" | "%") sign)*
    sign    = ("+" | "-") sign | power
    power   = atom ("**" sign)?
    atom    = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

Every number has at most `DIGITS` digits and an exponent of at most `EXPONENT`, so that no power can grow beyond that.
"""

import operator
import re
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, getcontext, localcontext
from functools import partial

from retinue.tools.builtin.arithmetic.numbers import CONTEXT, DIGITS, EXPONENT, Unsolvable, Value, shown
from retinue.tools.builtin.arithmetic.operations import FUNCTIONS, OPERATIONS, work_out

MAX_CHARS = 500
MAX_DEPTH = 50
"""Of parentheses, signs and powers inside each other."""

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


def evaluate(expression: str) -> tuple[str, bool]:
    """The value of an expression in plain decimal digits (or with an exponent if it has very many), and whether it is
    exact.

    Raises:
        Unsolvable: it is no expression, or its result is not a number of bounded size.
    """
    with localcontext(CONTEXT):
        try:
            value = _Parser(expression).whole()
            return shown(value), value.is_exact
        except DivisionByZero:
            raise Unsolvable("The expression divides by zero.") from None
        except Overflow:
            raise Unsolvable(f"A number in it is larger than 10 to the power of {EXPONENT}.") from None
        except InvalidOperation:
            raise Unsolvable(f"It has no real result, or one of more than {DIGITS} digits.") from None


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

    def whole(self) -> Value:
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

    def _sum(self) -> Value:
        value = self._product()
        while sign := self._accept("+", "-"):
            value = work_out(OPERATIONS[sign], value, self._product())
        return value

    def _product(self) -> Value:
        value = self._signed()
        while sign := self._accept("*", "//", "/", "%"):
            value = work_out(OPERATIONS[sign], value, self._signed())
        return value

    def _signed(self) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsolvable(f"It is nested more than {MAX_DEPTH} deep.")
        sign = self._accept("+", "-")
        value = self._signed() if sign else self._power()
        self._depth -= 1
        return work_out(operator.neg, value) if sign == "-" else value

    def _power(self) -> Value:
        base = self._atom()
        if not self._accept("**"):
            return base
        return work_out(OPERATIONS["**"], base, self._signed())

    def _atom(self) -> Value:
        if self._number:
            value = work_out(partial(getcontext().create_decimal, self._number))
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

    def _named(self) -> Value:
        name = self._name
        self._advance()
        if name in _CONSTANTS:
            return Value(_CONSTANTS[name], is_exact=False)
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
        return work_out(work, *values)
