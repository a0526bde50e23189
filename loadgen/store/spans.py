"""Stages, faults and events of a run as objects; all times are seconds since the start of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KNOWN = ("ns", "event", "client_id", "group", "node")


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stage as it ran."""

    name: str
    kind: str
    """`connect`, `hold` or `drain`."""
    start: float
    end: float
    """The end of the run's last interval when it was killed in this stage."""
    record: bool = True
    """False for a stage left out of the latencies, such as a warm-up."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """One fault or mark that was injected: its window and the moments in it."""

    name: str
    kind: str
    """`kill`, `stop`, `pause` …; `mark` for what somebody else did."""
    start: float
    """The window opens, just before the act."""
    end: float
    """The window closes: at recovery, or at the end of the run."""
    nodes: tuple[str, ...] = ()
    """`host:port` of the nodes it was done to."""
    healed_at: float | None = None
    recovered_at: float | None = None
    """When every client was back; None when that was never seen, and in a run that was killed."""

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `events.jsonl`."""

    at: float
    kind: str
    """`stage`, `fault`, `connected`, `disconnected`, `outage` …"""
    client_id: str | None = None
    group: str | None = None
    node: str | None = None
    """`host:port`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The other keys of the line, as they are; those of times are monotonic nanoseconds."""


def stage_spans(result: Mapping[str, Any], events: Iterable[Event], end: float) -> list[StageSpan]:
    """Give the stages in order: of the result, or of the events when the run was killed."""
    if result.get("stages"):
        begun = [stage for stage in result["stages"] if stage.get("started_at_s") is not None]
        told = [
            (stage["name"], stage["kind"], stage["started_at_s"], stage.get("duration"), stage.get("record"))
            for stage in begun
        ]
    else:
        told = [
            (event.details.get("stage", ""), event.details.get("kind", ""), event.at, None, None)
            for event in events
            if event.kind == "stage"
        ]
    # A stage whose length is not known lasts until the next one, or the end of the run.
    next_starts = [*(start for _, _, start, *_ in told), end][1:]
    return [
        StageSpan(
            name,
            kind,
            start,
            start + duration if duration is not None else max(until, start),
            record is not False,
        )
        for (name, kind, start, duration, record), until in zip(told, next_starts, strict=False)
    ]


def fault_spans(result: Mapping[str, Any], events: Iterable[Event], end: float) -> list[FaultSpan]:
    """Give the faults that were injected: of the result, or of the events when the run was killed."""
    if result.get("faults"):
        return [
            FaultSpan(
                str(fault.get("name") or fault["kind"]),
                str(fault["kind"]),
                window["start"],
                end if window.get("end") is None else window["end"],
                tuple(fault.get("endpoints") or fault.get("nodes") or ()),
                fault.get("healed_at"),
                fault.get("recovered_at"),
            )
            for fault in result["faults"]
            if (window := fault.get("window") or {}).get("start") is not None
        ]
    told: dict[int, list[Event]] = {}
    for event in events:
        if event.kind == "fault":
            told.setdefault(int(event.details.get("number", 0)), []).append(event)
    found = [_told(lines, end) for _, lines in sorted(told.items())]
    return [span for span in found if span is not None]


def _told(lines: Sequence[Event], end: float) -> FaultSpan | None:
    """Put together what the events tell of one fault; None when it was never injected."""
    at = {str(event.details.get("phase")): event.at for event in lines}
    begun = at.get("injecting", at.get("marked"))
    if begun is None:
        return None
    last = lines[-1].details
    return FaultSpan(
        str(last.get("fault", "")),
        str(last.get("kind", "")),
        begun,
        max(at.get("closed", end), begun),
        tuple(last.get("nodes") or ()),
        at.get("healed"),
    )


def event_of(line: Mapping[str, Any], origin_ns: int) -> Event:
    """Make an event of a line of `events.jsonl`; `origin_ns` is the run's start, monotonic ns."""
    details = {key: value for key, value in line.items() if key not in _KNOWN}
    at = (int(line.get("ns") or origin_ns) - origin_ns) / 1e9
    client_id, group, node = (line.get(key) for key in ("client_id", "group", "node"))
    return Event(at, str(line.get("event", "")), client_id, group, node, details)
