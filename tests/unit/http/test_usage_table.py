"""Cells of a table that people choose the words of."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.spending import UsageRow
from retinue.resources.usage.table import as_csv


def a_row(key: str) -> UsageRow:
    return UsageRow(
        key=key,
        calls=1,
        runs=1,
        input_tokens=None,
        cached_input_tokens=None,
        cache_write_tokens=None,
        output_tokens=2,
        reasoning_tokens=None,
        cost_micros=None,
        unknown_cost_calls=1,
        estimated_calls=0,
    )


def first_cell(key: str) -> str:
    _, row = csv.reader(io.StringIO(as_csv([a_row(key)], "user").decode(), newline=""), strict=True)
    assert row[1:] == ["1", "1", "", "", "", "2", "", "", "USD", "1", "0"]
    return row[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert first_cell(f'{start}cmd|"/c calc"!A1') == f'\'{start}cmd|"/c calc"!A1'


@pytest.mark.parametrize("key", ["", "a,b", 'say "x"', "two\r\nlines", "1-1", "ü", "'"])
def test_other_words_stay_as_they_are(key: str) -> None:
    assert first_cell(key) == key


@given(st.text(max_size=20))
def test_every_word_can_be_read_again(key: str) -> None:
    assert first_cell(key) in {key, f"'{key}"}
