"""Block bootstrap: how sure a figure of a run is, although its seconds are not independent of each other.

Blocks of consecutive units are drawn with replacement (Politis and Romano's circular blocks), inside each
stage, and in all runs at the same places: a ramp is then in the same resamples of both sides, and cancels.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadgen.compare.units import Stratum

    Floats = NDArray[np.float64]

RESAMPLES = 1000
LEAST_BLOCKS = 5
"""With fewer blocks their spread says too little."""


def block_length(series: Floats) -> int:
    """How long blocks must be for a series, in units: twice Politis and White's rule (2004, corrected 2009).

    It grows with how long the series remembers: 2 for independent values. Blocks of that rule's length still
    see too little of the variance (docs/compare.md has the figures), hence twice. Never more than a fifth of
    the series, so that `LEAST_BLOCKS` remain.
    """
    size = len(series)
    longest = max(1, size // LEAST_BLOCKS)
    centred = series - series.mean()
    variance = float(centred @ centred) / size
    if longest == 1 or variance <= 0:
        return 1
    reach = min(size - 1, max(5, math.ceil(math.log10(size))) + math.ceil(math.sqrt(size)))
    covariance = np.array([float(centred[: size - lag] @ centred[lag:]) / size for lag in range(reach + 1)])
    quiet = 2 * math.sqrt(math.log10(size) / size)
    run = max(5, math.ceil(math.sqrt(math.log10(size))))
    small = np.abs(covariance[1:] / variance) < quiet
    memory = next((lag for lag in range(len(small)) if small[lag : lag + run].all()), len(small))
    bandwidth = max(1, min(2 * memory, reach))
    lags = np.arange(1, bandwidth + 1)
    taper = np.clip(2 * (1 - lags / bandwidth), 0, 1) if bandwidth > 1 else np.zeros(1)
    weighted = taper * covariance[1 : bandwidth + 1]
    slope = 2 * float(lags @ weighted)
    spectrum = variance + 2 * float(weighted.sum())
    if spectrum <= 0:
        return longest
    best: float = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * size ** (1 / 3)
    return min(2 * max(1, math.ceil(best)), longest)


def weights(strata: Sequence[Stratum], length: int, rng: np.random.Generator) -> Floats:
    """How often each unit is drawn in each resample.

    Args:
        strata: the stages; each is resampled on its own and keeps its number of units.
        length: of a block, in units.
        rng: the source of chance.

    Returns:
        `RESAMPLES` x units.
    """
    drawn = np.zeros((RESAMPLES, sum(each.units for each in strata)))
    rows = np.arange(RESAMPLES)[:, None]
    for each in strata:
        here = min(length, each.units)
        blocks = math.ceil(each.units / here)
        starts = rng.integers(0, each.units, size=(RESAMPLES, blocks))
        places = (starts[:, :, None] + np.arange(here)).reshape(RESAMPLES, -1)[:, : each.units] % each.units
        np.add.at(drawn, (rows, each.first + places), 1.0)
    return drawn


def blocks_of(strata: Sequence[Stratum], length: int) -> tuple[int, int]:
    """How many whole blocks there are, and in how many stages: the difference is the degrees of freedom."""
    return sum(max(1, each.units // length) for each in strata), len(strata)


@functools.cache
def student_quantile(probability: float, freedom: int) -> float:
    """Student's t: the value that `probability` (above 0.5) of its samples do not exceed.

    With t = sqrt(freedom) tan(a), the density over the angle is cos(a) ** (freedom - 1).
    """
    steps = 200_000
    angles = np.linspace(0.0, math.pi / 2, steps + 1)
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    angle = float(np.interp((2 * probability - 1) * area[-1], area, angles))
    return math.sqrt(freedom) * math.tan(angle)
