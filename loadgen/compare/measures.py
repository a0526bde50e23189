"""What is compared of two sides of runs that went on for some time: latencies, rates and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadgen.compare.columns import CPU, NS
from loadgen.compare.estimate import Estimate, estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from loadgen.compare.columns import Columns, Distribution
    from loadgen.compare.sides import Resampled, Sides

    Floats = NDArray[np.float64]

LATENCIES = (
    "publish_latency",
    "publish_service_time",
    "delivery_latency",
    "connect_time",
    "reconnect_time",
    "recovery_time",
)
LAGS = ("send_lag", "loop_lag")
_FROM_INTENDED = ("publish_latency", "delivery_latency")
"""What contains the time until the write: the send lag blurs it, as the loop lag blurs all."""
PERCENTS = (50.0, 90.0, 99.0, 99.9)
RATES = ("published", "acknowledged", "received")
ERRORS = ("connect_failures", "disconnects", "publish_errors", "dropped")
_LEAST_ABOVE = 10
"""A percentile with fewer samples above it is a handful of samples, and no figure of the broker."""
_MEMORY_SEEN_AT = (50.0, 99.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of both sides, not judged yet."""

    metric: str
    group: str
    statistic: str
    unit: str
    base: float | None
    run: float | None
    estimate: Estimate | str
    """On the logarithmic scale, unless it is `plain`; or why there is none."""
    floor: float = 0.0
    """A difference below it (in `unit`) may be the generator's own."""
    worse: int = 1
    """1 when more is worse, -1 when less is."""
    plain: bool = False
    """The difference is per second, and held against the tolerance times `base_rate`."""
    base_rate: float = 0.0
    exact: bool = False
    """No statistics are needed: any difference to the worse is a regression."""


def latencies(sides: Sides) -> Iterator[Measure]:
    """Percentiles of each latency, of all clients and of each group where there are several."""
    lags = {name: _lag(sides, name) for name in LAGS}
    for metric in LATENCIES:
        keys = {key for columns in sides.all for key in columns.distributions if key[0] == metric}
        groups = sorted(group for _, group in keys if group)
        for group in ("", *(groups if len(groups) > 1 else ())):
            key = metric, group
            if all(key in each.distributions for each in sides.all):
                yield from filter(_worth_a_row, _latency(sides, key, lags))
            elif key in keys:
                yield from filter(_worth_a_row, _only_some(sides, key))


def _worth_a_row(measure: Measure) -> bool:
    """What is not judged is shown with few figures, and of all groups together."""
    judged = isinstance(measure.estimate, Estimate)
    return judged or (not measure.group and measure.statistic in {"p50", "p99", "max"})


def _latency(sides: Sides, key: tuple[str, str], lags: dict[str, list[float]]) -> Iterator[Measure]:
    def figure(columns: Columns, drawn: Floats) -> Floats:
        logs: Floats = np.log(np.maximum(columns.distributions[key].quantiles(drawn, PERCENTS), NS))
        return logs

    found = [each.distributions[key] for each in sides.all]
    series = [
        each.above(_whole(each, percent)) / np.maximum(each.sizes, 1)
        for each in found
        for percent in _MEMORY_SEEN_AT
    ]
    used = sum((each.sizes for each in found), np.zeros(sides.grid.size))
    resampled = sides.resampled(series, figure, used)
    fewest = min(each.whole.count for each in found)
    for place, percent in enumerate(PERCENTS):
        enough = fewest * (1 - percent / 100) >= _LEAST_ABOVE
        blurs = LAGS if key[0] in _FROM_INTENDED else ("loop_lag",)
        yield Measure(
            *key,
            f"p{percent:g}",
            "s",
            *_geometric(resampled, place),
            _estimated(resampled, place) if enough else f"fewer than {_LEAST_ABOVE} samples above it",
            floor=max(lags[lag][place] for lag in blurs),
        )
    base, run = (
        max(each.distributions[key].whole.max for each in side) * NS for side in (sides.base, sides.runs)
    )
    yield Measure(*key, "max", "s", base, run, "a single sample")


