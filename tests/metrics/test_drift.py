from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from loadgen.metrics.drift import DRIFT_UNITS, DriftRow, Series, judge_drift
from loadgen.metrics.verdict import Verdict


@dataclass(frozen=True)
class Limit:
    per_hour: float
    relative: bool = False
    text: str = "as written"


HOURS = 4
TIMES = [60.0 * k for k in range(HOURS * 60)]


def series(metric: str, start: float, per_hour: float, spread: float = 0.0) -> Series:
    rng = np.random.default_rng(1)
    return Series(
        metric, TIMES, [start + per_hour * at / 3600 + spread * float(rng.standard_normal()) for at in TIMES]
    )


def judged(given: Series, limit: Limit | None) -> DriftRow:
    return judge_drift(given, limit)


@pytest.mark.parametrize(
    ("per_hour", "verdict"), [(0.0, "pass"), (40e6, "pass"), (60e6, "fail"), (-500e6, "pass")]
)
def test_a_leak_is_held_against_its_limit(per_hour: float, verdict: str) -> None:
    row = judged(series("broker_memory", 1e9, per_hour, 1e6), Limit(50e6, text="50MB/h"))
    assert row.verdict == verdict
    assert row.slope == pytest.approx(per_hour, abs=1e6)
    assert (row.limit, row.limit_per_hour, row.unit) == ("50MB/h", 50e6, "bytes")
    assert row.reason == ("more than 50MB/h" if verdict == "fail" else "")


@pytest.mark.parametrize(("per_hour", "verdict"), [(0.4e-3, "pass"), (0.7e-3, "fail")])
def test_a_share_is_of_what_it_was_at_first(per_hour: float, verdict: str) -> None:
    row = judged(series("delivery_latency_p99", 10e-3, per_hour, 1e-5), Limit(0.05, relative=True))
    assert row.verdict == verdict
    assert row.level is not None
    assert row.level == pytest.approx(10e-3 + per_hour / 2, rel=0.01), "half an hour later"
    assert row.limit_per_hour == pytest.approx(0.05 * row.level)


def test_noise_that_hides_the_limit_is_no_pass_and_says_how_long_might_do() -> None:
    row = judged(series("delivery_latency_p99", 10e-3, 0.0, 60e-3), Limit(0.5e-3, text="0.5ms/h"))
    assert row.verdict is Verdict.INVALID
    assert row.reason.startswith("no verdict on 0.5ms/h: too short or too noisy; about ")
    assert row.reason.endswith(" h might tell")


def test_an_estimate_above_the_limit_that_may_be_chance_is_no_failure() -> None:
    row = judged(series("queue_depth", 100, 30, 200), Limit(10))
    assert row.low is not None
    assert row.low < 10
    assert row.verdict is Verdict.INVALID


def test_clients_drift_by_getting_fewer() -> None:
    loses, gains = series("connected_clients", 1000, -30), series("connected_clients", 1000, 30)
    assert judged(loses, Limit(20)).verdict is Verdict.FAIL
    assert judged(gains, Limit(20)).verdict is Verdict.PASS
    assert judged(loses, Limit(40)).verdict is Verdict.PASS


def test_a_share_is_of_what_was_measured_and_not_of_where_the_line_begins() -> None:
    """A line through what holds still and then rises begins far below what ever was."""
    values = [5.0] * 24 + [5.0 + 10 * k for k in range(36)]
    row = judged(Series("queue_depth", [60.0 * k for k in range(60)], values), Limit(0.05, relative=True))
    assert row.slope is not None
    assert float(np.median(values)) - row.slope * 30 / 60 < -50, "where the line begins"
    assert row.level == 5


def test_too_little_data_is_no_verdict_with_a_limit_and_nothing_without() -> None:
    few = Series("queue_depth", TIMES[:19], [0.0] * 19)
    row = judged(few, Limit(10))
    assert (row.verdict, row.slope, row.points) == (Verdict.INVALID, None, 19)
    assert row.reason == "19 samples are too few, it takes 20"
    assert judged(few, None).verdict is None
    none = Series("publish_latency_p99", [], [], "no message was published")
    assert judged(none, Limit(1)).reason == "no message was published"


def test_a_share_of_nothing_is_no_verdict() -> None:
    row = judged(series("queue_depth", 0, 0), Limit(0.05, relative=True, text="5%/h"))
    assert row.verdict is Verdict.INVALID
    assert row.reason == "5%/h cannot be judged, it was zero at first; write the limit in messages"


@pytest.mark.parametrize("metric", DRIFT_UNITS)
def test_without_a_limit_a_row_is_for_information(metric: str) -> None:
    row = judged(series(metric, 5, 1), None)
    assert (row.verdict, row.limit, row.reason, row.unit) == (None, None, "", DRIFT_UNITS[metric])
    assert row.slope == pytest.approx(1)
