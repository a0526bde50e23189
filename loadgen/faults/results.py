"""What faults came to when the run has ended: the result's `faults`, and each window's part of thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import reduce
from typing import TYPE_CHECKING, Any

from loadgen.faults.watch import BASELINE_SECONDS
from loadgen.metrics.fault_window import RunSpan, attribute, fault_summary
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.snapshot import Snapshot, merge_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loadgen.backend.messages import Final
    from loadgen.faults.fault_run import FaultRun
    from loadgen.metrics.fault_record import FaultRecord
    from loadgen.metrics.outage import Outage
    from loadgen.store import Run

Spans = dict[int, tuple[int, int]]
"""Publisher → the sequence numbers `[start, stop)` it sent inside a window."""

_SECOND = 1_000_000_000
_MOST_OUTSIDE = 100
"""Outages that no fault explains are listed up to this number; all are counted."""


@dataclass(slots=True)
class FaultResults:
    """What the result and its thresholds need of the faults; empty when there was none."""

    faults: list[dict[str, Any]] = field(default_factory=list)
    """`faults` of result.json."""
    outside: dict[str, Any] = field(default_factory=lambda: {"count": 0, "first": []})
    """`outages_outside_faults` of result.json."""
    windows: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    """(`during` or `after`, name) → the sum of its intervals."""
    window_seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    window_ledgers: dict[str, LedgerResult] = field(default_factory=dict)


def fault_results(  # noqa: PLR0917 - called once, by name in its docstring
    runs: Sequence[FaultRun],
    outages: Sequence[Outage],
    stored: Run,
    span: RunSpan,
    classify: Callable[[Spans], LedgerResult] | None,
    finals: Iterable[Final],
) -> FaultResults:
    """Put together what was done with what was seen.

    Args:
        runs: every planned fault and every mark.
        outages: of all clients, in the order in which they were noticed.
        stored: the run on disk, for its intervals.
        span: the run in time.
        classify: gives the ledger of the messages in the spans; None when there is no ledger.
        finals: the workers' last words, with the marks of their publishers.
    """
    records = [run.record for run in runs]
    of_fault, outside = attribute(outages, records)
    results = FaultResults(outside=_outside(outside, span))
    struck = [run for run in runs if run.record.injected_ns]
    timeline = stored.timeline(_wanted(struck, span)) if struck else []
    marks = _marks(finals)
    for run in runs:
        record = run.record
        if not record.injected_ns:
            results.faults.append(_not_injected(run))
            continue
        ledger = classify(_spans([record], marks)) if classify is not None else None
        summary = fault_summary(
            record, of_fault[record.number], timeline, span, others=records, ledger=ledger
        )
        results.faults.append(_about(run) | summary)
    for name, named in _by_name(struck).items():
        _add_window(
            results, "during", name, timeline, [(each.injected_ns, each.closed_ns) for each in named], span
        )
        after = [_after(each, records, span) for each in named]
        _add_window(results, "after", name, timeline, after, span)
        if classify is not None:
            parts = [classify(_spans(together, marks)) for together in _overlapping(named)]
            results.window_ledgers[name] = reduce(_sum, parts)
    return results


def _about(run: FaultRun) -> dict[str, Any]:
    """What only the coordinator knows of a fault."""
    return {
        "outcome": run.outcome.value,
        "planned_at": run.plan.at if run.plan is not None else None,
        "endpoints": list(run.record.endpoints),
        "trouble": run.trouble,
    }


def _not_injected(run: FaultRun) -> dict[str, Any]:
    record = run.record
    return _about(run) | {
        "number": record.number,
        "name": record.name,
        "kind": record.kind,
        "target": record.target,
        "nodes": list(record.nodes),
        **dict.fromkeys(("injected_at", "healed_at", "recovered_at", "affected", "window", "ledger")),
    }


def _outside(outages: Sequence[Outage], span: RunSpan) -> dict[str, Any]:
    """Outages that no fault explains: how many, and the first of them."""
    return {
        "count": len(outages),
        "first": [
            {
                "client_id": each.client_id,
                "group": each.group,
                "node": each.node,
                "cause": each.cause,
                "noticed_at": span.seconds(each.noticed),
                "ready_at": span.seconds(each.ready),
            }
            for each in outages[:_MOST_OUTSIDE]
        ],
    }


def _wanted(struck: Sequence[FaultRun], span: RunSpan) -> Callable[[int], bool]:
    """Which intervals tell of the faults: from a baseline before the first to as long after the last."""
    around = BASELINE_SECONDS + 2
    spans = [
        range(
            (run.record.injected_ns - span.origin) // _SECOND - around,
            ((run.record.closed_ns or span.end) - span.origin) // _SECOND + around,
        )
        for run in struck
    ]
    # What was sent in a window may be redelivered long after it: RabbitMQ 4.3 takes 60 s.
    late = [range(each.stop, each.stop + 60) for each in spans]
    return lambda interval: any(interval in each for each in (*spans, *late))


def _by_name(struck: Sequence[FaultRun]) -> dict[str, list[FaultRecord]]:
    """The faults by their names; repetitions (`kill#1`, `kill#2`) also together by their common one."""
    named: dict[str, list[FaultRecord]] = {}
    for run in struck:
        common = run.plan.fault if run.plan is not None else run.record.name
        for name in dict.fromkeys((run.record.name, common)):
            named.setdefault(name, []).append(run.record)
    return named


def _overlapping(records: Sequence[FaultRecord]) -> list[list[FaultRecord]]:
    """Put faults whose windows overlap together, so that no message is counted twice."""
    groups: list[list[FaultRecord]] = []
    for each in sorted(records, key=lambda record: record.injected_ns):
        if groups and each.injected_ns < max(other.closed_ns for other in groups[-1]):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _after(record: FaultRecord, records: Sequence[FaultRecord], span: RunSpan) -> tuple[int, int]:
    """What is looked at after a window: as long as a baseline, and not into the next fault.

    Where another fault's window is open when it closes, or opens before a whole interval has passed, what
    follows belongs to both: it begins when that one closes, too.
    """
    start = record.closed_ns
    for each in sorted(records, key=lambda other: other.injected_ns):
        if each.injected_ns and each.injected_ns < start + _SECOND:
            start = max(start, each.closed_ns)
    later = (each.injected_ns for each in records if each.injected_ns >= start)
    return start, min(start + BASELINE_SECONDS * _SECOND, min(later, default=span.end))


def _add_window(  # noqa: PLR0917 - one call for each word
    results: FaultResults,
    word: str,
    name: str,
    timeline: Sequence[Snapshot],
    spans: Sequence[tuple[int, int]],
    span: RunSpan,
) -> None:
    """Add up the intervals whose middle lies in one of the spans."""
    middles = ((each, span.origin + each.interval * _SECOND + _SECOND // 2) for each in timeline)
    inside = [each for each, middle in middles if any(start <= middle < end for start, end in spans)]
    if inside:
        results.windows[word, name] = merge_time(inside)
        results.window_seconds[word, name] = float(len({each.interval for each in inside}))


def _marks(finals: Iterable[Final]) -> dict[int, dict[str, dict[int, int]]]:
    """Fault number → edge → publisher → what it had sent, over all workers."""
    merged: dict[int, dict[str, dict[int, int]]] = {}
    for final in finals:
        for number, edges in final.marks.items():
            for edge, sent in edges.items():
                merged.setdefault(number, {}).setdefault(edge, {}).update(sent)
    return merged


def _spans(records: Sequence[FaultRecord], marks: Mapping[int, Mapping[str, Mapping[int, int]]]) -> Spans:
    """What each publisher sent from the first opening to the last closing."""
    opens = [marks.get(each.number, {}).get("open", {}) for each in records]
    closes = [marks.get(each.number, {}).get("close", {}) for each in records]
    return {
        publisher: (
            min(each[publisher] for each in opens if publisher in each),
            max(each[publisher] for each in closes if publisher in each),
        )
        for publisher in set().union(*opens) & set().union(*closes)
    }


def _sum(one: LedgerResult, other: LedgerResult) -> LedgerResult:
    """Add up the ledgers of two windows that share no message."""
    total = LedgerResult(settled=one.settled and other.settled)
    for each in fields(LedgerResult):
        value = getattr(one, each.name)
        if isinstance(value, int) and not isinstance(value, bool):
            setattr(total, each.name, value + getattr(other, each.name))
    total.worst = sorted([*one.worst, *other.worst], reverse=True)[:20]
    return total
