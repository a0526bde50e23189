"""The `stages:` section: what happens one after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from loadgen.scenario.base import Flag, Name, Strict, malformed
from loadgen.scenario.units import PositiveDuration, Rate

StageKind = Literal["connect", "hold", "drain"]
STAGE_KINDS: tuple[StageKind, ...] = ("connect", "hold", "drain")
CONNECT_TIMEOUT = "5m"
_ONLY_FOR: dict[str, StageKind] = {"load": "hold", "timeout": "connect", "groups": "connect"}
_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%")


@dataclass(frozen=True, slots=True)
class Load:
    """A factor on every publish rate, from the start to the end of a stage, linear between; 1.0 is 100%."""

    start: float = 1.0
    end: float = 1.0

    def __str__(self) -> str:
        """`100%`, or `10%..100%` for a ramp."""
        start, end = (format_percent(factor) for factor in (self.start, self.end))
        return start if start == end else f"{start}..{end}"


def format_percent(factor: float) -> str:
    """Write a factor as `parse_percent` reads it: 0.5 is `50%`."""
    text = f"{Decimal(repr(factor)) * 100:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def parse_percent(text: str) -> float:
    """Read `50%` as 0.5.

    Raises:
        PydanticCustomError: no percent sign, or no number.
    """
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise malformed(f'"{text}" is not a percentage', "write for example 50%, or 10%..100% for a ramp")
    return float(Decimal(match[1]) / 100)


def parse_load(value: object) -> Load:
    """Read `50%`, `300%` or the ramp `10%..100%`.

    Raises:
        PydanticCustomError: no percent sign, or no number.
    """
    if isinstance(value, Load):
        return value
    if not isinstance(value, str):
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        raise malformed(
            f"a load needs a percent sign, and {value} has none" if bare else "is not a load",
            f"write {value}%" if bare else "write for example 50%, or 10%..100% for a ramp",
        )
    first, dots, last = value.partition("..")
    start = parse_percent(first)
    return Load(start, parse_percent(last) if dots else start)


LoadField = Annotated[
    Load,
    PlainValidator(parse_load),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["100%", "10%..100%", "300%"]}),
]


class Stage(Strict):
    """One stage: exactly one of `connect`, `hold` and `drain`."""

    name: Name
    """Unique name, used by thresholds and reports."""
    connect: Rate | None = None
    """Connect clients at this rate; ends when each is connected and subscribed."""
    hold: PositiveDuration | None = None
    """Publish for this long."""
    drain: PositiveDuration | None = None
    """Stop publishing and wait at most this long for what is still on its way."""
    load: LoadField = Load()
    """Factor on every publish rate while holding."""
    record: Flag = True
    """Whether the stage counts for thresholds and totals of latency."""
    timeout: PositiveDuration | None = None
    """Longest time for connecting; 5m when left out."""
    groups: tuple[Name, ...] | None = None
    """Groups to connect; all that are not connected yet when left out."""

    @model_validator(mode="before")
    @classmethod
    def _default_timeout(cls, value: object) -> object:
        if isinstance(value, Mapping) and value.get("connect") is not None and value.get("timeout") is None:
            return {**value, "timeout": CONNECT_TIMEOUT}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Stage:
        kinds = [kind for kind in STAGE_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise malformed(
                f"needs exactly one of connect, hold and drain, and has {' and '.join(kinds) or 'none'}",
                "write for example {name: steady, hold: 1m}",
            )
        wrong = [key for key, kind in _ONLY_FOR.items() if key in self.model_fields_set and kind != kinds[0]]
        if wrong:
            raise malformed(
                f"{' and '.join(wrong)} means nothing in a {kinds[0]} stage",
                f"remove {'it' if len(wrong) == 1 else 'them'}; {wrong[0]} belongs to {_ONLY_FOR[wrong[0]]}",
            )
        if self.groups is not None and len(set(self.groups)) != len(self.groups):
            raise malformed("groups names a group twice", "remove the second")
        return self

    @model_serializer(mode="wrap")
    def _only_what_fits(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        return {
            key: value
            for key, value in dumped.items()
            if value is not None and _ONLY_FOR.get(key, self.kind) == self.kind
        }

    @property
    def kind(self) -> StageKind:
        """Which of the three kinds of stage this is."""
        return next(kind for kind in STAGE_KINDS if getattr(self, kind) is not None)

    @property
    def duration(self) -> int | None:
        """Length of a hold, or the longest length of a drain, in nanoseconds; None while connecting."""
        return self.hold if self.hold is not None else self.drain
