from __future__ import annotations

import numpy as np
import pytest

from loadgen.compare.bootstrap import RESAMPLES, block_length, blocks_of, student_quantile, weights
from loadgen.compare.units import Grid, Stratum, grid_of

STRATA = (Stratum("c", "connect", 0, 4), Stratum("s", "hold", 4, 20))


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.975, 1, 12.706), (0.975, 4, 2.776), (0.975, 10, 2.228), (0.9995, 5, 6.869), (0.975, 1000, 1.962)],
)
def test_students_quantiles_are_those_of_the_tables(probability: float, freedom: int, value: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(value, rel=2e-3)


def test_every_resample_keeps_the_share_of_each_stage() -> None:
    drawn = weights(STRATA, 3, np.random.default_rng(1))
    assert drawn.shape == (RESAMPLES, 24)
    assert (drawn[:, :4].sum(axis=1) == 4).all()
    assert (drawn[:, 4:].sum(axis=1) == 20).all()
    assert drawn.mean() == pytest.approx(1.0)
    assert drawn[:, 4:].mean(axis=0) == pytest.approx(1.0, abs=0.15), "no place is drawn more often"


def test_blocks_keep_neighbours_together() -> None:
    alone, together = (weights(STRATA, length, np.random.default_rng(1))[:, 4:] for length in (1, 4))

    def correlation(drawn: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        return float(np.corrcoef(drawn[:, 3], drawn[:, 4])[0, 1])

    assert abs(correlation(alone)) < 0.15
    assert correlation(together) > 0.4


def test_blocks_are_counted_in_each_stage() -> None:
    assert blocks_of(STRATA, 5) == (1 + 4, 2)
    assert blocks_of(STRATA, 1) == (24, 2)


def test_a_longer_memory_takes_longer_blocks() -> None:
    rng = np.random.default_rng(3)
    lengths = []
    for memory in (0.0, 0.6, 0.9):
        found = []
        for _ in range(20):
            series = np.zeros(200)
            for place in range(1, 200):
                series[place] = memory * series[place - 1] + rng.normal()
            found.append(block_length(series))
        lengths.append(float(np.mean(found)))
    assert lengths[0] < 4 < lengths[1] < lengths[2]
    assert block_length(np.ones(100)) == 1, "what never changes has no memory"
    assert block_length(np.arange(40.0)) <= 8, "a fifth of the series at most"


def test_a_grid_is_cut_out_of_what_all_runs_recorded() -> None:
    def stage(name: str, kind: str, start: float, length: float, *, record: bool = True) -> dict[str, object]:
        return {"name": name, "kind": kind, "started_at_s": start, "duration": length, "record": record}

    one = [
        stage("c", "connect", 0, 3.2),
        stage("w", "hold", 3.2, 5, record=False),
        stage("s", "hold", 8.2, 20),
    ]
    two = [
        stage("c", "connect", 0, 6.4),
        stage("w", "hold", 6.4, 5, record=False),
        stage("s", "hold", 11.4, 20),
    ]
    grid = grid_of([one, two])
    assert grid == Grid((Stratum("c", "connect", 0, 3), Stratum("s", "hold", 3, 20)), 1.0)
    first, second = grid.placing(one), grid.placing(two)
    assert [first.unit("c", interval) for interval in range(4)] == [0, 1, 2, 2]
    assert [second.unit("c", interval) for interval in range(7)] == [0, 0, 1, 1, 2, 2, 2], "shrunk to as many"
    assert first.unit("w", 5) is None
    assert (first.unit("s", 8), first.unit("s", 27), first.unit("s", 40)) == (3, 22, 22)
    assert second.unit("s", 11) == 3
    hour = [stage("s", "hold", 0, 3600)]
    assert grid_of([hour, hour]).size == 240
