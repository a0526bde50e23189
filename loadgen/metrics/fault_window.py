"""What clients and messages lived through in one fault: the `faults[]` objects of result.json (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.metrics.fleet_curve import Low, baseline, curve_of, lows
from loadgen.metrics.outage import BACK
from loadgen.metrics.outage_figures import outage_figures
from loadgen.metrics.snapshot import merge_curves, merge_time
from loadgen.metrics.summary import NS, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loadgen.metrics.fault_record import FaultRecord
    from loadgen.metrics.fleet_curve import Curve
    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.metrics.outage import Outage
    from loadgen.metrics.snapshot import Snapshot

_FAMILIES = ("puback_codes", "connack_codes", "disconnect_codes", "connect_errors", "suback_codes")
_LATENCIES = {"publish": "publish_latency", "delivery": "delivery_latency"}


@dataclass(frozen=True, slots=True)
class RunSpan:
    """A run in time, as its faults are seen against it."""

    origin: int
    """The run's start, monotonic ns: all seconds in the summary count from here."""
    end: int
    """The end of its last stage, monotonic ns."""
    load: Callable[[int], float]
    """The scheduled load factor at a monotonic time: 1.0 is 100 %; 0 outside the hold stages."""

    def seconds(self, at: int) -> float | None:
        """Seconds since the start; None for 0, which is: not known."""
        return (at - self.origin) / 1e9 if at else None


def attribute(
    outages: Iterable[Outage], faults: Sequence[FaultRecord]
) -> tuple[dict[int, list[Outage]], list[Outage]]:
    """Say which fault each outage belongs to.

    It is a fault whose window was open when the loss was noticed: one that was done to the outage's node if
    there is such, and of several the latest.

    Returns:
        fault number → its outages; and those that no fault explains.
    """
    found: dict[int, list[Outage]] = {each.number: [] for each in faults}
    outside: list[Outage] = []
    struck = sorted((each for each in faults if each.injected_ns), key=lambda each: each.injected_ns)
    for outage in outages:
        at = outage.noticed
        open_then = [
            each for each in struck if each.injected_ns <= at and (not each.closed_ns or at <= each.closed_ns)
        ]
        if not open_then:
            outside.append(outage)
            continue
        own = [each for each in open_then if outage.node in each.endpoints]
        found[(own or open_then)[-1].number].append(outage)
    return found, outside


def fault_summary(
    record: FaultRecord,
    outages: Sequence[Outage],
    timeline: Sequence[Snapshot],
    run: RunSpan,
    *,
    others: Sequence[FaultRecord] = (),
    ledger: LedgerResult | None = None,
) -> dict[str, Any]:
    """Sum up one fault that was injected; its keys stand in docs/result.md.

    Args:
        record: what was done.
        outages: those that `attribute` gives to it.
        timeline: the run's intervals, added up over the workers; may begin 31 s before the injection.
        run: the run's times.
        others: all faults of the run (this one may be among them): their windows are no baseline.
        ledger: the account of the messages sent inside the window.

    Returns:
        Times in seconds since the run's start, durations in seconds, rates in messages a second.
    """
    end = record.closed_ns or run.end
    closed = [(each.injected_ns, each.closed_ns or run.end) for each in others if each is not record]
    closed = [span for span in closed if span[0]]
    curve = curve_of(merge_curves(timeline), run.origin, run.load)
    normal = baseline(curve, record.injected_ns, closed)
    low = lows(curve, normal, record.injected_ns, end)
    first, last = curve.tenth(record.injected_ns), curve.tenth(end)
    during = curve.busy(first, last + 1)
    after = curve.busy(last + 1, last + 1 + len(normal), closed) if normal else []
    inside = [each for each in timeline if each.start_ns < end and each.end_ns > record.injected_ns]
    until = min((start for start, _ in closed if start > record.injected_ns), default=run.end)
    recovered = _recovered(record, outages, low)
    return {
        "number": record.number,
        "name": record.name,
        "kind": record.kind,
        "target": record.target,
        "nodes": list(record.nodes),
        "injected_at": run.seconds(record.injected_ns),
        "injected_done_at": run.seconds(record.injected_done_ns),
        "healing_at": run.seconds(record.healing_ns),
        "healed_at": run.seconds(record.healed_ns),
        "recovered_at": run.seconds(recovered),
        "recovery": (recovered - record.injected_ns) * NS if recovered else None,
        "window": {
            "start": run.seconds(record.injected_ns),
            "end": run.seconds(end),
            "closed_by": record.closed_by,
        },
        "steps": [{"what": what, "node": node, "at": run.seconds(at)} for what, node, at in record.steps],
        **outage_figures(record, outages),
        "rate": {
            "metric": curve.metric,
            "baseline": curve.rate(normal),
            "baseline_seconds": len(normal) / 10,
            "during": curve.rate(during),
            "after": curve.rate(after),
        },
        "outage": _outage(low, run),
        "latency": {
            "before": _latencies(_within(timeline, curve, normal)),
            "during": _latencies(inside),
            "after": _latencies(_within(timeline, curve, after)),
        },
        "codes": {family: merge_time(inside).codes(family) for family in _FAMILIES},
        "by_second": _by_second(inside),
        "redelivered": _redelivered(
            [each for each in timeline if record.injected_ns < each.end_ns and each.start_ns < until]
        ),
        "ledger": ledger.to_dict() if ledger is not None else None,
    }


