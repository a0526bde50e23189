"""Both sides' runs in units, and the same chance drawn for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadgen.compare.bootstrap import block_length, blocks_of, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from loadgen.compare.columns import Columns
    from loadgen.compare.units import Grid, Stratum

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Resampled:
    """Figures of every run, as they are and in resamples."""

    base: list[tuple[Floats, Floats]]
    """For each run its figures, and those of each resample (resamples x figures)."""
    runs: list[tuple[Floats, Floats]]
    blocks: int
    """Blocks that a resample is drawn from, and not more than there are units with something in them."""
    strata: int
    """Stages that they lie in."""


class Sides:
    """See the module's docstring."""

    def __init__(self, base: Sequence[Columns], runs: Sequence[Columns], grid: Grid, seed: int) -> None:
        """Take runs that were cut by the same grid."""
        self.base = base
        self.runs = runs
        self.grid = grid
        self._seed = seed

    @property
    def all(self) -> tuple[Columns, ...]:
        """The runs of both sides."""
        return (*self.base, *self.runs)

    def resampled(
        self, series: Sequence[Floats], figure: Callable[[Columns, Floats], Floats], used: Floats
    ) -> Resampled:
        """Take a figure of every run, as it is and in resamples.

        Args:
            series: of units, whose memory says how long blocks must be.
            figure: columns and weights (resamples x units) → resamples x figures.
            used: not 0 in units that have something to do with the figure, in any run.
        """
        strata = [each for each in self.grid.strata if used[place_of(each)].any()]
        length = max((_length_in(strata, each) for each in series), default=1)
        # Each figure has its own chance, so that leaving one out changes no other.
        drawn = weights(self.grid.strata, length, np.random.default_rng(self._seed))
        once = np.ones((1, self.grid.size))
        base, runs = (
            [(figure(each, once)[0], figure(each, drawn)) for each in side] for side in (self.base, self.runs)
        )
        blocks, stages = blocks_of(strata, length)
        return Resampled(base, runs, min(blocks, int(np.count_nonzero(used))), stages)


def place_of(stratum: Stratum) -> slice:
    """Where a stage's units are."""
    return slice(stratum.first, stratum.first + stratum.units)


def _length_in(strata: Sequence[Stratum], series: Floats) -> int:
    """What the longest stage asks for: it has the most to say of a series' memory."""
    if not strata:
        return 1
    return block_length(series[place_of(max(strata, key=lambda each: each.units))])
