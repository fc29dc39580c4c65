"""`calculate`: what it works out, and that nothing makes it slow or break."""

import contextlib
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.builtin.arithmetic import DIGITS, EXPONENT, MAX_CHARS, Unsolvable, evaluate
from retinue.tools.builtin.calculate import Calculate
from tests.unit.tools.builtin.calls import called


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1+2*3", "7"),
        ("(1+2)*3", "9"),
        ("2-3-4", "-5"),
        ("100/10/2", "5"),
        ("2**3**2", "512"),
        ("-2**2", "-4"),
        ("2**-1", "0.5"),
        ("2^10", "1024"),
        ("--3", "3"),
        ("+-+3", "-3"),
        ("0.1+0.2", "0.3"),
        (".5 + 1.", "1.5"),
        ("1e3 + 1E-3", "1000.001"),
        ("7%3", "1"),
        ("-7%3", "2"),
        ("7%-3", "-2"),
        ("-7//2", "-4"),
        ("7//2", "3"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("sqrt(16)", "4"),
        ("abs(-3)", "3"),
        ("max(1, 3, 2) - min(1, 3, 2)", "2"),
        ("max(1)", "1"),
        ("min(-1)", "-1"),
        ("sum(7)", "7"),
        ("avg(7)", "7"),
        ("7.5 // 2.5", "3"),
        ("7.5 % 2", "1.5"),
        ("10**35 // 3", "3" * 35),
        (f"floor({'9' * 60}.5)", "9" * 60),
        (f"{'9' * 60}.5 % 1", "0.5"),
        ("sum(1,2,3) / avg(1,2,3)", "3"),
        ("floor(-1.5)", "-2"),
        ("ceil(-1.5)", "-1"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(1.005, 2)", "1.01"),
        ("round(1234.5, -2)", "1200"),
        ("ROUND(2.5)", "3"),
        ("0 * -1", "0"),
        ("2**256", str(2**256)),
        ("10**99", "1" + "0" * 99),
        ("10**100", "1E+100"),
        ("log10(1000)", "3"),
        ("exp(0)", "1"),
    ],
)
def test_exact_results(expression: str, result: str) -> None:
    assert evaluate(expression) == (result, True)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1/3", "0." + "3" * 30),
        ("1/3*3", "1"),
        ("sqrt(2)**2", "2"),
        ("pi", "3.14159265358979323846264338328"),
        ("ln(e)", "1"),
        ("2**0.5", "1.41421356237309504880168872421"),
        ("9**500 / 9**499", "9"),
        ("round(pi, 4)", "3.1416"),
        ("floor(100/3*3)", "100"),
        ("floor(-100/3*3)", "-100"),
        ("floor(100/3*3 - 100)", "0"),
        ("floor(sum(100/3*3, -100))", "0"),
        ("ceil(2**0.5*2**0.5)", "2"),
        ("ceil(sqrt(3)**2)", "3"),
        ("round(1/6*3)", "1"),
        ("round(2.675/3*3, 2)", "2.68"),
        ("(1/3*3) // 1", "1"),
        ("(1/3*3) % 1", "0"),
        ("-(1/3*3) // 1", "-1"),
        ("-(1/3*3) % 1", "0"),
        ("(11/3) // (1/3)", "11"),
        ("(11/3) % (1/3)", "0"),
        ("1e20*pi % 1", "0.264338327950288419716939937511"),
        ("floor(1e29*pi)", "314159265358979323846264338327"),
        ("floor(22/7)", "3"),
        ("ceil(22/7)", "4"),
        ("22/7 // 1", "3"),
        ("-22/7 // 1", "-4"),
        ("sqrt(2)**2 - 2", "0"),
        ("1e-95/3 + 0", "3.33333333333333333333333333333E-96"),
        ("10**60 / 7 // 1", "1.42857142857142857142857142857E+59"),
    ],
)
def test_rounded_results_say_so(expression: str, result: str) -> None:
    assert evaluate(expression) == (result, False)


