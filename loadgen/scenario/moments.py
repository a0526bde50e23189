"""Dates of certificates: `-1d` and `+2h` from the time of issue, or `2030-01-31T12:00:00Z`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.scenario.base import malformed
from loadgen.scenario.units import NS_PER_S, format_duration, parse_duration

_RELATIVE = re.compile(r"([+-])(.*)")
_EXAMPLES = "write for example +2h, -1d or 2030-01-31T12:00:00Z"


def parse_moment(value: object) -> tuple[float, bool]:
    """Read a date.

    Returns:
        Seconds and whether they count from the time of issue; else they count from the epoch.

    Raises:
        PydanticCustomError: neither a signed duration nor a date.
    """
    if isinstance(value, tuple):
        return value  # read already
    if isinstance(value, datetime):
        return _epoch(value), False
    if isinstance(value, date):  # YAML reads 2030-01-31 as one
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp(), False
    if not isinstance(value, str):
        raise malformed(f"{value} is not a date", _EXAMPLES)
    text = value.strip()
    if (match := _RELATIVE.fullmatch(text)) is not None:
        seconds = parse_duration(match[2]) / NS_PER_S
        return (-seconds if match[1] == "-" else seconds), True
    try:
        return _epoch(datetime.fromisoformat(text)), False
    except ValueError:
        raise malformed(f'"{value}" is not a date', _EXAMPLES) from None


def format_moment(moment: tuple[float, bool]) -> str:
    """Write a date as text that `parse_moment` reads back."""
    seconds, relative = moment
    if not relative:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    return ("-" if seconds < 0 else "+") + format_duration(round(abs(seconds) * NS_PER_S))


def _epoch(moment: datetime) -> float:
    """Without a zone it is UTC, as in certificates."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


Moment = Annotated[
    tuple[float, bool],
    PlainValidator(parse_moment),
    PlainSerializer(format_moment, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["-1d", "+2h", "2030-01-31T12:00:00Z"]}),
]
"""(seconds, from the time of issue?) inside, `-1d` or a date in the file."""
