from __future__ import annotations

import datetime as dt

import pytest
from pydantic_core import PydanticCustomError

from loadgen.scenario.moments import format_moment, parse_moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("-1d", (-86_400, True)),
        ("+1.5h", (5_400, True)),
        ("1970-01-02", (86_400, False)),
        ("1970-01-01T01:00:00Z", (3_600, False)),
        ("1970-01-01T01:00:00+01:00", (0, False)),
        (dt.date(1970, 1, 2), (86_400, False)),
        (dt.datetime(1970, 1, 2, tzinfo=dt.UTC), (86_400, False)),
    ],
)
def test_dates_and_what_counts_from_now(text: object, moment: tuple[float, bool]) -> None:
    assert parse_moment(text) == moment
    assert parse_moment(format_moment(moment)) == moment


@pytest.mark.parametrize("text", ["1d", "now", "", 5, None, "2030-13-01", "+1"])
def test_what_is_no_date(text: object) -> None:
    with pytest.raises(PydanticCustomError, match=r"date|unit|duration"):
        parse_moment(text)
