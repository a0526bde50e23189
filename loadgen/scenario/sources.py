"""Addresses of this machine that clients connect from: `127.0.1.1`, or the range `127.0.1.1-127.0.1.20`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.scenario.base import malformed

MAX_ADDRESSES = 4096
"""Most addresses of one range: more is a typing error."""


@dataclass(frozen=True, slots=True)
class SourceRange:
    """One address, or all from a first to a last."""

    first: str
    last: str

    def addresses(self) -> tuple[str, ...]:
        """Every address, in order."""
        first = ipaddress.ip_address(self.first)
        count = int(ipaddress.ip_address(self.last)) - int(first) + 1
        return tuple(str(first + step) for step in range(count))

    def __str__(self) -> str:
        """As in the file."""
        return self.first if self.first == self.last else f"{self.first}-{self.last}"


def _address(text: str, whole: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        raise malformed(
            f'"{whole}" is no IP address', "write for example 127.0.1.1, or the range 127.0.1.1-127.0.1.20"
        ) from None


def parse_source(value: object) -> SourceRange:
    """Read an address or a range of addresses.

    Raises:
        PydanticCustomError: no address, addresses of two families, or a range that is empty or too long.
    """
    if isinstance(value, SourceRange):
        return value
    text = str(value)
    low, dash, high = text.partition("-")
    first = _address(low, text)
    last = _address(high, text) if dash else first
    if first.version != last.version:
        raise malformed(f'"{text}" mixes IPv4 and IPv6', "write two addresses of one kind")
    count = int(last) - int(first) + 1
    if count < 1:
        raise malformed(f'"{text}" is an empty range', "write the lower address first")
    if count > MAX_ADDRESSES:
        raise malformed(f'"{text}" has {count} addresses', f"write a range of at most {MAX_ADDRESSES}")
    return SourceRange(str(first), str(last))


SourceField = Annotated[
    SourceRange,
    PlainValidator(parse_source),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["127.0.1.1", "127.0.1.1-127.0.1.20"]}),
]
"""An address or range in a model."""
