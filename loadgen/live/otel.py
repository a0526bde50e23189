"""The same metrics for OpenTelemetry: observable instruments and histograms, sent by OTLP over HTTP.

Needs the extra `loadgen[otel]`; imported only when asked for. Endpoint, headers, interval and the rest come
from the standard `OTEL_…` environment variables.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from loadgen.errors import ConfigError
from loadgen.live.families import PREFIX, families
from loadgen.live.totals import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from opentelemetry.metrics import CallbackOptions, Meter
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

    from loadgen.live.board import Board, Moment
    from loadgen.live.families import Family
    from loadgen.live.totals import Buckets

_INTERVAL_MS = 10_000.0
"""How often metrics are sent when OTEL_METRIC_EXPORT_INTERVAL does not say: its minute is long for a run."""
_FAREWELL_MS = 10_000.0
"""How long the last figures may take to be sent."""
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_UNITS = {"seconds": "s", "bytes": "By"}


def instrument_name(family: Family) -> str:
    """Give a metric's name as OpenTelemetry has it: `loadgen.publish_latency`, the seconds being its unit."""
    return f"{PREFIX}.{family.name.removeprefix(f'{PREFIX}_').removesuffix('_seconds')}"


def _unit(family: Family) -> str:
    return _UNITS.get(family.unit, f"{{{family.unit}}}" if family.unit else "1")


class Instruments:
    """Observable counters and gauges over a board; asked by a reader, in the reader's thread."""

    def __init__(self, board: Board, meter: Meter) -> None:
        """Make an instrument for each metric but the histograms."""
        self._board = board
        self._read: tuple[Moment, dict[str, Family]] | None = None
        for family in families(board):
            make = {
                "counter": meter.create_observable_counter,
                "gauge": meter.create_observable_gauge,
            }.get(family.kind)
            if make is not None:
                make(instrument_name(family), [self._asked(family.name)], _unit(family), family.help)

    def _asked(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            family = self._families()[name]
            for labels, value in family.values:
                yield Observation(value, dict(zip(family.labels, labels, strict=True)))

        return observe

    def _families(self) -> dict[str, Family]:
        """What is exported at this moment; made once for all instruments that ask about the same one."""
        moment = self._board.moment
        if self._read is None or self._read[0] is not moment:
            self._read = moment, {family.name: family for family in families(self._board)}
        return self._read[1]


class WithHistograms(MetricExporter):
    """Adds the board's histograms to what another exporter sends: OpenTelemetry has no observable ones."""

    def __init__(self, inner: MetricExporter, board: Board) -> None:
        """Export through `inner`, everything as sums since the start."""
        super().__init__()
        self._inner = inner
        self._board = board
        self._start = time.time_ns()
        self.delivered = True
        """Whether the last export came through."""

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **more: Any,  # noqa: ANN401 - the SDK's signature
    ) -> MetricExportResult:
        """Send what the instruments gave, and the histograms."""
        first, *others = metrics_data.resource_metrics
        scope, *scopes = first.scope_metrics
        scope = replace(scope, metrics=[*scope.metrics, *self._histograms()])
        first = replace(first, scope_metrics=[scope, *scopes])
        everything = replace(metrics_data, resource_metrics=[first, *others])
        result = self._inner.export(everything, timeout_millis=timeout_millis, **more)
        self.delivered = result is MetricExportResult.SUCCESS
        return result

    def _histograms(self) -> Iterator[Metric]:
        now = time.time_ns()
        for family in families(self._board):
            if family.kind == "histogram" and family.buckets:
                points = [
                    self._point(dict(zip(family.labels, labels, strict=True)), buckets, now)
                    for labels, buckets in family.buckets
                ]
                data = Histogram(points, AggregationTemporality.CUMULATIVE)
                yield Metric(instrument_name(family), family.help, _unit(family), data)

    def _point(self, attributes: dict[str, str], buckets: Buckets, now: int) -> HistogramDataPoint:
        edges = [0, *buckets.cumulative, buckets.count]
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=now,
            count=buckets.count,
            sum=buckets.sum,
            bucket_counts=[after - before for before, after in pairwise(edges)],
            explicit_bounds=BOUNDS,
            min=buckets.min,
            max=buckets.max,
        )

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back here."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:  # noqa: ANN401 - the SDK's signature
        """Let the other exporter go."""
        self._inner.shutdown(timeout_millis, **more)


class _FirstWords(logging.Handler):
    """Passes on the first thing the SDK has to say; it repeats itself at every export."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            self._say(f"OpenTelemetry: {record.getMessage()}")


def open_provider(board: Board, reader: MetricReader) -> MeterProvider:
    """Give a provider whose reader sees the board's instruments.

    What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before what we say of ourselves.
    """
    subject = board.subject
    ours = {
        "service.name": PREFIX,
        "service.version": subject.version,
        "loadgen.scenario": subject.scenario,
    }
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    Instruments(board, provider.get_meter(PREFIX, subject.version))
    return provider


class OtelExport:
    """Sends a board's metrics every few seconds while it is open, and once more when it closes."""

    def __init__(self, board: Board, warn: Callable[[str], None]) -> None:
        """Read the environment; nothing is sent before it is entered.

        Raises:
            ConfigError: the environment asks for another protocol than OTLP over HTTP.
        """
        for variable in _PROTOCOLS:
            protocol = os.environ.get(variable)
            if protocol not in (None, "", "http/protobuf"):
                what = f"--otel: {variable} is {protocol}, and loadgen sends http/protobuf"
                mend = f"unset {variable}, and name the collector's HTTP endpoint (port 4318)"
                raise ConfigError(what, mend)
        self._board = board
        self._warn = warn
        self._handler = _FirstWords(warn)
        self._logger = logging.getLogger("opentelemetry")
        self._exporter: WithHistograms | None = None
        self._provider: MeterProvider | None = None

    def __enter__(self) -> Self:
        """Begin to send."""
        self._logger.addHandler(self._handler)
        self._logger.propagate = False
        self._exporter = WithHistograms(OTLPMetricExporter(), self._board)
        given = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL")
        reader = PeriodicExportingMetricReader(self._exporter, None if given else _INTERVAL_MS)
        self._provider = open_provider(self._board, reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the last figures, and no more."""
        assert self._provider is not None
        assert self._exporter is not None
        with contextlib.suppress(Exception):  # trouble of the export is no trouble of the run
            self._provider.shutdown(_FAREWELL_MS)
        if not self._exporter.delivered:
            self._warn("OpenTelemetry: the last figures could not be delivered")
        self._logger.removeHandler(self._handler)
        self._logger.propagate = True
