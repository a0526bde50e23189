from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from loadgen.report import figures
from loadgen.report.drift import drift_lines, judged_time
from loadgen.report.schema_drift import DRIFT
from loadgen.report.text import render

LEAK: dict[str, Any] = {
    "stage": "steady",
    "metric": "broker_memory",
    "unit": "bytes",
    "points": 60,
    "seconds": 12_960.0,
    "level": 1e9,
    "slope": 123.4e6,
    "low": 110e6,
    "high": 135e6,
    "limit": "50MB/h",
    "limit_per_hour": 50e6,
    "verdict": "fail",
    "reason": "more than 50MB/h",
}
NOTHING: dict[str, Any] = LEAK | {
    "metric": "publish_latency_p99",
    "unit": "seconds",
    "points": 0,
    "verdict": "invalid",
    "limit": "5%/h",
    "limit_per_hour": None,
    "reason": "0 messages in 0 seconds are too few",
    **dict.fromkeys(("seconds", "level", "slope", "low", "high")),
}
SHRINKS: dict[str, Any] = LEAK | {
    "metric": "queue_depth",
    "unit": "messages",
    "level": 0.0,
    "slope": -12.0,
    "low": -13.0,
    "high": -11.0,
    "limit": None,
    "limit_per_hour": None,
    "verdict": None,
    "reason": "",
}


def test_each_row_has_its_units_and_those_with_limits_come_first() -> None:
    result = {"drift": [SHRINKS, NOTHING, LEAK]}
    jsonschema.validate(result["drift"], DRIFT)
    nothing, leak, shrinks = drift_lines(result)
    assert leak.cells == (
        "broker_memory", "1.00 GB", "+123 MB (+12.3 %)", "+110 MB and +135 MB", "50MB/h",
    )  # fmt: skip
    assert (leak.mark, nothing.mark, shrinks.mark) == ("✗", "!", "")
    assert nothing.cells == ("publish_latency_p99", figures.NOTHING, figures.NOTHING, figures.NOTHING, "5%/h")
    assert shrinks.cells == ("queue_depth", "0", "-12.0", "-13.0 and -11.0", figures.NOTHING)
    (many,) = drift_lines({"drift": [LEAK | {"level": 1e6}]})
    assert many.slope == "+123 MB", "123 times of what it was"
    assert judged_time(result) == "steady, 3h 36m"
    assert judged_time({"drift": [NOTHING]}) == judged_time({}) == ""


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            LEAK,
            (
                "drift of broker_memory: +123 MB (+12.3 %) an hour, between +110 MB and +135 MB; "
                "more than 50MB/h"
            ),
        ),
        (
            NOTHING,
            "drift of publish_latency_p99: no verdict on 5%/h: 0 messages in 0 seconds are too few",
        ),
    ],
)
def test_a_reason_names_the_metric_and_its_rate(row: dict[str, Any], sentence: str) -> None:
    (line,) = drift_lines({"drift": [row]})
    assert line.sentence == sentence


def test_the_summary_has_a_table_of_them() -> None:
    text = render({"drift": [LEAK, SHRINKS]}).splitlines()
    start = text.index("DRIFT (steady, 3h 36m)")
    assert text[start + 1].split() == [
        "metric",
        "at",
        "first",
        "per",
        "hour",
        "95",
        "%",
        "confidence",
        "limit",
    ]
    assert text[start + 2].startswith("  ✗ broker_memory")
    assert text[start + 3].startswith("    queue_depth")
    assert "DRIFT" not in render({})