def _only_some(sides: Sides, key: tuple[str, str]) -> Iterator[Measure]:
    """What was not measured in every run: shown, where it was."""
    for percent in PERCENTS:
        base, run = (
            _mean([_whole(each.distributions[key], percent) for each in side if key in each.distributions])
            for side in (sides.base, sides.runs)
        )
        yield Measure(*key, f"p{percent:g}", "s", base, run, "not in every run")


def _geometric(resampled: Resampled, place: int) -> tuple[float, float]:
    base, run = (
        float(np.exp(np.mean([one[place] for one, _ in side]))) for side in (resampled.base, resampled.runs)
    )
    return base, run


def _estimated(resampled: Resampled, place: int) -> Estimate | str:
    base, run = (
        [(float(one[place]), many[:, place]) for one, many in side]
        for side in (resampled.base, resampled.runs)
    )
    return estimate(base, run, resampled.blocks, resampled.strata)


def _whole(distribution: Distribution, percent: float) -> float:
    return distribution.whole.percentile(percent) * NS


def _mean(figures: Sequence[float]) -> float | None:
    return sum(figures) / len(figures) if figures else None


def _lag(sides: Sides, name: str) -> list[float]:
    """The generator's own lateness at each of `PERCENTS`, of the run in which it was worst, seconds."""
    found = [each.distributions[name, ""] for each in sides.all if (name, "") in each.distributions]
    return [max((_whole(each, percent) for each in found), default=0.0) for percent in PERCENTS]


def rates(sides: Sides) -> Iterator[Measure]:
    """Messages a second in the hold stages; less is worse."""
    for counter in RATES:
        key = counter, ""
        if not any((each.counters[key] * each.hold).any() for each in sides.all):
            continue

        def figure(columns: Columns, drawn: Floats, key: tuple[str, str] = key) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                counted = drawn @ (columns.counters[key] * columns.hold)
                logs: Floats = np.log(counted / (drawn @ (columns.seconds * columns.hold)))
            return logs[:, None]

        series = [each.counters[key] / np.maximum(each.seconds, NS) for each in sides.all]
        resampled = sides.resampled(series, figure, sides.base[0].hold)
        base, run = _geometric(resampled, 0)
        yield Measure(
            counter,
            "",
            "rate",
            "/s",
            base,
            run,
            _estimated(resampled, 0),
            worse=-1,
            exact=bool(base) and not run,
        )


def errors(sides: Sides) -> Iterator[Measure]:
    """What went wrong, as often as it did; a burst in one second is no rate, and is told as such."""
    for counter in ERRORS:
        key = counter, ""
        totals = [float(each.counters[key].sum()) for each in sides.all]
        if not any(totals):
            continue

        def figure(columns: Columns, drawn: Floats, key: tuple[str, str] = key) -> Floats:
            rates: Floats = drawn @ columns.counters[key] / columns.seconds.sum()
            return rates[:, None]

        counted = [each.counters[key] for each in sides.all]
        resampled = sides.resampled(counted, figure, sum(counted, np.zeros(sides.grid.size)))
        bases, runs = totals[: len(sides.base)], totals[len(sides.base) :]
        yield Measure(
            counter,
            "",
            "count",
            "",
            sum(bases) / len(bases),
            sum(runs) / len(runs),
            _estimated(resampled, 0),
            plain=True,
            base_rate=float(np.mean([one[0] for one, _ in resampled.base])),
        )


def generator_cost(sides: Sides) -> Iterator[Measure]:
    """CPU time of loadgen itself for each message: it tells of loadgen, not of the broker."""
    base, run = _cost(sides.base), _cost(sides.runs)
    if base is not None and run is not None:
        yield Measure(
            "generator_cpu", "", "a message", "s", base, run, "loadgen's own cost, not the broker's"
        )


def messages_of(columns: Columns) -> float:
    """Messages that were published and received while stages held."""
    return sum(float((columns.counters[name, ""] * columns.hold).sum()) for name in ("published", "received"))


def _cost(side: Sequence[Columns]) -> float | None:
    cpu = sum(float((each.counters[CPU, ""] * each.hold).sum()) for each in side)
    messages = sum(map(messages_of, side))
    return cpu / messages if messages and cpu else None
