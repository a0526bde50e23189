"""What loadgen exports of a running run: every metric by name, with its unit, labels and samples.

Prometheus and OpenTelemetry say the same; docs/live.md has the names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from loadgen.live.gauges import gauges
from loadgen.metrics.catalog import CODES, COUNTERS, HISTOGRAMS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.live.board import Board, Moment, Subject
    from loadgen.live.totals import Buckets, Totals

Kind = Literal["counter", "gauge", "histogram", "info"]
PREFIX = "loadgen"

_BYTES = {"bytes_sent": "sent_bytes", "bytes_received": "received_bytes"}
"""Counters whose unit has to end their name."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples."""

    name: str
    """In Prometheus' style, with the unit; counters without `_total`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """`seconds`, `bytes`, or what is counted (`messages`), which is not part of the name."""
    values: list[tuple[tuple[str, ...], float]] = field(default_factory=list)
    """Of all kinds but histograms."""
    buckets: list[tuple[tuple[str, ...], Buckets]] = field(default_factory=list)
    """Of histograms."""


def families(board: Board) -> list[Family]:
    """Give everything that is exported now; a metric without samples is there without samples."""
    moment = board.moment
    return [
        *(Family(*each) for each in gauges(board.subject, moment)),
        *_histograms(moment.totals),
        *_counters(board.subject, moment),
        *_codes(moment.totals),
    ]


def _histograms(totals: Totals) -> Iterator[Family]:
    by_metric: dict[str, list[tuple[tuple[str, ...], Buckets]]] = {}
    beyond: list[tuple[tuple[str, ...], float]] = []
    for (metric, group, stage), buckets in totals.histograms.items():
        by_metric.setdefault(metric, []).append(((group, stage), buckets))
        if buckets.out_of_range:
            beyond.append(((metric, group, stage), buckets.out_of_range))
    for metric in (*HISTOGRAMS, "loop_lag"):
        found = by_metric.get(metric, [])
        of_worker = METRICS[metric].source == "worker"
        yield Family(
            f"{PREFIX}_{metric}_seconds",
            "histogram",
            METRICS[metric].description,
            ("stage",) if of_worker else ("group", "stage"),
            "seconds",
            buckets=[(place[1:] if of_worker else place, each) for place, each in found],
        )
    yield Family(
        f"{PREFIX}_samples_out_of_range",
        "counter",
        "samples of a histogram that were negative or above one hour, and are in none of its buckets",
        ("metric", "group", "stage"),
        "samples",
        beyond,
    )


def _counters(subject: Subject, moment: Moment) -> Iterator[Family]:
    counters = moment.totals.counters
    places = {(group, stage) for group in subject.shown_groups for stage, _ in subject.stages}
    places |= {(group, stage) for _, group, stage in counters if group}
    for counter in COUNTERS:
        metric = METRICS[counter]
        values: list[tuple[tuple[str, ...], float]] = [
            (place, counters.get((counter, *place), 0)) for place in sorted(places)
        ]
        name = f"{PREFIX}_{_BYTES.get(counter, counter)}"
        yield Family(name, "counter", metric.description, ("group", "stage"), metric.unit, values)


def _codes(totals: Totals) -> Iterator[Family]:
    found: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for (metric, group, stage), count in totals.counters.items():
        family, colon, code = metric.partition(":")
        if colon:
            found.setdefault(family, []).append(((code, group, stage), count))
    for family, words in CODES.items():
        yield Family(
            f"{PREFIX}_{family}",
            "counter",
            words,
            ("code", "group", "stage"),
            "events",
            found.get(family, []),
        )
