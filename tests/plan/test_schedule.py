"""Load time against real time, judged by numeric integration of the load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.schedule import Segment, segments

SECOND = 1_000_000_000
LOADS = st.floats(0.0, 5.0).map(lambda load: round(load, 4))


def integral(segment: Segment, until: int, steps: int = 400) -> float:
    """Load time that passes in the first `until` real ns: the load, summed by the midpoint rule."""
    width = until / steps
    slope = (segment.end_load - segment.start_load) / segment.duration
    return sum((segment.start_load + slope * (k + 0.5) * width) * width for k in range(steps))


@given(
    start=LOADS,
    end=LOADS,
    share=st.floats(0, 1, exclude_max=True),
    before=st.integers(0, 10**13),
    duration=st.integers(SECOND, 3600 * SECOND),
)
def test_offset_inverts_the_integral_of_the_load(
    start: float, end: float, share: float, before: int, duration: int
) -> None:
    segment = Segment(before, duration, start, end)
    length = segment.load_to - before
    assert length == pytest.approx(integral(segment, duration), rel=1e-6, abs=2)
    passed = int(length * share)
    if not length or passed >= length:
        return
    offset = segment.offset(before + passed)
    assert 0 <= offset <= duration
    assert integral(segment, offset) == pytest.approx(passed, rel=1e-6, abs=20 * max(start, end, 1))


@given(start=LOADS, end=LOADS, duration=st.integers(SECOND, 100 * SECOND))
def test_time_does_not_run_backwards(start: float, end: float, duration: int) -> None:
    segment = Segment(0, duration, start, end)
    points = sorted({segment.load_to * k // 100 for k in range(100)})
    if segment.load_to:
        offsets = [segment.offset(point) for point in points]
        assert offsets == sorted(offsets)


def test_a_ramp_from_nothing_starts_at_once() -> None:
    segment = Segment(0, 10 * SECOND, 0.0, 1.0)
    assert segment.load_to == 5 * SECOND
    assert segment.offset(0) == 0
    assert segment.offset(5 * SECOND // 4) == 5 * SECOND


def test_a_constant_load_is_exact() -> None:
    segment = Segment(7, 10 * SECOND, 0.5, 0.5)
    assert segment.offset(7 + SECOND) == 2 * SECOND
    assert segment.load_to == 7 + 5 * SECOND


def test_no_load_lets_no_load_time_pass() -> None:
    assert Segment(3, SECOND, 0.0, 0.0).load_to == 3


def test_segments_join_without_gap_or_overlap() -> None:
    laid = segments([(SECOND, 0.5, 0.5), (2 * SECOND, 0.1, 1.0), (SECOND, 0.0, 0.0), (SECOND, 3.0, 3.0)])
    assert [each.load_from for each in laid[1:]] == [each.load_to for each in laid[:-1]]
    assert laid[0].load_from == 0
    assert laid[-1].load_to == SECOND // 2 + 11 * SECOND // 10 + 3 * SECOND
