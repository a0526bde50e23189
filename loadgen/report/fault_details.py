"""What the HTML report tells of each fault beyond its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.faults import DISTRIBUTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

PHASES = ("before", "during", "after")
"""Spans that are compared: the baseline, the window, and as long as the baseline after it."""


@dataclass(frozen=True, slots=True)
class FaultDetail:
    """Tables of one fault; empty where nothing was measured."""

    subtitle: str
    distributions: list[tuple[str, str, Mapping[str, Any]]]
    """Name, meaning, and figures in seconds."""
    phase_titles: tuple[str, ...]
    phases: list[tuple[str, list[str]]]
    """Name of a figure, and its value in each of `PHASES`."""
    steps: list[str]
    """Each act as it was done."""


def fault_details(result: Mapping[str, Any]) -> list[FaultDetail]:
    """Give the details of each fault, in order."""
    return [_detail(fault) for fault in result.get("faults") or []]


def _detail(fault: Mapping[str, Any]) -> FaultDetail:
    target = str(fault.get("target") or "")
    kind, injected = str(fault.get("kind") or ""), fault.get("injected_at")
    words = [
        kind if kind != fault.get("name") else "",
        target,
        f"at {figures.clock(injected)}" if injected is not None else "",
    ]
    return FaultDetail(
        subtitle=" ".join(word for word in words if word),
        distributions=[
            (name.replace("_", " "), words, fault[name])
            for name, words in DISTRIBUTIONS
            if (fault.get(name) or {}).get("count")
        ],
        phase_titles=PHASES,
        phases=_phases(fault),
        steps=[
            f"{step.get('what')} {step.get('node') or ''} at {step.get('at', 0.0):.3f}s".replace("  ", " ")
            for step in fault.get("steps") or []
        ],
    )


def _phases(fault: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    rate, latency = fault.get("rate") or {}, fault.get("latency") or {}
    rows = []
    rates = [rate.get("baseline"), rate.get("during"), rate.get("after")]
    if any(value is not None for value in rates):
        rows.append((str(rate.get("metric") or "rate"), [figures.rate(value) for value in rates]))
    for metric in ("publish", "delivery"):
        for key in ("p50", "p99"):
            values = [((latency.get(phase) or {}).get(metric) or {}).get(key) for phase in PHASES]
            if any(value is not None for value in values):
                title = f"{metric} latency {key}"
                rows.append((title, [figures.seconds(value) for value in values]))
    return rows
