"""What is measured of a contender: the rows of the table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class BenchmarkError(Exception):
    """A contender or a broker did not do its work."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One contender against one broker, once; None where it cannot do or tell that. CPU: user and system."""

    rss_one: float | None = None
    """Resident bytes of the process with one client connected."""
    rss_client: float | None = None
    """Resident bytes that each further idle client adds, with all the process keeps for it."""
    cpu_fixed: float | None = None
    """CPU seconds of a whole process with one client, from its start to its end, reports and all."""
    cpu_connect: float | None = None
    """CPU seconds a connect: TCP, mutual TLS with a certificate of its own, CONNECT."""
    connect_rate: float | None = None
    """Connects a second that were begun, between the first second of it and the last."""
    cpu_idle: float | None = None
    """CPU seconds an idle client and second."""
    cpu_message: float | None = None
    """CPU seconds a message, from being due to its arrival at the subscriber."""
    rate: float | None = None
    """Messages a second that arrived at the subscribers."""
    send_lag_p50: float | None = None
    """Seconds from when a message was due to when it was handed to the connection."""
    send_lag_p99: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the repeats."""

    least: float
    middle: float


def spread(repeats: Sequence[Figures]) -> dict[str, Spread | None]:
    """Give the least and the median of each figure."""
    found: dict[str, Spread | None] = {}
    for each in fields(Figures):
        values = [value for one in repeats if (value := getattr(one, each.name)) is not None]
        found[each.name] = Spread(min(values), median(values)) if values else None
    return found