def test_an_exact_number_stays_so_beside_one_that_is_not() -> None:
    long = "12345678901234567890123456789012345678901234567890123456789012"
    assert evaluate(f"floor({long}.5) - {long} + 0*pi") == ("0", False)
    assert evaluate(f"{long} % 1000 + 0*pi") == ("12", False)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "   ",
            "+",
            "1+",
            "*1",
            "1 2",
            "1 pi",
            "2(3)",
            "(1",
            "1)",
            "()",
            "1,000",
            "1..2",
            "1.2.3",
            "1_000",
            "0x10",
        ),
        *("foo", "foo(1)", "pi()", "sqrt", "sqrt()", "sqrt(1,2)", "round(1,2,3)", "max()", "max(1,)", "max(,1)"),
        *("1/0", "1//0", "1%0", "0**0", "0**-1", "1/0**-0.5", "(-8)**(1/3)", "sqrt(-1)", "ln(0)", "ln(-1)", "log10(0)"),
        *("9**9**9", "9**999999999", "10**1000", "1e1000", "1e999999999999999999999", "exp(10000)", "1e999*10"),
        *("1/3*3*9.9999999999999999999999999999999999999999e999", "pi // 0", "pi % 0", "1e300/3 % 7", "1e300/3 // 7"),
        *("1e300 % 7", "1e300 // 7", "round(1, 0.5)", "round(1, 99)", "nan", "inf", "infinity", "1e", "e1"),
        *("__import__('os')", "().__class__", "lambda: 1", "x=1", "1;2", "a.b", "[1]", "{1}", "'1'", '"1"', "f'{1}'"),
        *(
            "1 if 1 else 2",
            "1<2",
            "1==1",
            "not 1",
            "~1",
            "1<<9",
            "1&1",
            "@",
            "$1",
            "1!",
            "\x00",
            "1\x00",
            "\ud800",
            "１",
            "²",
        ),
    ],
)
def test_what_has_no_result(expression: str) -> None:
    with pytest.raises(Unsolvable):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression", ["(" * 51 + "1" + ")" * 51, "-" * 60 + "1", "1" + "**1" * 60, "sqrt(" * 51 + "1" + ")" * 51]
)
def test_depth_is_bounded(expression: str) -> None:
    with pytest.raises(Unsolvable, match="deep"):
        evaluate(expression)


def test_length_is_bounded() -> None:
    assert evaluate("1" + "+1" * ((MAX_CHARS - 1) // 2))[1]
    with pytest.raises(Unsolvable, match="longer"):
        evaluate("1" * (MAX_CHARS + 1))


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9**9",
        "1.0000001**1e300",
        "(1+1e-90)**9e99",
        "exp(ln(2)*exp(ln(3)*5))" + "**0.1" * 40,
        "+".join(["1e999", "1e-999"] * 30),
        "*".join(["1.23456789**0.987654321"] * 20),
        "sqrt(" * 40 + "2" + ")" * 40,
    ],
)
def test_nothing_takes_long(expression: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(Unsolvable):
        evaluate(expression)
    assert time.process_time() - begun < 0.5


Tree = tuple[str, Fraction]
numbers: st.SearchStrategy[Tree] = st.integers(0, 10**6).map(lambda number: (str(number), Fraction(number)))


def grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Expressions with their value, worked out in fractions by Python."""

    def joined(left: Tree, sign: str, right: Tree) -> Tree:
        values = {"+": left[1] + right[1], "-": left[1] - right[1], "*": left[1] * right[1]}
        return f"({left[0]} {sign} {right[0]})", values[sign]

    return st.builds(joined, inner, st.sampled_from("+-*"), inner) | inner.map(lambda tree: (f"-{tree[0]}", -tree[1]))


@given(st.recursive(numbers, grown, max_leaves=8))
def test_whole_numbers_agree_with_python(tree: Tree) -> None:
    expression, value = tree
    if len(expression) <= MAX_CHARS:
        result, is_exact = evaluate(expression)
        assert is_exact
        assert Fraction(Decimal(result)) == value


@given(st.integers(-(10**9), 10**9), st.integers(-(10**6), 10**6).filter(bool))
def test_division_agrees_with_python(left: int, right: int) -> None:
    assert evaluate(f"({left}) // ({right})") == (str(left // right), True)
    assert evaluate(f"({left}) % ({right})") == (str(left % right), True)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_what_is_whole_is_not_off_by_one(whole: int, by: int) -> None:
    rounded = f"({whole} / {by} * {by})"
    for expression in (f"floor{rounded}", f"ceil{rounded}", f"round{rounded}", f"{rounded} // 1"):
        assert evaluate(expression)[0] == str(whole)
    assert evaluate(f"{rounded} % 1")[0] == "0"


@given(st.text(max_size=60) | st.text("0123456789.eE+-*/%^(), \tsqrtmaxround", max_size=MAX_CHARS + 5))
@example("1" * 600)
def test_any_text_has_a_result_or_none(expression: str) -> None:
    try:
        result, _ = evaluate(expression)
    except Unsolvable:
        return
    value = Decimal(result)
    assert value.is_finite()
    assert len(value.as_tuple().digits) <= DIGITS
    assert abs(value.adjusted()) <= EXPONENT + DIGITS


async def test_the_tool() -> None:
    tool = Calculate()
    assert await called(tool, expression="3 * 49.90") == {"result": "149.7", "is_exact": True}
    with pytest.raises(ToolError) as caught:
        await called(tool, expression="1/0")
    assert caught.value.problem_code == "invalid_expression"
    assert caught.value.kind is ToolErrorKind.VALIDATION
    assert caught.value.detail == "The expression divides by zero."