def _recovered(record: FaultRecord, outages: Iterable[Outage], low: Low | None) -> int:
    """When all was well again (monotonic ns): every client back and heard, and the rate back; 0 for never."""
    latest = record.injected_ns
    for each in outages:
        if each.ended != BACK:
            return 0
        latest = max(latest, each.ready)
        # A client that seldom publishes may prove much later that it can.
        if each.first_ack <= (record.closed_ns or each.first_ack):
            latest = max(latest, each.first_ack)
    if low is not None and low.lasting:
        return 0
    return max(latest, low.last or 0) if low is not None else latest


def _outage(low: Low | None, run: RunSpan) -> dict[str, Any] | None:
    if low is None:
        return None
    return {
        "seconds": low.seconds,
        "first_low_at": run.seconds(low.first or 0),
        "last_low_end_at": run.seconds(low.last or 0),
        "lasting": low.lasting,
        "deepest": low.deepest,
        "bin": low.tenths / 10,
    }


def _within(timeline: Iterable[Snapshot], curve: Curve, tenths: Sequence[int]) -> list[Snapshot]:
    """The intervals whose middle lies in these tenths."""
    wanted = set(tenths)
    return [each for each in timeline if curve.tenth((each.start_ns + each.end_ns) // 2) in wanted]


def _latencies(timeline: Sequence[Snapshot]) -> dict[str, Any]:
    total = merge_time(timeline)
    return {name: summarise(total.select(metric)) for name, metric in _LATENCIES.items()}


def _by_second(timeline: Iterable[Snapshot]) -> dict[str, dict[str, list[list[int]]]]:
    """Family → code → [second since the start, how many], for each second that has any."""
    found: dict[str, dict[str, dict[int, int]]] = {}
    for snapshot in timeline:
        for family in _FAMILIES:
            for code, count in snapshot.codes(family).items():
                seconds = found.setdefault(family, {}).setdefault(code, {})
                seconds[snapshot.interval] = seconds.get(snapshot.interval, 0) + count
    return {
        family: {code: _pairs(seconds) for code, seconds in codes.items()} for family, codes in found.items()
    }


def _pairs(seconds: Mapping[int, int]) -> list[list[int]]:
    return [[second, count] for second, count in sorted(seconds.items())]


def _redelivered(timeline: Sequence[Snapshot]) -> dict[str, Any]:
    """What came late or with the DUP flag, from the injection until the next fault or the run's end."""
    total = merge_time(timeline)
    late = total.select("redelivery_latency")
    return {
        "dup_flagged": total.count("dup_flagged"),
        "late": total.count("late_redeliveries"),
        "duplicates": total.count("duplicates"),
        "max_latency": late.max * NS if late.count else None,
    }
