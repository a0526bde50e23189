"""Where the engine puts what it measures: plain lists and integers, folded into histograms now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.metrics.catalog import CODES, COUNTERS, HISTOGRAMS, at_node
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping


class GroupRecorder:
    """The measurements of one group in one worker since the last snapshot.

    The engine appends nanoseconds to the lists (`rec.publish_latency.append(ns)`), adds to the integers
    (`rec.published += 1`) and counts by code (`rec.count_code("connack_codes", "0x86")`). The lists are never
    replaced, so a bound `append` may be kept. What each one means stands in `catalog.METRICS`.
    """

    __slots__ = (*HISTOGRAMS, *COUNTERS, *CODES, "_owner", "name", "node")

    tcp_connect: list[int]
    tls_handshake: list[int]
    mqtt_connect: list[int]
    connect_time: list[int]
    subscribe_time: list[int]
    publish_latency: list[int]
    publish_service_time: list[int]
    delivery_latency: list[int]
    send_lag: list[int]
    detect_time: list[int]
    reconnect_time: list[int]
    planned_reconnect_time: list[int]
    recovery_time: list[int]
    redelivery_latency: list[int]

    connect_attempts: int
    connects: int
    connect_failures: int
    slow_connacks: int
    disconnects: int
    planned_disconnects: int
    reconnects: int
    takeovers: int
    sessions_lost: int
    subscribe_failures: int
    published: int
    republished: int
    abandoned: int
    unanswered: int
    acknowledged: int
    publish_errors: int
    received: int
    duplicates: int
    dup_flagged: int
    late_redeliveries: int
    reordered: int
    foreign: int
    wills_received: int
    retained_received: int
    bytes_sent: int
    bytes_received: int
    late: int
    dropped: int
    skipped: int

    connack_codes: dict[str, int]
    suback_codes: dict[str, int]
    publish_refusals: dict[str, int]
    puback_codes: dict[str, int]
    disconnect_codes: dict[str, int]
    connect_errors: dict[str, int]

    def __init__(self, name: str, node: str = "", owner: Recorder | None = None) -> None:
        """Start with nothing measured.

        Args:
            name: the group's.
            node: of the clients' connections, where they are told apart by it.
            owner: whose snapshots it is in.
        """
        self.name = name
        self.node = node
        self._owner = owner
        for metric in HISTOGRAMS:
            setattr(self, metric, [])
        for counter in COUNTERS:
            setattr(self, counter, 0)
        for family in CODES:
            setattr(self, family, {})

    def at(self, node: str) -> GroupRecorder:
        """The recorder of the same group for connections to a node (`host:port`)."""
        return self._owner.group(self.name, node) if self._owner is not None else self

    def key(self, metric: str) -> tuple[str, ...]:
        """The keys under which a metric of these clients is in a snapshot: the group's, and the node's."""
        of_group = f"{metric}|{self.name}"
        return (of_group, f"{at_node(metric, self.node)}|{self.name}") if self.node else (of_group,)

    def count_code(self, family: str, code: str) -> None:
        """Count one more of a code in a family of `catalog.CODES`; `|` separates keys and is replaced."""
        table: dict[str, int] = getattr(self, family)
        code = code.replace("|", "/")
        table[code] = table.get(code, 0) + 1


class Recorder:
    """All measurements of one worker; gives one snapshot for each interval."""

    __slots__ = ("_groups", "_histograms", "loop_lag", "worker")

    def __init__(self, worker: int = 0) -> None:
        """Start with nothing measured."""
        self.worker = worker
        self.loop_lag: list[int] = []
        """How late the event loop woke, in nanoseconds; the list object is never replaced."""
        self._groups: dict[tuple[str, str], GroupRecorder] = {}
        self._histograms: dict[str, Histogram] = {}

    def group(self, name: str, node: str = "") -> GroupRecorder:
        """Give the recorder of a group, or of its connections to a node; the same object each time."""
        key = name, node
        if key not in self._groups:
            self._groups[key] = GroupRecorder(name, node, self)
        return self._groups[key]

    def count(self, counter: str) -> int:
        """A counter's sum over all groups since the last snapshot."""
        total = 0
        for group in self._groups.values():
            total += getattr(group, counter)
        return total

    def drain(self) -> None:
        """Fold the lists into the interval's histograms; called every few tens of ms it spreads the cost."""
        self._fold(("loop_lag|",), self.loop_lag)
        for group in self._groups.values():
            for metric in HISTOGRAMS:
                samples: list[int] = getattr(group, metric)
                if samples:
                    self._fold(group.key(metric), samples)

    def _fold(self, keys: tuple[str, ...], samples: list[int]) -> None:
        if samples:
            for key in keys:
                histogram = self._histograms.get(key)
                if histogram is None:
                    histogram = self._histograms[key] = Histogram()
                histogram.record_many(samples)
            samples.clear()

    def snapshot(
        self,
        *,
        interval: int,
        start_ns: int,
        end_ns: int,
        stage: str,
        gauges: Mapping[str, float] | None = None,
    ) -> Snapshot:
        """Give what was measured since the last snapshot, and start the next interval at zero.

        Args:
            interval: The k-th interval since the run's start.
            start_ns: Start of the interval, `monotonic_ns`.
            end_ns: End of the interval, `monotonic_ns`.
            stage: Name of the stage now.
            gauges: Values of now, such as `{"connected|sensors": 50, "rss": 4.0e7}`.
        """
        self.drain()
        counters: dict[str, int] = {}
        for group in self._groups.values():
            for counter in COUNTERS:
                count: int = getattr(group, counter)
                if count:
                    for key in group.key(counter):
                        counters[key] = counters.get(key, 0) + count
                    setattr(group, counter, 0)
            for family in CODES:
                table: dict[str, int] = getattr(group, family)
                for code, count in table.items():
                    key = f"{family}:{code}|{group.name}"
                    counters[key] = counters.get(key, 0) + count
                table.clear()
        histograms, self._histograms = self._histograms, {}
        return Snapshot(
            worker=self.worker,
            interval=interval,
            start_ns=start_ns,
            end_ns=end_ns,
            stage=stage,
            histograms=histograms,
            counters=counters,
            gauges=dict(gauges or {}),
        )
