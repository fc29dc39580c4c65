"""Arithmetic in decimal numbers, bounded in time and memory."""

from retinue.tools.builtin.arithmetic.grammar import MAX_CHARS, MAX_DEPTH, evaluate
from retinue.tools.builtin.arithmetic.numbers import DIGITS, EXPONENT, SHOWN, Unsolvable
from retinue.tools.builtin.arithmetic.operations import FUNCTIONS

__all__ = ["DIGITS", "EXPONENT", "FUNCTIONS", "MAX_CHARS", "MAX_DEPTH", "SHOWN", "Unsolvable", "evaluate"]
