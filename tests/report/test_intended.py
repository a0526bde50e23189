from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.report.broker_series import broker_series
from loadgen.report.intended import holds
from loadgen.report.series import MAX_POINTS, read_series
from loadgen.report.story import scenario_sentence
from loadgen.report.summaries import connected, rates
from tests.report.conftest import NS
from tests.report.rich_runs import samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.metrics.snapshot import Snapshot

STAGES: list[dict[str, Any]] = [
    {"name": "connect", "kind": "connect", "started_at_s": 0.0, "duration": 2.0},
    {"name": "ramp", "kind": "hold", "started_at_s": 2.0, "duration": 4.0, "load": "0%..100%"},
    {"name": "steady", "kind": "hold", "started_at_s": 6.0, "duration": 4.0, "load": "50%"},
]
PLAN: dict[str, Any] = {"publish_rate": 80.0}


def test_the_intended_rate_follows_ramps_and_loads(make_second: Callable[..., Snapshot]) -> None:
    series = read_series([make_second(n, "steady") for n in range(12)], STAGES, PLAN)
    assert series.columns["intended"] == pytest.approx([0, 0, 10, 30, 50, 70, 40, 40, 40, 40, 0, 0])


def test_without_a_plan_nobody_knows_what_was_intended(make_second: Callable[..., Snapshot]) -> None:
    assert "intended" not in read_series([make_second(0, "steady")], STAGES).columns
    assert holds(PLAN, [{"name": "x", "kind": "hold", "started_at_s": 1.0, "duration": 3.0}]) == []


def test_a_stage_that_was_not_ended_lasts_to_the_next_one() -> None:
    stages = [{**STAGES[1], "duration": None, "load": None}, {**STAGES[2], "duration": None}]
    plan = PLAN | {"stages": [{"name": "ramp", "load": "100%"}]}
    (only,) = holds(plan, stages)
    assert (only.start, only.end, only.first) == (2.0, 6.0, 80.0)


def test_long_runs_show_the_extremes_of_each_interval(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(n, "steady", published=8, connected=300) for n in range(3 * MAX_POINTS)]
    gone = seconds[301]  # one second of silence in an interval of three, and half of the clients
    gone.counters.update(dict.fromkeys(gone.counters, 0))
    gone.gauges["connected|sensors"] = 150.0
    series = read_series(seconds, [])
    assert series.width == 3
    assert series.columns["acknowledged"][100] == pytest.approx(16 / 3)
    assert series.columns["acknowledged_low"][100] == 0
    assert series.columns["acknowledged_high"][100] == 8
    assert series.columns["connected"][100] == 300
    assert series.columns["connected_low"][100] == 150
    assert "Fewest acknowledged: 0/s at 5m 00s." in rates(series)
    assert "at fewest while there was load 150, at 5m 00s" in connected(series)


def test_short_runs_have_no_extremes(make_second: Callable[..., Snapshot]) -> None:
    assert not [name for name in read_series([make_second(0, "x")], []).columns if name.endswith("_low")]


def test_cpu_is_what_was_used_between_two_seconds(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(n, "steady") for n in range(4)]
    for snapshot, used in zip(seconds, (5.0, 5.25, 6.0, 1.0), strict=True):
        snapshot.gauges["cpu_seconds"] = used
    first, *rest = read_series(seconds, []).columns["cpu"]
    assert first != first  # noqa: PLR0124 - nothing is known before it
    assert rest[:2] == pytest.approx([25.0, 75.0])
    assert rest[2] != rest[2]


def test_samples_of_the_brokers_become_columns() -> None:
    said = broker_series(samples(20), 5 * NS)
    assert said.time == [-5.0, 0.0, 5.0, 10.0]
    assert said.nodes == ("rabbit0@localhost", "rabbit1@localhost", "rabbit2@localhost")
    assert said.columns["broker_cpu_0"][1:] == pytest.approx([50.0, 50.0, 50.0])
    assert said.columns["broker_memory_2"][3] == 10**8 + 30
    assert said.columns["ready"] == [0, 5, 3, 1]
    assert said.limit == 10**9


def test_of_many_samples_the_highest_stay() -> None:
    many = broker_series(samples(5 * 1000), 0)
    assert len(many.time) <= 400
    assert len(many.time) == len(many.columns["ready"])
    assert max(many.columns["ready"]) == 6
    assert broker_series([], 0).time == []


def test_the_scenario_in_a_sentence(good_result: dict[str, Any]) -> None:
    good_result["environment"]["tls"] = "TLSv1.3 TLS_AES_256_GCM_SHA384"
    plan = {
        "publish_rate": 200.0,
        "delivery_rate": 600.0,
        "peak_load": 3.0,
        "groups": {"sensors": {"payloads": [256]}, "dashboards": {"payloads": []}},
        "faults": [{"what": "kill busiest"}],
    }
    assert scenario_sentence(good_result, plan) == (
        "300 clients in 2 groups publish 200 messages/s of 256 B, up to 600/s (to be delivered 600/s) on "
        "3 nodes of RabbitMQ 4.3.0 over TLS 1.3 for 46.0 s, with 1 fault: kill busiest."
    )
    assert scenario_sentence({}, {}) == ""
