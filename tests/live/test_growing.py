"""The live page's columns are the report's, though each second is read only once."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from loadgen.live.growing import GrowingSeries
from loadgen.metrics.snapshot import merge_time
from loadgen.report.series import MAX_POINTS, read_series
from tests.report.conftest import full_result, full_timeline

if TYPE_CHECKING:
    from loadgen.metrics.snapshot import Snapshot

STAGES = full_result()["stages"]
PLAN = {"publish_rate": 230.0, "duration": 60.0, "stages": [{"name": "steady", "load": "100%"}]}


def timeline() -> list[Snapshot]:
    found = full_timeline()
    for snapshot in found:
        snapshot.gauges["cpu_seconds"] = 0.01 * snapshot.interval**2
    return found


def grown(plan: dict[str, object]) -> GrowingSeries:
    made = GrowingSeries(plan)
    for _, second in groupby(timeline(), key=lambda snapshot: snapshot.interval):
        made.add(list(second), STAGES)
    return made


def same(mine: list[float], theirs: list[float]) -> bool:
    return len(mine) == len(theirs) and all(
        (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b) for a, b in zip(mine, theirs, strict=True)
    )


def test_the_columns_are_those_of_the_report() -> None:
    whole = read_series(timeline(), STAGES, PLAN)
    series = grown(PLAN).series(STAGES)
    assert series.time == whole.time
    assert series.nodes == whole.nodes
    assert set(series.columns) == set(whole.columns)
    for name, column in whole.columns.items():
        assert same(series.columns[name], column), name
    assert series.spectrum == whole.spectrum
    assert series.phases == whole.phases


def test_in_a_long_run_a_point_sums_up_several_seconds_and_has_their_extremes() -> None:
    long = PLAN | {"duration": 5.0 * MAX_POINTS}
    made = grown(long)
    assert made.width == 5
    series = made.series(STAGES)
    assert series.width == 5
    assert series.time == [5.0 * place for place in range(12)]
    seconds = read_series(timeline(), STAGES, PLAN).columns
    assert series.columns["published_high"][4] == max(seconds["published"][20:25])
    assert series.columns["published_low"][4] == min(seconds["published"][20:25])
    assert series.columns["intended"][4] == pytest.approx(sum(seconds["intended"][20:25]) / 5)
    five = [each for each in full_timeline() if 20 <= each.interval < 25]
    p99 = merge_time(five).select("publish_latency").percentile(99.0) / 1e9
    assert series.columns["publish_latency_p99"][4] == p99
