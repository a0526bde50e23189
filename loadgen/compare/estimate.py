"""One figure of both sides with its uncertainty, before it is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadgen.compare.bootstrap import student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_FREEDOM = 4
"""Degrees of freedom below which the seconds of a run say too little of their spread."""
LEAST_FREEDOM_OF_RUNS = 2
"""The same for the runs of both sides together: three on one side, or two on each."""
_MOST_EMPTY = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """The difference `run - base`, on the scale on which it was taken."""

    difference: float
    within: float
    """Standard error that the seconds of the runs show."""
    freedom: int
    """Its degrees of freedom."""
    between: float = 0.0
    """Standard error that the runs of each side show among each other; 0 with too few of them."""
    runs_freedom: int = 0

    def half_width(self, alpha: float) -> float:
        """Half the confidence interval at level `1 - alpha`: the wider of both ways to see it."""
        width = self.within * student_quantile(1 - alpha / 2, self.freedom)
        if self.between and self.runs_freedom:
            width = max(width, self.between * student_quantile(1 - alpha / 2, self.runs_freedom))
        return width


def estimate(
    base: Sequence[tuple[float, Floats]], runs: Sequence[tuple[float, Floats]], blocks: int, strata: int
) -> Estimate | str:
    """Put the figures of single runs together.

    Args:
        base: for each run of this side its figure and the resamples of it; all runs were resampled alike.
        runs: the same of the other side.
        blocks: how many whole blocks a resample is drawn from.
        strata: in how many stages they lie.

    Returns:
        The estimate, or why there is none.
    """
    freedom = blocks - strata
    if freedom < LEAST_FREEDOM:
        return "too few seconds to tell"
    difference = _mean([figure for figure, _ in runs]) - _mean([figure for figure, _ in base])
    resampled = np.mean([each for _, each in runs], axis=0) - np.mean([each for _, each in base], axis=0)
    kept = resampled[np.isfinite(resampled)]
    if len(kept) < (1 - _MOST_EMPTY) * len(resampled) or not math.isfinite(difference):
        return "too few samples to tell"
    # A bootstrap of k blocks sees (k - 1) / k of the variance.
    within = float(kept.std()) * math.sqrt(blocks / freedom)
    between, runs_freedom = _between([figure for figure, _ in base], [figure for figure, _ in runs])
    return Estimate(difference, within, freedom, between, runs_freedom)


def between_runs(base: Sequence[float], runs: Sequence[float]) -> Estimate | str:
    """Judge figures of which each run has but one, by how they vary from run to run."""
    between, freedom = _between(base, runs)
    if not freedom:
        return "one figure a run: give three runs or more on each side to judge it"
    return Estimate(_mean(runs) - _mean(base), 0.0, LEAST_FREEDOM, between, freedom)


def _between(base: Sequence[float], runs: Sequence[float]) -> tuple[float, int]:
    """Standard error of the difference of means, and its degrees of freedom; 0 of them with too few runs."""
    freedom = len(base) + len(runs) - 2
    if freedom < LEAST_FREEDOM_OF_RUNS:
        return 0.0, 0
    squares = sum((each - _mean(side)) ** 2 for side in (base, runs) for each in side)
    return math.sqrt(squares / freedom * (1 / len(base) + 1 / len(runs))), freedom


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)
