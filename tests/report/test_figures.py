from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, figures.NOTHING),
        (math.nan, figures.NOTHING),
        (0, "0 s"),
        (1e-6, "1.00 µs"),
        (0.000412, "412 µs"),
        (0.0009999, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.9999, "1.00 s"),
        (1.234, "1.23 s"),
        (59.97, "1m 00s"),
        (125, "2m 05s"),
        (3 * 3600 + 120, "3h 02m"),
    ],
)
def test_a_duration_is_shown_in_the_unit_that_suits_it(value: float | None, shown: str) -> None:
    assert figures.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, figures.NOTHING), (0, "0 B"), (999, "999 B"), (1500, "1.50 kB"), (999_600, "1.00 MB")],
)
def test_a_size_is_shown_in_decimal_units(value: float | None, shown: str) -> None:
    assert figures.size(value) == shown


@given(st.floats(min_value=1e-6, max_value=3600, allow_nan=False))
def test_a_duration_below_a_minute_keeps_three_digits(value: float) -> None:
    number, _, unit = figures.seconds(value).partition(" ")
    factor = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}.get(unit)
    if factor is not None:
        assert float(number) * factor == pytest.approx(value, rel=0.006)


@given(st.text())
def test_cleaned_text_is_one_line_without_escapes(text: str) -> None:
    cleaned = figures.clean(text)
    assert "\x1b" not in cleaned
    assert len(cleaned.splitlines()) <= 1


def test_a_right_to_left_override_cannot_rewrite_the_line() -> None:
    assert figures.clean("a\u202eb") == "a\\u202eb"
