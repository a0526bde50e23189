"""Compares runs on disk: the one function that everything around it calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from loadgen.compare.columns import merged, read_columns
from loadgen.compare.judge import judged_of, rows_of
from loadgen.compare.measures import (
    ERRORS,
    LAGS,
    LATENCIES,
    RATES,
    errors,
    generator_cost,
    latencies,
    rates,
)
from loadgen.compare.model import Comparison, RunLine
from loadgen.compare.outcomes import broker_cost, messages, outages
from loadgen.compare.sameness import environment_differences, scenario_differences
from loadgen.compare.series import overlaid
from loadgen.compare.sides import Sides
from loadgen.compare.units import grid_of
from loadgen.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.columns import Columns
    from loadgen.metrics.histogram import Histogram
    from loadgen.store import Run

DEFAULT_TOLERANCE = 0.10
DEFAULT_CONFIDENCE = 0.95
DEFAULT_SEED = 1
_MOST_DIFFERENCES = 8
_CHARTED = ("publish_latency", "delivery_latency", "connect_time", "reconnect_time")


@dataclass(frozen=True, slots=True)
class Options:
    """How strictly two sides are compared."""

    tolerance: float = DEFAULT_TOLERANCE
    """The change that is no regression, as a portion: 0.1 is 10 %."""
    confidence: float = DEFAULT_CONFIDENCE
    """That not one interval of the comparison misses its value, as a portion."""
    seed: int = DEFAULT_SEED
    """Of the bootstrap: the same runs and seed give the same figures."""
    allow_invalid: bool = False
    """Compare runs that prove nothing, or that ended early, too."""
    different_scenarios: bool = False
    """Compare runs of scenarios that differ, too."""


def compare(base: Sequence[Run], runs: Sequence[Run], options: Options | None = None) -> Comparison:
    """Compare the runs of one side with those of the other.

    Args:
        base: what is compared with; several are repetitions of one experiment.
        runs: the runs in question; several are repetitions of one experiment.
        options: the defaults when left out.

    Raises:
        ConfigError: a run cannot be compared, or the scenarios differ.
    """
    options = options or Options()
    every = [*base, *runs]
    problems = [*_unfit(every, options), *_different(every, options)]
    if problems:
        raise ConfigError(problems)
    grid = grid_of([run.result.get("stages") or [] for run in every])
    if not grid.size:
        raise ConfigError("the runs have no recorded stage in common", "compare runs of one scenario")
    columns = [
        read_columns(
            run.intervals(),
            grid,
            grid.placing(run.result.get("stages") or []),
            (*LATENCIES, *LAGS),
            (*RATES, *ERRORS),
        )
        for run in every
    ]
    sides = Sides(columns[: len(base)], columns[len(base) :], grid, options.seed)
    results = [run.result for run in base], [run.result for run in runs]
    measures = [
        *latencies(sides),
        *rates(sides),
        *messages(*results),
        *errors(sides),
        *outages(*results),
        *broker_cost(base, runs),
        *generator_cost(sides),
    ]
    return Comparison(
        scenario=str((base[0].result.get("scenario") or {}).get("name") or ""),
        base=tuple(map(_line, base)),
        runs=tuple(map(_line, runs)),
        tolerance=options.tolerance,
        confidence=options.confidence,
        judged=judged_of(measures),
        seed=options.seed,
        rows=tuple(rows_of(measures, tolerance=options.tolerance, confidence=options.confidence)),
        notes=tuple(_notes(base, runs, options)),
        spectra={
            metric: pair
            for metric in _CHARTED
            if all(pair := (_whole(sides.base, metric), _whole(sides.runs, metric)))
        },
        series={metric: overlaid(sides, metric) for metric in _CHARTED[:2]},
    )


def _whole(side: Sequence[Columns], metric: str) -> Histogram:
    return merged(each.distributions[metric, ""].whole for each in side if (metric, "") in each.distributions)


def _unfit(runs: Sequence[Run], options: Options) -> list[Problem]:
    """Name the runs that prove nothing."""
    found = []
    for run in runs:
        what = ""
        if run.result.get("verdict") == "invalid":
            reasons = [str(each) for each in run.result.get("reasons") or []]
            what = f"the run is INVALID{': ' if reasons else ''}{'; '.join(reasons[:2])}"
        elif run.result.get("interrupted") or run.result.get("aborted"):
            what = "the run ended early, so it is not the whole experiment"
        if what and not options.allow_invalid:
            found.append(Problem(str(run.path), what, "make it again, or give --allow-invalid"))
    return found


def _different(runs: Sequence[Run], options: Options) -> list[Problem]:
    if options.different_scenarios:
        return []
    first, *others = runs
    found = []
    for run in others:
        differences = _scenario_differences(first, run)
        if differences:
            found.append(
                Problem(
                    str(run.path),
                    f"is of another scenario than {first.path}: {_shortened(differences)}",
                    "compare runs of one scenario, or give --different-scenarios",
                )
            )
    return found


def _scenario_differences(one: Run, other: Run) -> list[str]:
    return scenario_differences(_scenario(one), _scenario(other))


def _scenario(run: Run) -> dict[str, Any]:
    try:
        content = yaml.safe_load(run.scenario_yaml)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{run.path}: its scenario.yaml cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{run.path}: its scenario.yaml holds no scenario")
    return content


def _shortened(differences: Sequence[str]) -> str:
    more = len(differences) - _MOST_DIFFERENCES
    return "; ".join(differences[:_MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")


def _notes(base: Sequence[Run], runs: Sequence[Run], options: Options) -> list[str]:
    notes = []
    if len(base) + len(runs) < 4:
        notes.append(
            "the intervals show how a run varies within itself. How much equal runs differ from each other "
            "takes four of them to see, such as two on each side: with fewer, the tolerance has to cover it"
        )
    if options.different_scenarios:
        differences = [each for run in (*base[1:], *runs) for each in _scenario_differences(base[0], run)]
        if differences:
            notes.append(f"the scenarios differ: {_shortened(list(dict.fromkeys(differences)))}")
    differing = [
        each for run in (*base[1:], *runs) for each in environment_differences(base[0].result, run.result)
    ]
    if differing:
        notes.append(
            f"the runs differ in more than the broker's speed: {_shortened(list(dict.fromkeys(differing)))}"
        )
    if any((run.result.get("broker") or {}).get("kind") == "embedded" for run in (*base, *runs)):
        notes.append("the embedded broker is not RabbitMQ: these figures say nothing about a cluster")
    return notes


def _line(run: Run) -> RunLine:
    result = run.result
    broker = result.get("broker") or {}
    return RunLine(
        str(run.path),
        str(result.get("run_id") or run.path.name),
        str(result.get("verdict") or "invalid"),
        str(result.get("started_at") or ""),
        float(result.get("duration") or 0.0),
        " ".join(str(part) for part in (broker.get("kind"), broker.get("version")) if part),
        str(result.get("loadgen_version") or ""),
    )
