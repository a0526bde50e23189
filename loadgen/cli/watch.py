"""Everybody who watches a run: the view on the terminal, and whoever reads its metrics."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import loadgen
from loadgen.cli.live_state import StateReader
from loadgen.coordination.coordinator import Coordinator, Observer
from loadgen.errors import ConfigError
from loadgen.live.board import Board, Moment, Subject, Worker
from loadgen.live.lines import event, json_line
from loadgen.live.totals import TotalsReader
from loadgen.live.view import Form, LiveView
from loadgen.live.web import WebPage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from loadgen.live.otel import OtelExport
    from loadgen.live.prometheus import PrometheusEndpoint
    from loadgen.live.state import LiveState
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.plan.plan import Plan
    from loadgen.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Who watches."""

    form: Form = Form.AUTO
    prometheus_port: int | None = None
    """None: no endpoint."""
    prometheus_host: str = "127.0.0.1"
    prometheus_linger: float = 15.0
    """Seconds to wait at most for the scrape that sees the verdict."""
    web_port: int | None = None
    """None: no live page."""
    web_host: str = "127.0.0.1"
    otel: bool = False
    """Whether metrics are sent to OpenTelemetry."""


class Watch:
    """Watches one run; a context manager, so that ports are always given back. So is its `view`."""

    def __init__(self, scenario: Scenario, options: WatchOptions) -> None:
        """Nothing is opened yet."""
        self._scenario = scenario
        self._options = options
        self.view = LiveView(title=scenario.name, form=options.form)
        self._opened = contextlib.ExitStack()
        self._board = Board(_subject(scenario))
        self._totals = TotalsReader(self._board.subject.shown_groups)
        self._reader: StateReader | None = None
        self._coordinator: Coordinator | None = None
        self._prometheus: PrometheusEndpoint | None = None
        self._web: WebPage | None = None

    def __enter__(self) -> Self:
        """Open what the options ask for, but not the view.

        Raises:
            ConfigError: a port is taken, or a library is missing.
        """
        with contextlib.ExitStack() as opening:
            self._open_endpoints(opening)
            self._opened = opening.pop_all()
        return self

    def _open_endpoints(self, opening: contextlib.ExitStack) -> None:
        options = self._options
        if options.prometheus_port is not None:
            # Only now: who does not ask for it shall not pay for the import.
            from loadgen.live.prometheus import PrometheusEndpoint  # noqa: PLC0415

            endpoint = PrometheusEndpoint(self._board, options.prometheus_host, options.prometheus_port)
            self._prometheus = opening.enter_context(endpoint)
            self.view.note(f"metrics: {endpoint.url}")
        if options.web_port is not None:
            self._web = opening.enter_context(WebPage(options.web_host, options.web_port, self.view.warn))
            self._tell(f"live page: {self._web.url}")
            if not self._web.local:
                self.view.warn(f"--web-host {options.web_host}: whoever reaches it can read the live page")
        if options.otel:
            opening.enter_context(_otel(self._board, self.view.warn))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._opened.__exit__(kind, error, trace)

    def observer(self, plan: Plan) -> Observer:
        """The observer to hand to the coordinator."""
        self._reader = StateReader(self._scenario, len(plan.clients))
        if self._options.form is Form.QUIET and not self._exports and self._web is None:
            return Observer(on_begin=self._begin)
        return Observer(self._second, self._tell, self._begin)

    def _tell(self, text: str) -> None:
        self.view.note(text)
        if self._web is not None:
            self._web.tell(event("note", text=text))

    @property
    def _exports(self) -> bool:
        return self._prometheus is not None or self._options.otel

    def _begin(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        if self._web is not None:
            self._web.start(coordinator.writer.path)

    def _second(self, second: Snapshot, coordinator: Coordinator) -> None:
        assert self._reader is not None
        state = self._reader.read(second, coordinator)
        self.view.update(state)
        if self._web is not None:
            self._web.tell(json_line(state))
        if self._exports:
            self._board.moment = self._moment(coordinator, state)

    def _moment(
        self, coordinator: Coordinator, state: LiveState | None, result: dict[str, Any] | None = None
    ) -> Moment:
        gauges: dict[str, float] = {}
        workers: dict[int, Worker] = {}
        for number, (_, of_worker) in coordinator.tally.gauges_by_worker().items():
            workers[number] = Worker(of_worker.get("cpu_seconds", 0.0), of_worker.get("rss", 0.0))
            for key, value in of_worker.items():
                gauges[key] = gauges.get(key, 0.0) + value
        runs = coordinator.faults.runner.runs
        return Moment(
            totals=self._totals.read(coordinator.tally.stages),
            state=state,
            gauges=gauges,
            workers=workers,
            faults=tuple((run.record.name, run.record.kind, run.open) for run in runs),
            result=result,
        )

    def end(self, result: dict[str, Any]) -> None:
        """The run has ended with this `result.json`: exporters show the last figures and the verdict."""
        if self._exports and self._coordinator is not None:
            self._board.moment = self._moment(self._coordinator, self._board.moment.state, result)

    def linger(self) -> None:
        """Give those who scrape a chance to see the end; Ctrl-C cuts it short."""
        if self._prometheus is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._prometheus.wait_for_the_last_scrape(self._options.prometheus_linger)


def _otel(board: Board, warn: Callable[[str], None]) -> OtelExport:
    try:
        # Only now: it is an extra, and half a second of imports.
        from loadgen.live.otel import OtelExport  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("opentelemetry"):
            raise
        raise ConfigError(
            "--otel: OpenTelemetry's SDK is not installed", "pip install 'loadgen[otel]'"
        ) from None
    return OtelExport(board, warn)


def _subject(scenario: Scenario) -> Subject:
    return Subject(
        scenario=scenario.name,
        version=loadgen.__version__,
        stages=tuple((stage.name, stage.kind) for stage in scenario.stages),
        groups={name: group.clients for name, group in scenario.groups.items()},
        send_lag_limit=scenario.generator.send_lag / 1e9,
        loop_lag_limit=scenario.generator.loop_lag / 1e9,
    )
