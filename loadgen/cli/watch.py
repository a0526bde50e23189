"""Turns what the coordinator tells each second into the live view."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Self

from loadgen.coordinator import Coordinator, Observer
from loadgen.report.live import LiveState, LiveView

if TYPE_CHECKING:
    from types import TracebackType

    from loadgen.metrics.snapshot import Snapshot
    from loadgen.scenario.model import Scenario


class Watch:
    """A live view for one run; a context manager, so that the terminal is always given back."""

    def __init__(self, scenario: Scenario, *, quiet: bool, plain: bool | None) -> None:
        """Show `scenario`'s run; `plain` None chooses by whether stderr is a terminal."""
        self._scenario = scenario
        self._view = None if quiet else LiveView(title=scenario.name, plain=plain)
        self._clients = 0

    def __enter__(self) -> Self:
        """Open the view."""
        if self._view is not None:
            self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the view."""
        if self._view is not None:
            self._view.__exit__(kind, error, trace)

    def observer(self, clients: int) -> Observer:
        """The observer to hand to the coordinator."""
        self._clients = clients
        if self._view is None:
            return Observer()
        return Observer(self._second, self._view.note)

    def _second(self, second: Snapshot, coordinator: Coordinator) -> None:
        assert self._view is not None
        self._view.update(self.state(second, coordinator))

    def state(self, second: Snapshot, coordinator: Coordinator) -> LiveState:
        """What is shown of one second."""
        clock = coordinator.clock
        length = second.seconds or 1.0
        publish = second.select("publish_latency")
        delivery = second.select("delivery_latency")
        lag = second.select("send_lag")
        received = second.count("received") - second.count("foreign")
        return LiveState(
            elapsed=(second.end_ns - coordinator.origin) / 1e9,
            stage=clock.name,
            stage_left=max((clock.ends - monotonic_ns()) / 1e9, 0.0) if clock.ends else None,
            clients=self._clients,
            connected=int(second.gauge("connected")),
            published_rate=second.count("published") / length,
            acknowledged_rate=second.count("acknowledged") / length,
            delivered_rate=received / length,
            publish_p50=publish.percentile(50.0) / 1e9 if publish.count else None,
            publish_p99=publish.percentile(99.0) / 1e9 if publish.count else None,
            delivery_p50=delivery.percentile(50.0) / 1e9 if delivery.count else None,
            delivery_p99=delivery.percentile(99.0) / 1e9 if delivery.count else None,
            send_lag_p99=lag.percentile(99.0) / 1e9 if lag.count else None,
            errors=_errors(coordinator),
            faults=coordinator.faults.shown(monotonic_ns()),
            workers=coordinator.workers,
            send_lag_limit=self._scenario.generator.send_lag / 1e9,
        )


def _errors(coordinator: Coordinator) -> dict[str, int]:
    totals = coordinator.tally
    errors = {
        "connect failures": totals.count("connect_failures"),
        "disconnects": totals.count("disconnects"),
        "publish errors": totals.count("publish_errors"),
        "dropped": totals.count("dropped"),
        "late": totals.count("late"),
        "unexpected": totals.count("foreign"),
    }
    return {word: count for word, count in errors.items() if count}
