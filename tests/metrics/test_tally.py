"""What workers report, added up: for stages, for the whole run, and second by second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.packed import pack, pack_snapshot
from loadgen.metrics.snapshot import Snapshot, merge_workers
from loadgen.metrics.tally import Sums, Tally

if TYPE_CHECKING:
    from loadgen.metrics.packed import PackedSnapshot

NS = st.integers(-5, 4_000_000_000_000)


def snapshot(
    worker: int, interval: int, samples: tuple[int, ...] = (), *, stage: str = "steady", **gauges: float
) -> PackedSnapshot:
    return pack_snapshot(
        Snapshot(
            worker=worker,
            interval=interval,
            start_ns=interval * 10,
            end_ns=interval * 10 + 10,
            stage=stage,
            histograms={
                "publish_latency|g": Histogram(samples),
                "tcp_connect|g": Histogram(samples),
            },
            counters={"published|g": len(samples)},
            gauges={key: float(value) for key, value in gauges.items()},
        )
    )


@given(st.lists(NS))
def test_packing_loses_nothing(samples: list[int]) -> None:
    histogram = Histogram(samples)
    assert pack(histogram).unpack() == histogram


@given(st.lists(st.lists(NS), max_size=5))
def test_sums_are_the_histogram_of_all_samples(parts: list[list[int]]) -> None:
    sums, other = Sums(), Sums()
    for part in parts:
        sums.add(snapshot(0, 0, tuple(part)))
        other.add(snapshot(1, 0, tuple(part)))
    everything = Histogram([value for part in parts for value in part])
    assert sums.snapshot().select("publish_latency") == everything
    assert sums.snapshot().count("published") == sum(map(len, parts))
    sums.merge(other)
    assert sums.snapshot().select("publish_latency") == everything + everything
    sums.clear()
    assert not sums.snapshot().histograms
    assert not sums.snapshot().counters


def test_a_second_is_given_once_all_workers_have_left_it_behind() -> None:
    tally = Tally(2)
    tally.add(snapshot(0, 0, (1_000_000,), connected=3))
    tally.add(snapshot(0, 1, (1_000_000,)))
    assert tally.next_interval() is None
    tally.add(snapshot(1, 0, (2_000_000, 3_000_000), connected=4))
    assert tally.next_interval() is None
    tally.add(snapshot(1, 1))
    second = tally.next_interval()
    assert second is not None
    assert (second.interval, second.start_ns, second.end_ns) == (0, 0, 10)
    assert second.select("publish_latency") == Histogram((1_000_000, 2_000_000, 3_000_000))
    assert "tcp_connect|g" not in second.histograms
    assert second.count("published") == 3
    assert second.gauge("connected") == 7
    assert tally.next_interval() is None


def test_a_lost_worker_holds_nothing_up() -> None:
    tally = Tally(2)
    tally.add(snapshot(0, 0))
    tally.add(snapshot(0, 1))
    assert tally.next_interval() is None
    tally.workers.discard(1)
    assert tally.next_interval() is not None


def test_what_comes_late_for_an_earlier_stage_is_its_own_and_has_no_gauges_to_spoil() -> None:
    tally = Tally(1)
    tally.add(snapshot(0, 5, (1_000_000,), stage="drain", connected=10, rss=7))
    tally.add(snapshot(0, 5, (9_000_000,), stage="steady"))
    assert tally.gauge("connected") == 10
    assert tally.rss_peak == 7
    assert tally.stages["steady"].snapshot().select("publish_latency").max == 9_000_000
    assert tally.stages["drain"].snapshot().select("publish_latency").max == 1_000_000
    assert tally.total().select("publish_latency").count == 2
    assert tally.count("published") == 2


@given(st.permutations(list(range(6))), st.integers(1, 3))
def test_the_order_of_arrival_does_not_matter(order: list[int], workers: int) -> None:
    parts = [snapshot(k % workers, k // workers, (1_000 * (k + 1),)) for k in range(6)]
    tally = Tally(workers)
    for k in order:
        tally.add(parts[k])
    unpacked = [
        Snapshot(interval=0, histograms={key: each.unpack() for key, each in part.histograms.items()})
        for part in parts
    ]
    assert tally.total().select("publish_latency") == merge_workers(unpacked).select("publish_latency")
