"""What is marked on every time axis: stages, the windows of faults, and when something was done or ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Moments:
    """Times in seconds since the start of the run."""

    stages: list[tuple[str, float, float]] = field(default_factory=list)
    """Name, start and end."""
    windows: list[tuple[str, float, float]] = field(default_factory=list)
    """Name, start and end of each fault's window: from its injection to recovery."""
    healed: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    """Certificate steps: kind and begin."""

    def names(self) -> list[tuple[float, str]]:
        """Give what is written above a chart for faults and steps, in the order of time."""
        return sorted(
            [(start, f"▾ {name}") for name, start, _ in self.windows]
            + [(at, f"▿ {name}") for name, at in self.steps]
        )


def moments(result: Mapping[str, Any]) -> Moments:
    """Read the moments of a result."""
    faults = result.get("faults") or []
    return Moments(
        stages=[
            (str(stage.get("name") or ""), float(start), float(start) + float(duration))
            for stage in result.get("stages") or []
            if (start := stage.get("started_at_s")) is not None and (duration := stage.get("duration"))
        ],
        windows=[span for fault in faults if (span := window_of(fault)) is not None],
        healed=_times(faults, "healed_at"),
        recovered=_times(faults, "recovered_at"),
        steps=[
            (str(step.get("kind") or "step"), float(step["at"]))
            for step in result.get("certificate_steps") or []
            if step.get("at") is not None
        ],
    )


def window_of(fault: Mapping[str, Any]) -> tuple[str, float, float] | None:
    """Give name, start and end of a fault's window; None when it was not injected."""
    window = fault.get("window") or {}
    start, end = window.get("start"), window.get("end")
    if start is None:
        return None
    name = str(fault.get("name") or fault.get("kind") or "fault")
    return name, float(start), float(end if end is not None else start)


def _times(faults: list[Mapping[str, Any]], key: str) -> list[float]:
    return [float(fault[key]) for fault in faults if fault.get(key) is not None]
