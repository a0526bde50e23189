from __future__ import annotations

import itertools
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import MERGED, Snapshot, merge_time, merge_workers

GROUPS = st.sampled_from(["a", "b"])
histograms = st.dictionaries(
    st.builds("{}|{}".format, st.sampled_from(["send_lag", "connect_time"]), GROUPS),
    st.builds(Histogram, st.lists(st.integers(-5, 10**9), min_size=1, max_size=5)),
)
counters = st.dictionaries(
    st.builds("{}|{}".format, st.sampled_from(["published", "connack_codes:0x86"]), GROUPS),
    st.integers(1, 9),
)
# Whole numbers, so that sums of floats do not depend on their order.
gauges = st.dictionaries(st.sampled_from(["rss", "connected|a"]), st.integers(0, 99).map(float))
stages = st.sampled_from(["connect", "hold"])
tenths = st.dictionaries(
    st.sampled_from(["published", "ready"]),
    st.dictionaries(st.integers(0, 50), st.integers(0, 9), min_size=1),
)


def snapshots(
    workers: st.SearchStrategy[int], intervals: st.SearchStrategy[int]
) -> st.SearchStrategy[Snapshot]:
    return st.builds(
        Snapshot,
        worker=workers,
        interval=intervals,
        start_ns=st.integers(1, 9),
        end_ns=st.integers(10, 19),
        stage=stages,
        histograms=histograms,
        counters=counters,
        gauges=gauges,
        tenths=tenths,
    )


one_interval = snapshots(st.integers(0, 3), st.just(4))
over_time = st.lists(snapshots(st.just(2), st.integers(0, 99)), max_size=5, unique_by=lambda s: s.interval)


@given(one_interval, one_interval, one_interval)
def test_workers_of_one_interval_are_a_commutative_monoid(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    assert (a + b) + c == a + (b + c) == merge_workers([a, b, c])
    assert a + b == b + a
    assert a + Snapshot() == a == Snapshot() + a
    assert (a + b).gauges.get("rss", 0) == a.gauges.get("rss", 0) + b.gauges.get("rss", 0)


@given(over_time)
def test_intervals_add_up_in_any_order_and_grouping(taken: list[Snapshot]) -> None:
    whole = merge_time(taken)
    assert whole == merge_time(reversed(taken))
    ordered = sorted(taken, key=lambda snapshot: snapshot.interval)
    total = Snapshot()
    for snapshot in ordered:
        total += snapshot
    assert total == whole
    for cut in range(len(ordered) + 1):
        assert merge_time(ordered[:cut]) + merge_time(ordered[cut:]) == whole
    if ordered:
        latest = {key: value for snapshot in ordered for key, value in snapshot.gauges.items()}
        assert whole.gauges == latest
        assert whole.interval == ordered[-1].interval


@given(st.lists(one_interval, min_size=1, max_size=4))
def test_adding_up_leaves_the_parts_alone(parts: list[Snapshot]) -> None:
    before = [part.to_json() for part in parts]
    total = merge_workers(parts)
    for histogram in total.histograms.values():
        histogram.record(1)
    assert [part.to_json() for part in parts] == before


@given(one_interval)
def test_the_line_and_the_pickle_come_back_equal(snapshot: Snapshot) -> None:
    line = snapshot.to_json()
    assert "\n" not in line
    assert Snapshot.from_json(line) == snapshot == pickle.loads(pickle.dumps(snapshot))


@given(st.lists(one_interval, max_size=4))
def test_selecting_sums_over_groups(parts: list[Snapshot]) -> None:
    total = merge_workers(parts)
    assert total.select("send_lag") == total.select("send_lag", "a") + total.select("send_lag", "b")
    assert total.count("published") == sum(part.count("published", group) for part in parts for group in "ab")
    assert total.codes("connack_codes").get("0x86", 0) == total.count("connack_codes:0x86")
    assert total.gauge("rss") == sum(part.gauge("rss") for part in parts)


def test_figures_of_the_merged() -> None:
    a = Snapshot(worker=0, interval=7, start_ns=5, end_ns=2_000_000_000, stage="connect")
    b = Snapshot(worker=1, interval=7, start_ns=0, end_ns=2_500_000_000, stage="hold")
    both = a + b
    assert (both.worker, both.interval, both.stage, both.seconds) == (MERGED, 7, "hold", 2.5)
    assert (a + a).worker == 0
    assert both.select("nothing") == Histogram()
    assert both.gauge("connected", "a") == 0


def test_codes_are_of_the_family_and_the_group_asked_for() -> None:
    snapshot = Snapshot(
        interval=0,
        counters={
            "connack_codes:0x86|a": 2,
            "connack_codes:0x86|b": 1,
            "connack_codes:0x00|b": 5,
            "puback_codes:0x10|a": 4,
            "connack_codes_like|a": 9,
        },
    )
    assert snapshot.codes("connack_codes") == {"0x00": 5, "0x86": 3}
    assert snapshot.codes("connack_codes", "a") == {"0x86": 2}
    assert snapshot.codes("disconnect_codes") == {}


def test_a_damaged_line_is_told() -> None:
    line = Snapshot(interval=0, histograms={"a|b": Histogram([1])}).to_json()
    fields = json.loads(line)
    for damaged in (
        "",
        line[:-9],
        "[]",
        "{}",
        "3",
        json.dumps({**fields, "histograms": {"a|b": "zz"}}),
        json.dumps({**fields, "more": 1}),
    ):
        with pytest.raises(ValueError, match=r"damaged|JSON|Expecting|Unterminated"):
            Snapshot.from_json(damaged)


def test_a_stage_is_the_sum_of_its_intervals() -> None:
    intervals = [
        Snapshot(worker=worker, interval=k, counters={"published|a": 1}, gauges={"connected|a": 10.0 + k})
        for k, worker in itertools.product(range(3), range(2))
    ]
    by_interval = [merge_workers(s for s in intervals if s.interval == k) for k in range(3)]
    whole = merge_time(by_interval)
    assert whole.counters == {"published|a": 6}
    assert whole.gauges == {"connected|a": 24.0}
