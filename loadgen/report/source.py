"""What a report reads of a run on disk: only this, so that tests can hand in a run made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from loadgen.metrics.broker_sample import BrokerSample
    from loadgen.metrics.snapshot import Snapshot


class RunSource(Protocol):
    """The part of `loadgen.store.Run` that reports use."""

    @property
    def path(self) -> Path:
        """The run's folder; `scenario.yaml` is read from it and `report.html` written to it."""

    @property
    def result(self) -> dict[str, Any]:
        """The content of result.json."""

    @property
    def plan(self) -> dict[str, Any]:
        """The content of plan.json; empty when there is none."""

    @property
    def span(self) -> range:
        """The numbers of the run's seconds."""

    @property
    def origin_ns(self) -> int:
        """The run's start on the clock of snapshots and samples, `monotonic_ns`."""

    def intervals(self, wanted: Callable[[int], bool] | None = None) -> Iterable[Snapshot]:
        """One snapshot for each second (that is wanted), merged over workers, in order of time."""

    def broker_samples(self) -> list[BrokerSample]:
        """What the brokers said of themselves, in order of time; empty when nobody asked them."""
