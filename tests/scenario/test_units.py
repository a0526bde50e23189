from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from loadgen.scenario.units import (
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("250ms", 250_000_000),
        ("10s", 10_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("2m", 120_000_000_000),
        ("1d", 86_400_000_000_000),
        ("7us", 7_000),
        ("1ns", 1),
        ("0s", 0),
        ("0.1s", 100_000_000),
        (" 10 s ", 10_000_000_000),
    ],
)
def test_duration(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "per_second"), [("0.5/s", 0.5), ("30/m", 0.5), ("200/h", 200 / 3600), ("1e-3/s", 0.001)]
)
def test_rate(text: str, per_second: float) -> None:
    assert parse_rate(text) == per_second


@pytest.mark.parametrize(
    ("text", "size"), [("256B", 256), ("1kB", 1000), ("1KiB", 1024), ("10MB", 10_000_000), ("0.5KiB", 512)]
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("bare", [10, 0, 1.5, "10", "1.5"])
def test_a_bare_number_is_refused_with_the_mend(bare: object) -> None:
    for parse, mend in (
        (parse_duration, f"write {bare}s or {bare}ms"),
        (parse_rate, f"write {bare}/s"),
        (parse_size, f"write {bare}B"),
    ):
        with pytest.raises(PydanticCustomError) as caught:
            parse(bare)
        assert caught.value.context is not None
        assert caught.value.context["mend"] == mend
        assert "needs a unit" in caught.value.context["what"]


@pytest.mark.parametrize(
    "wrong", ["", "s", "-1s", "1 second", "1hour", "1e9s", "٣s", None, True, [], {}, "1s 2ms"]
)
def test_no_duration(wrong: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a duration"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", ["0/s", "1e-999/s", "1e999/s", "1/w", "1s", "/s", None, True])
def test_no_rate(wrong: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_rate(wrong)


@pytest.mark.parametrize("wrong", ["0.1B", "1b", "1KB", "B", None])
def test_no_size(wrong: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_size(wrong)


def test_finer_than_a_nanosecond_is_refused() -> None:
    with pytest.raises(PydanticCustomError, match="finer"):
        parse_duration("0.5ns")


@given(st.integers(min_value=0, max_value=10**15))
def test_durations_come_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_rates_come_back_exactly(per_second: float) -> None:
    assert parse_rate(format_rate(per_second)) == per_second


@given(st.integers(min_value=0, max_value=10**12))
def test_sizes_come_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_texts_are_short() -> None:
    assert format_duration(90_000_000_000) == "90s"
    assert format_duration(365 * 86_400_000_000_000) == "365d"
    assert format_rate(200 / 3600) == "200/h"
    assert format_rate(0.5) == "0.5/s"
    assert format_rate(1 / 3) == "20/m"
    assert format_size(1024) == "1KiB"
    assert format_size(256) == "256B"
