"""The report's charts of a whole run: which there are, in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report.broker_charts import broker_charts
from loadgen.report.chart import Chart
from loadgen.report.distribution_charts import phases, spectrum
from loadgen.report.plots import Kit
from loadgen.report.time_charts import TimeCharts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.report.broker_series import BrokerSeries
    from loadgen.report.series import RunSeries

__all__ = ["Chart", "draw"]


def draw(
    series: RunSeries,
    result: Mapping[str, Any],
    kit: Kit | None = None,
    said: BrokerSeries | None = None,
) -> list[Chart]:
    """Draw every chart there is data for, in reading order; a run without data has none.

    Args:
        series: The run's columns.
        result: The content of result.json; of a run that goes on, as much as is known.
        kit: What all charts of one page share; its own when left out.
        said: What the brokers said of themselves, if they were asked.
    """
    kit = kit or Kit()
    timed = TimeCharts(series, result, kit) if series.time else None
    return [
        *(timed.load() if timed else []),
        *spectrum(series.spectrum, kit),
        *phases(series.phases, kit),
        *(timed.generator() if timed else []),
        *(broker_charts(timed, said) if timed and said and said.time else []),
    ]
