"""What a chart over time shows, in a sentence with its figures: for those who do not see it, or print it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.series import ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadgen.report.series import RunSeries


def rates(series: RunSeries) -> str:
    """Say the mean rates while there was load, and when acknowledgements were fewest."""
    loaded = _loaded(series)
    if not loaded:
        return "Nothing was sent."
    means = [
        f"{words} {figures.rate(_mean(series.columns[column][place] for place in loaded))}"
        for column, words in (
            ("intended", "intended"),
            ("published", "sent"),
            ("acknowledged", "acknowledged"),
            ("delivered", "delivered"),
        )
        if column in series.columns
    ]
    text = f"On average, while there was load: {', '.join(means)}."
    inner = loaded[1:-1]
    if not inner or not any(series.columns["acknowledged"]):
        return text
    low = series.columns.get("acknowledged_low") or series.columns["acknowledged"]
    place = min(inner, key=lambda each: low[each])
    return f"{text} Fewest acknowledged: {figures.rate(low[place])} at {figures.clock(series.time[place])}."


def connected(series: RunSeries) -> str:
    """Say how many clients were connected at most, and at fewest while there was load."""
    values = series.columns["connected"]
    peak = _highest(values)
    if peak is None:
        return ""
    text = f"At most {figures.count(values[peak])}"
    low = series.columns.get("connected_low") or values
    inner = [place for place in _loaded(series)[1:-1] if not math.isnan(low[place])]
    if not inner:
        return f"{text}."
    place = min(inner, key=lambda each: low[each])
    return f"{text}; at fewest while there was load {figures.count(low[place])}, at {_clock(series, place)}."


def latency(series: RunSeries, result: Mapping[str, Any], metric: str) -> str:
    """Say the run's percentiles, and the worst point of the curve."""
    parts = []
    whole = (result.get("metrics") or {}).get(metric) or {}
    if whole.get("count"):
        parts.append(
            f"In the whole run p50 {figures.seconds(whole['p50'])}, p99 {figures.seconds(whole['p99'])}"
        )
    curve = series.columns[f"{metric}_p99"]
    worst = _highest(curve)
    if worst is not None:
        parts.append(f"highest p99 {figures.seconds(curve[worst])}, at {_clock(series, worst)}")
    return f"{'; '.join(parts)}." if parts else ""


def errors(series: RunSeries) -> str:
    """Say how many errors of each kind there were, and when most came."""
    parts = []
    for counter, words in ERRORS:
        total = sum(stage.counters.get(counter, 0) for stage in series.stages.values())
        worst = _highest(series.columns[counter])
        if total and worst is not None:
            parts.append(f"{figures.count(total)} {words}, most at {_clock(series, worst)}")
    return f"{'; '.join(parts)}." if parts else ""


def lags(series: RunSeries, result: Mapping[str, Any], limit: float) -> str:
    """Say how late the generator was in the whole run, and at worst."""
    generator = result.get("generator") or {}
    parts = []
    for name in ("send_lag", "loop_lag"):
        words = name.replace("_", " ").capitalize()
        p99 = (generator.get(name) or {}).get("p99")
        curve = series.columns[f"{name}_p99"]
        worst = _highest(curve)
        if worst is None:
            continue
        whole = f"{figures.seconds(p99)} in the whole run, " if p99 is not None else ""
        parts.append(
            f"{words} p99 {whole}at worst {figures.seconds(curve[worst])} at {_clock(series, worst)}"
        )
    return f"{'; '.join(parts)}. Limit {figures.seconds(limit)}." if parts else ""


def usage(series: RunSeries, column: str) -> str:
    """Say the mean and the most of CPU (percent), memory (bytes) or messages waiting."""
    values = series.columns[column]
    worst = _highest(values)
    if worst is None:
        return ""
    show = {"cpu": figures.percent, "memory": figures.size}.get(column, figures.count)
    known = [value for value in values if not math.isnan(value)]
    return f"Mean {show(_mean(known))}, at most {show(values[worst])}, at {_clock(series, worst)}."


def highest(time: Sequence[float], curves: Mapping[str, Sequence[float]], unit: str) -> str:
    """Say the highest value of each curve, and when it was.

    Args:
        time: Seconds since the start of the run.
        curves: By name.
        unit: `percent`, `size` (bytes) or `number`.
    """
    show = {"percent": figures.percent, "size": figures.size}.get(unit, figures.count)
    parts = [
        f"{name} {show(values[place])} (at {figures.clock(time[place])})"
        for name, values in curves.items()
        if (place := _highest(values)) is not None
    ]
    return f"At most: {', '.join(parts)}." if parts else ""


def _loaded(series: RunSeries) -> list[int]:
    """Points at which messages were due or sent."""
    asked = series.columns.get("intended") or series.columns["published"]
    sent = series.columns["published"]
    return [place for place in range(len(series.time)) if asked[place] > 0 or sent[place] > 0]


def _highest(values: Sequence[float]) -> int | None:
    """Place of the highest value; None when there is none."""
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    return max(known, key=lambda place: values[place]) if known else None


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _clock(series: RunSeries, place: int) -> str:
    return figures.clock(series.time[place])
