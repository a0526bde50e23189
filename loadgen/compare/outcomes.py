"""What is compared of figures of which a run has one: outages of each fault, what became of messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from loadgen.compare.estimate import between_runs
from loadgen.compare.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.metrics.broker_sample import BrokerSample
    from loadgen.store import Run

    Result = Mapping[str, Any]

_OUTAGE = (
    ("fleet_outage", ("outage", "seconds")),
    ("recovery", ("recovery",)),
    ("detect", ("detect", "p50")),
    ("reconnect", ("reconnect", "p50")),
    ("reconnect", ("reconnect", "p99")),
    ("first_ack", ("first_ack", "p99")),
)
"""Figures of a fault in seconds: the metric's name, and where the result has it."""
_LEDGER = ("lost", "duplicate", "unexpected", "reordered", "indeterminate")
_GRAIN = 0.1
"""Seconds: outages are seen in tenths of a second."""


def outages(base: Sequence[Result], runs: Sequence[Result]) -> Iterator[Measure]:
    """Figures of each fault; repetitions (`kill#1`, `kill#2`) are several figures of one fault."""
    names = dict.fromkeys(
        _fault_name(fault) for result in (*base, *runs) for fault in result.get("faults") or []
    )
    for name in names:
        for metric, path in _OUTAGE:
            sides = [
                [value for result in side if (value := _of_fault(result, name, path)) is not None]
                for side in (base, runs)
            ]
            if all(sides):
                logs = [[math.log(max(value, _GRAIN)) for value in side] for side in sides]
                statistic = path[-1] if path[-1].startswith("p") else "seconds"
                yield Measure(
                    f"{name}: {metric}",
                    "",
                    statistic,
                    "s",
                    sum(sides[0]) / len(sides[0]),
                    sum(sides[1]) / len(sides[1]),
                    between_runs(*logs),
                    floor=_GRAIN,
                )


def _fault_name(fault: Mapping[str, Any]) -> str:
    return str(fault.get("name") or fault.get("kind") or "fault").partition("#")[0]


def _of_fault(result: Result, name: str, path: Sequence[str]) -> float | None:
    """The mean over the repetitions of a fault in one run: they are not independent runs."""
    values = []
    for fault in result.get("faults") or []:
        if _fault_name(fault) == name:
            value: Any = fault
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, int | float):
                values.append(float(value))
    return sum(values) / len(values) if values else None


def broker_cost(base: Sequence[Run], runs: Sequence[Run]) -> Iterator[Measure]:
    """What the brokers used while stages held, where they told: CPU time for each message, and memory."""
    for metric, statistic, unit, figure in (
        ("broker_cpu", "a message", "s", _cpu_of_a_message),
        ("broker_memory", "max", "B", _memory),
    ):
        sides = [[value for run in side if (value := figure(run))] for side in (base, runs)]
        if all(sides):
            yield Measure(
                metric,
                "",
                statistic,
                unit,
                sum(sides[0]) / len(sides[0]),
                sum(sides[1]) / len(sides[1]),
                between_runs(*([math.log(value) for value in side] for side in sides)),
            )


def _held(run: Run) -> list[BrokerSample]:
    """The samples that were taken while recorded stages held."""
    spans = [
        (float(stage["started_at_s"]), float(stage["started_at_s"]) + float(stage["duration"]))
        for stage in run.result.get("stages") or []
        if stage.get("kind") == "hold" and stage.get("record") is not False and stage.get("duration")
    ]
    return [
        each for each in run.broker_samples() if any(start <= run.at(each.ns) <= end for start, end in spans)
    ]


def _cpu_of_a_message(run: Run) -> float | None:
    """CPU seconds of all nodes between the first and the last sample, for each message in that time."""
    samples = [(each, cpu) for each in _held(run) if (cpu := _cpu(each)) is not None]
    if len(samples) < 2:
        return None
    (first, before), (last, after) = samples[0], samples[-1]
    total = run.total(between=(run.at(first.ns), run.at(last.ns)))
    messages = total.count("published") + total.count("received")
    return (after - before) / messages if messages and after > before else None


def _cpu(sample: BrokerSample) -> float | None:
    parts = [node.cpu_seconds for node in sample.nodes if node.cpu_seconds is not None]
    return sum(parts) if parts and len(parts) == len(sample.nodes) else None


def _memory(run: Run) -> float | None:
    known = [each.memory for each in _held(run) if each.memory is not None]
    return float(max(known)) if known else None


def messages(base: Sequence[Result], runs: Sequence[Result]) -> Iterator[Measure]:
    """What the ledger says; lost messages are broken promises, whatever chance may say."""
    for name in _LEDGER:
        sides = [[int((each.get("ledger") or {}).get(name) or 0) for each in side] for side in (base, runs)]
        if any(map(any, sides)) or name == "lost":
            yield Measure(
                f"messages_{name}",
                "",
                "count",
                "",
                sum(sides[0]) / len(sides[0]),
                sum(sides[1]) / len(sides[1]),
                "counted, not judged",
                exact=name == "lost",
            )
