"""How often noise is called, and how often a slower broker: simulated runs whose seconds have a memory."""

from __future__ import annotations

import numpy as np

from loadgen.compare.columns import Columns, Distribution
from loadgen.compare.judge import rows_of
from loadgen.compare.measures import latencies
from loadgen.compare.model import Finding, Row
from loadgen.compare.sides import Sides
from loadgen.compare.units import Grid, Stratum
from loadgen.metrics.histogram import Histogram, highest_at, index_of

SECONDS = 60
GRID = Grid((Stratum("steady", "hold", 0, SECONDS),), 1.0)
PER_SECOND = 40


def simulated(rng: np.random.Generator, memory: float, wander: float, factor: float = 1.0) -> Columns:
    """A run of log-normal latencies around a level that wanders, and remembers where it was."""
    level = np.zeros(SECONDS)
    for place in range(1, SECONDS):
        level[place] = memory * level[place - 1] + np.sqrt(1 - memory**2) * rng.normal()
    middle = 10e6 * factor * np.exp(wander * level)[:, None]
    samples = (middle * np.exp(0.25 * rng.normal(size=(SECONDS, PER_SECOND)))).astype(int)
    indices = np.vectorize(lambda value: index_of(int(value)))(samples)
    buckets, columns = np.unique(indices, return_inverse=True)
    counts = np.zeros((SECONDS, len(buckets)))
    np.add.at(counts, (np.arange(SECONDS)[:, None], columns.reshape(indices.shape)), 1.0)
    values = np.array([highest_at(int(bucket)) * 1e-9 for bucket in buckets])
    found = Columns(seconds=np.ones(SECONDS), hold=np.ones(SECONDS))
    found.distributions = {
        ("publish_latency", ""): Distribution(counts, values, Histogram(samples.ravel().tolist()))
    }
    return found


def judged(seed: int, memory: float, wander: float, factor: float, tolerance: float) -> list[Row]:
    rng = np.random.default_rng(seed)
    sides = Sides([simulated(rng, memory, wander)], [simulated(rng, memory, wander, factor)], GRID, 1)
    return rows_of(list(latencies(sides)), tolerance=tolerance, confidence=0.95)


def test_noise_is_called_no_oftener_than_the_confidence_allows() -> None:
    """At a tolerance of 0 %, one comparison in twenty may miss a value with one of its intervals.

    Of 40, six or more would do so once in seventy times. By single seconds it is every second one.
    """
    missed = 0
    for seed in range(40):
        rows = judged(seed, 0.85, 0.1, 1.0, 0.0)
        missed += any(row.finding in {Finding.REGRESSION, Finding.IMPROVEMENT} for row in rows)
    assert missed <= 5


def test_a_broker_slowed_by_a_fifth_is_called_at_the_default_tolerance() -> None:
    called = 0
    for seed in range(15):
        rows = judged(seed, 0.3, 0.05, 1.2, 0.1)
        called += any(row.finding is Finding.REGRESSION for row in rows)
        assert not any(row.finding is Finding.IMPROVEMENT for row in rows)
    assert called >= 14
