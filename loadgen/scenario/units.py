"""Durations, rates and sizes: text with a unit in the file, plain numbers inside.

A bare number is refused, because `timeout: 10` has been read as both seconds and milliseconds by
every tool that allowed it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.scenario.base import malformed

NS_PER_S = 1_000_000_000
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_FLOAT = r"[0-9]{1,15}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?"

_DURATION_NS = {
    "d": 86_400 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "m": 60 * NS_PER_S,
    "s": NS_PER_S,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_RATE_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIZE_B = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}

DURATION_PATTERN = rf"^{_NUMBER}(?:d|h|m|s|ms|us|ns)$"
RATE_PATTERN = rf"^{_FLOAT}/[smhd]$"
SIZE_PATTERN = rf"^{_NUMBER}(?:B|kB|MB|GB|KiB|MiB|GiB)$"

_DURATION = re.compile(rf"({_NUMBER})\s*({'|'.join(_DURATION_NS)})")
_RATE = re.compile(rf"({_FLOAT})\s*/\s*([smhd])")
_SIZE = re.compile(rf"({_NUMBER})\s*({'|'.join(_SIZE_B)})")


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value)


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return re.fullmatch(_FLOAT, value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _match(kind: str, value: object, pattern: re.Pattern[str], example: str, bare: str) -> tuple[str, str]:
    """Split a text into number and unit, or say how to write it."""
    if _is_number(value):
        written = str(value).strip()
        raise malformed(f"a {kind} needs a unit, and {written} has none", f"write {bare.format(written)}")
    match = pattern.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise malformed(f"{_shown(value)} is not a {kind}", f"write for example {example}")
    return match[1], match[2]


def parse_duration(value: object) -> int:
    """Read a duration such as `250ms`, `10s` or `1.5h` as nanoseconds.

    Raises:
        PydanticCustomError: no unit, an unknown unit, or a part finer than 1 ns.
    """
    number, unit = _match("duration", value, _DURATION, "250ms, 10s, 5m or 2h", "{0}s or {0}ms")
    nanoseconds = Decimal(number) * _DURATION_NS[unit]
    if nanoseconds != int(nanoseconds):
        raise malformed(f"{_shown(value)} is finer than one nanosecond", "use fewer decimals")
    return int(nanoseconds)


def format_duration(nanoseconds: int) -> str:
    """Write nanoseconds as the shortest exact text that `parse_duration` reads back."""
    if nanoseconds == 0:
        return "0s"
    unit = next(unit for unit, size in _DURATION_NS.items() if nanoseconds % size == 0)
    return f"{nanoseconds // _DURATION_NS[unit]}{unit}"


def parse_rate(value: object) -> float:
    """Read a rate such as `0.5/s`, `30/m` or `200/h` as events per second.

    Raises:
        PydanticCustomError: no unit or an unknown unit, or a rate of nothing.
    """
    number, unit = _match("rate", value, _RATE, "0.5/s, 30/m or 200/h", "{}/s")
    rate = float(number) / _RATE_S[unit]
    if not 0 < rate < float("inf"):
        raise malformed("a rate must be more than 0", "leave the key out, or write for example 1/h")
    return rate


def format_rate(per_second: float) -> str:
    """Write events per second as text that `parse_rate` reads back exactly; `200/h`, not `0.0555…/s`."""
    for unit, seconds in _RATE_S.items():
        text = f"{per_second * seconds:.6g}/{unit}"
        if parse_rate(text) == per_second:
            return text
    return f"{per_second!r}/s"


def parse_size(value: object) -> int:
    """Read a size such as `256B`, `1kB` (1,000) or `1KiB` (1,024) as bytes.

    Raises:
        PydanticCustomError: no unit, an unknown unit, or a fraction of a byte.
    """
    number, unit = _match("size", value, _SIZE, "256B, 1kB, 1KiB or 10MB", "{}B")
    size = Decimal(number) * _SIZE_B[unit]
    if size != int(size):
        raise malformed(f"{_shown(value)} is not a whole number of bytes", "use fewer decimals")
    return int(size)


def format_size(size: int) -> str:
    """Write bytes as the shortest exact text that `parse_size` reads back."""
    fitting = [f"{size // scale}{unit}" for unit, scale in _SIZE_B.items() if size % scale == 0]
    return min(fitting, key=len) if size else "0B"


def _above_zero(value: int) -> int:
    if value == 0:
        raise malformed("must be longer than 0", "write for example 10s")
    return value


def _whole_seconds(value: int) -> int:
    if value % NS_PER_S:
        raise malformed("must be whole seconds, as MQTT counts it so", "write for example 1s")
    return value


_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["250ms", "10s", "5m"]}
_RATE_SCHEMA = {"type": "string", "pattern": RATE_PATTERN, "examples": ["0.5/s", "30/m", "200/h"]}
_SIZE_SCHEMA = {"type": "string", "pattern": SIZE_PATTERN, "examples": ["256B", "1kB", "1KiB"]}

Duration = Annotated[
    int,
    PlainValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Nanoseconds inside, `10s` in the file."""
PositiveDuration = Annotated[Duration, AfterValidator(_above_zero)]
"""Nanoseconds, more than 0."""
Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]
"""Nanoseconds that are whole seconds: what MQTT's own properties can carry."""
Rate = Annotated[
    float,
    PlainValidator(parse_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema(_RATE_SCHEMA),
]
"""Events per second inside, `30/m` in the file; more than 0."""
Size = Annotated[
    int,
    PlainValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""Bytes inside, `256B` in the file."""
