"""Metrics for Prometheus: an HTTP endpoint in a thread of its own, reading the latest moment only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from loadgen.errors import ConfigError
from loadgen.live.families import families
from loadgen.live.totals import BOUNDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from types import TracebackType
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import Metric

    from loadgen.live.board import Board
    from loadgen.live.families import Family

_BOUNDS = tuple(map(floatToGoString, BOUNDS))
_UNITS = {"seconds", "bytes"}
"""Units that are part of the names."""


class RunCollector(Collector):
    """Gives what the board shows in Prometheus' terms, whenever it is asked."""

    def __init__(self, board: Board) -> None:
        """Read this board."""
        self._board = board
        self.scrapes = 0
        """Times it was asked."""
        self.scrapes_of_the_end = 0
        """Of these, how often the verdict was already known."""

    def describe(self) -> list[Metric]:
        """Nothing: registering it is no scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        ended = self._board.moment.result is not None
        for family in families(self._board):
            yield _metric(family)
        self.scrapes += 1
        self.scrapes_of_the_end += ended


def _metric(family: Family) -> Metric:
    unit = family.unit if family.unit in _UNITS else ""
    words = f"{family.help[:1].upper()}{family.help[1:]}"
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, words, labels=family.labels, unit=unit)
        for labels, each in family.buckets:
            pairs = list(zip(_BOUNDS, each.cumulative, strict=True))
            histogram.add_metric(labels, [*pairs, ("+Inf", each.count)], each.sum)
        return histogram
    if family.kind == "info":
        info = InfoMetricFamily(family.name, words)
        for labels, _ in family.values:
            info.add_metric([], dict(zip(family.labels, labels, strict=True)))
        return info
    if family.kind == "counter":
        counter = CounterMetricFamily(family.name, words, labels=family.labels, unit=unit)
        for labels, value in family.values:
            counter.add_metric(labels, value)
        return counter
    gauge = GaugeMetricFamily(family.name, words, labels=family.labels, unit=unit)
    for labels, value in family.values:
        gauge.add_metric(labels, value)
    return gauge


class PrometheusEndpoint:
    """Serves `/metrics` while it is open; a context manager."""

    def __init__(self, board: Board, host: str, port: int) -> None:
        """Listen on a port; 0 takes any that is free.

        Raises:
            ConfigError: it cannot listen there.
        """
        self._collector = RunCollector(board)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(
                f"--prometheus-port: cannot listen on {host} port {port}: {error.strerror or error}",
                "choose another port with --prometheus-port, or end what listens there",
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}/metrics"

    def __enter__(self) -> Self:
        """It serves already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def watched(self) -> bool:
        """Whether anybody ever scraped it."""
        return self._collector.scrapes > 0

    def wait_for_the_last_scrape(self, limit: float) -> None:
        """Stay until a scrape has seen the verdict, at most `limit` seconds; not at all if nobody scrapes."""
        deadline = time.monotonic() + limit
        while self.watched and not self._collector.scrapes_of_the_end and time.monotonic() < deadline:
            time.sleep(0.05)
