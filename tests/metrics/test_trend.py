from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.metrics import trend
from loadgen.metrics.trend import Trend, average, fit_trend


def noise(rng: np.random.Generator, points: int, correlation: float) -> list[float]:
    """A first-order autoregressive series of standard deviation 1."""
    steps = rng.standard_normal(points + 200)
    series = [0.0]
    for step in steps:
        series.append(correlation * series[-1] + float(step))
    return [value * (1 - correlation**2) ** 0.5 for value in series[-points:]]


def fitted(times: list[float], values: list[float]) -> Trend:
    found = fit_trend(times, values)
    assert found is not None
    return found


def test_a_straight_line_is_found_exactly() -> None:
    times = [30.0 * k for k in range(40)]
    found = fitted(times, [5 + 0.25 * at for at in times])
    assert found.slope == pytest.approx(0.25)
    assert found.level == pytest.approx(5 + 0.25 * 30 * 4.5), "in the middle of the first ten points"
    assert found.high - found.low < 1e-9
    assert (found.seconds, found.points) == (30 * 39, 40)


def test_a_constant_series_has_no_slope_and_no_doubt() -> None:
    assert fitted([float(k) for k in range(25)], [7.0] * 25) == Trend(0.0, 0.0, 0.0, 7.0, 24.0, 25)


def test_too_few_points_are_no_trend() -> None:
    assert fit_trend([float(k) for k in range(19)], [1.0] * 19) is None
    assert fit_trend([], []) is None


def test_outliers_hardly_move_the_slope() -> None:
    rng = np.random.default_rng(3)
    times = [float(k) for k in range(60)]
    values = [100 + 0.5 * at + float(rng.standard_normal()) for at in times]
    for place in (50, 55, 58):
        values[place] += 500
    assert fitted(times, values).slope == pytest.approx(0.5, abs=0.05)
    assert abs(float(np.polyfit(times, values, 1)[0]) - 0.5) > 1, "as least squares would"


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_flat_noise_that_remembers_its_past_is_seldom_a_trend(correlation: float) -> None:
    """With a confidence of 95 % one in forty has a slope above zero that is none; measured: up to 4 %."""
    rng = np.random.default_rng(11)
    times = [60.0 * k for k in range(60)]
    trends = [fitted(times, noise(rng, 60, correlation)) for _ in range(300)]
    assert sum(each.low > 0 for each in trends) / 300 < 0.06
    assert sum(each.high < 0 for each in trends) / 300 < 0.06


def test_taken_for_independent_the_same_noise_would_often_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the correlation is for: without it one run in four with such noise would fail for nothing."""
    monkeypatch.setattr(trend, "_CORRELATIONS", np.array([0.0]))
    rng = np.random.default_rng(11)
    times = [60.0 * k for k in range(60)]
    trends = [fitted(times, noise(rng, 60, 0.8)) for _ in range(300)]
    assert sum(each.low > 0 for each in trends) / 300 > 0.15


@pytest.mark.parametrize(("correlation", "found"), [(0.0, 0.99), (0.5, 0.85)])
def test_a_leak_of_three_deviations_is_mostly_found(correlation: float, found: float) -> None:
    rng = np.random.default_rng(12)
    times = [60.0 * k for k in range(60)]
    leak = [3 * at / times[-1] for at in times]
    trends = [
        fitted(times, [a + b for a, b in zip(noise(rng, 60, correlation), leak, strict=True)])
        for _ in range(200)
    ]
    assert sum(each.low > 0 for each in trends) / 200 >= found


def test_the_interval_covers_the_true_slope() -> None:
    rng = np.random.default_rng(13)
    times = [10.0 * k for k in range(40)]
    inside = 0
    for _ in range(200):
        values = [2 * at + 50 * n for at, n in zip(times, noise(rng, 40, 0.4), strict=True)]
        each = fitted(times, values)
        inside += each.low <= 2 <= each.high
    assert 0.88 <= inside / 200 <= 1


def test_growth_that_bends_is_still_growth() -> None:
    times = [float(k) for k in range(60)]
    assert fitted(times, [at**2 for at in times]).low > 0


@given(
    scale=st.floats(0.001, 1e9),
    shift=st.floats(-1e6, 1e6),
    seed=st.integers(0, 1000),
    missing=st.sets(st.integers(0, 39), max_size=15),
)
def test_units_and_gaps_change_nothing(scale: float, shift: float, seed: int, missing: set[int]) -> None:
    rng = np.random.default_rng(seed)
    kept = [k for k in range(40) if k not in missing]
    times = [float(k) for k in kept]
    values = [3 * k + float(rng.standard_normal()) for k in kept]
    plain = fitted(times, values)
    other = fitted(times, [scale * value + shift for value in values])
    for name in ("slope", "low", "high"):
        got, wanted = getattr(other, name), scale * getattr(plain, name)
        assert got == pytest.approx(wanted, rel=1e-3, abs=1e-6 * max(abs(shift), scale))


def test_averages_keep_order_and_bound_the_number() -> None:
    times, values = average([float(k) for k in range(125)], [2.0 * k for k in range(125)], 60)
    assert len(times) == 42
    assert times[:2] == [1.0, 4.0]
    assert values == [2 * at for at in times]
    assert average([], []) == ([], [])
