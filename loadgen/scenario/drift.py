"""The `drift:` section: how much latency, memory and queues may creep up in an hour of steady load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.scenario.base import Name, Strict, malformed
from loadgen.scenario.stages import parse_percent
from loadgen.scenario.units import NS_PER_S, Duration, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.scenario.stages import Stage

_PER_HOUR = {"s": 3600.0, "m": 60.0, "h": 1.0, "d": 1 / 24}
_LIMIT = re.compile(r"(\S.*?)\s*/\s*([smhd])")
_COUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_PATTERN = r"^\s*\S.*/\s*[smhd]\s*$"


@dataclass(frozen=True, slots=True)
class DriftLimit:
    """How much a metric may gain in an hour."""

    per_hour: float
    """Seconds, bytes or a number; with `relative` a share: 0.05 for `5%/h`."""
    relative: bool
    text: str
    """As written."""


def _seconds(text: str) -> float:
    return parse_duration(text) / NS_PER_S


def _bytes(text: str) -> float:
    return parse_size(text)


def _count(text: str) -> float:
    if _COUNT.fullmatch(text) is None:
        raise malformed(f'"{text}" is not a number', "write for example 1000/h")
    return float(text)


def _parse(value: object, amount: Callable[[str], float], example: str) -> DriftLimit:
    if isinstance(value, DriftLimit):
        return value
    shown = f'"{value}"' if isinstance(value, str) else value
    mend = f"write for example {example}"
    match = _LIMIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise malformed(f"{shown} says not what may be gained in which time", mend)
    text = match[1]
    try:
        relative = text.endswith("%")
        size = parse_percent(text) if relative else amount(text)
    except ValueError as error:
        raise malformed(f"{shown} is no limit: {error}", mend) from None
    return DriftLimit(size * _PER_HOUR[match[2]], relative, match[0])


def _latency(value: object) -> DriftLimit:
    return _parse(value, _seconds, "5%/h or 2ms/h")


def _memory(value: object) -> DriftLimit:
    return _parse(value, _bytes, "5%/h or 50MB/h")


def _number(value: object) -> DriftLimit:
    return _parse(value, _count, "5%/h or 1000/h")


_AS_TEXT = PlainSerializer(lambda limit: limit.text, return_type=str)

LatencyLimit = Annotated[
    DriftLimit,
    PlainValidator(_latency),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["5%/h", "2ms/h"]}),
]
MemoryLimit = Annotated[
    DriftLimit,
    PlainValidator(_memory),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["5%/h", "50MB/h"]}),
]
NumberLimit = Annotated[
    DriftLimit,
    PlainValidator(_number),
    _AS_TEXT,
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["1000/h", "5%/h"]}),
]


class DriftLimits(Strict):
    """The most that each may gain; a share (`5%/h`) is of what it was in the first quarter of the time."""

    publish_latency_p99: LatencyLimit | None = None
    """p99 of the time from a message's intended sending to its PUBACK."""
    delivery_latency_p99: LatencyLimit | None = None
    """p99 of the time from a message's intended sending to its receipt."""
    broker_memory: MemoryLimit | None = None
    """Memory of all nodes together; needs `target.management`, or the embedded broker."""
    generator_memory: MemoryLimit | None = None
    """Resident memory of all workers together."""
    queue_depth: NumberLimit | None = None
    """Messages in the brokers' queues, ready and unacknowledged; needs `target.management`."""
    connected_clients: NumberLimit | None = None
    """Connected clients; the limit is on how many may be lost."""

    @property
    def set(self) -> dict[str, DriftLimit]:
        """The limits that the scenario has, by metric."""
        names = type(self).model_fields
        return {name: limit for name in names if (limit := getattr(self, name)) is not None}


class Drift(Strict):
    """Slopes of a steady stage, held against limits."""

    stage: Name | None = None
    """The stage to judge; the longest hold stage with a constant load when left out."""
    ignore_first: Duration | None = None
    """How much of the stage's beginning is left out; a tenth of it when left out."""
    limits: DriftLimits = DriftLimits()
    """What must not creep up."""


def judged_stage(drift: Drift, stages: Sequence[Stage | None]) -> Stage | None:
    """The stage whose slopes are judged; None when there is none that could be."""
    steady = [stage for stage in stages if stage is not None and is_steady(stage)]
    if drift.stage is not None:
        return next((stage for stage in steady if stage.name == drift.stage), None)
    return max(steady, key=lambda stage: stage.hold or 0, default=None)


def is_steady(stage: Stage) -> bool:
    """Whether nothing about a stage itself makes latency or memory rise."""
    return stage.kind == "hold" and stage.record and stage.load.start == stage.load.end


def ignored(drift: Drift, stage: Stage) -> int:
    """How much of a stage's beginning is left out, ns."""
    return drift.ignore_first if drift.ignore_first is not None else (stage.hold or 0) // 10
