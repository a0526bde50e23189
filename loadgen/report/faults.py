"""The faults of a run as a reader meets them: one row each, then what needs a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.codes import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEADINGS = (
    "fault",
    "node",
    "at",
    "affected",
    "noticed by",
    "detect p50/max",
    "reconnect p50/p99/max",
    "back after",
    "fleet down",
    "lost/dup",
)
"""The columns of a fault's row."""

DISTRIBUTIONS: tuple[tuple[str, str], ...] = (
    ("silence", "last sign of life → loss noticed"),
    ("detect", "fault injected → loss noticed"),
    ("reconnect", "loss noticed → CONNACK"),
    ("resubscribe", "CONNACK → SUBACK"),
    ("ready", "loss noticed → connected and subscribed"),
    ("first_ack", "loss noticed → first acknowledged publish"),
    ("first_delivery", "loss noticed → first delivery"),
)
"""What is measured of each affected client, in the order of its life."""


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault as a row of text, and the sentences below it."""

    name: str
    cells: tuple[str, ...]
    """As `HEADINGS`."""
    notes: tuple[str, ...]
    troubles: tuple[str, ...]
    bad: bool
    """Whether messages were lost, or it did not go as planned."""


def fault_rows(result: Mapping[str, Any]) -> list[FaultRow]:
    """Give a row for each fault, in order."""
    return [_row(fault) for fault in result.get("faults") or []]


def _row(fault: Mapping[str, Any]) -> FaultRow:
    ledger = fault.get("ledger") or {}
    injected, recovered = fault.get("injected_at"), fault.get("recovered_at")
    back = figures.NOTHING
    if injected is not None:
        back = figures.seconds(recovered - injected) if recovered is not None else "never"
    name = str(fault.get("name") or fault.get("kind") or "fault")
    troubles = tuple(str(each) for each in fault.get("trouble") or [])
    cells = (
        name,
        ", ".join(str(node) for node in fault.get("nodes") or [])
        or str(fault.get("target") or figures.NOTHING),
        figures.clock(injected),
        figures.count(fault.get("affected")) if injected is not None else figures.NOTHING,
        ", ".join(f"{cause} {count:,}" for cause, count in (fault.get("noticed_by") or {}).items())
        or figures.NOTHING,
        spread(fault.get("detect"), "p50", "max"),
        spread(fault.get("reconnect"), "p50", "p99", "max"),
        back,
        figures.seconds((fault.get("outage") or {}).get("seconds")),
        f"{figures.count(ledger['lost'])}/{figures.count(ledger.get('duplicate'))}"
        if ledger.get("lost") is not None
        else figures.NOTHING,
    )
    bad = bool(ledger.get("lost")) or bool(troubles)
    return FaultRow(name, cells, tuple(_notes(fault)), troubles, bad)


def spread(distribution: Mapping[str, Any] | None, *keys: str) -> str:
    """Give figures of a distribution as `3.1 ms/8 ms`; a dash when nothing was measured."""
    if not distribution or not distribution.get("count"):
        return figures.NOTHING
    return "/".join(figures.seconds(distribution.get(key)) for key in keys)


def _notes(fault: Mapping[str, Any]) -> Iterator[str]:
    """What happened that is no failure by itself, and yet is not to be overlooked."""
    yield from _times(fault)
    yield from _fleet(fault)
    sessions = fault.get("sessions") or {}
    if sessions.get("present") or sessions.get("gone"):
        yield (
            f"sessions: {figures.count(sessions.get('present') or 0)} resumed, "
            f"{figures.count(sessions.get('gone') or 0)} begun anew"
        )
    if moved := fault.get("moved"):
        yield "moved: " + ", ".join(f"{way['from']} → {way['to']} {way['clients']:,}" for way in moved)
    yield from _attempts(fault)
    if cut := fault.get("cut_again"):
        yield f"{figures.count(cut)} clients were cut more than once"
    if away := fault.get("not_back"):
        yield f"{figures.count(away)} times a client was not back when the run ended"
    yield from _code_notes(fault)
    yield from _late_notes(fault)


def _fleet(fault: Mapping[str, Any]) -> Iterator[str]:
    outage, rate = fault.get("outage") or {}, fault.get("rate") or {}
    if outage.get("first_low_at") is None:
        return
    yield (
        f"{rate.get('metric')} down from {outage['first_low_at']:.1f}s to {outage['last_low_end_at']:.1f}s, "
        f"seen in bins of {outage['bin']:g} s; at worst {figures.percent(100 * outage['deepest'])} "
        f"of the {figures.rate(rate.get('baseline'))} before"
    )


def _attempts(fault: Mapping[str, Any]) -> Iterator[str]:
    attempts, backoff = fault.get("attempts") or {}, fault.get("backoff") or {}
    if not attempts.get("total"):
        return
    yield (
        f"{figures.count(attempts['total'])} attempts to connect, "
        f"at most {figures.count(attempts.get('max'))} in one outage; "
        f"waited in between: p50 {figures.seconds(backoff.get('p50'))}, "
        f"max {figures.seconds(backoff.get('max'))}"
    )


def _times(fault: Mapping[str, Any]) -> Iterator[str]:
    injected = fault.get("injected_at")
    if injected is None:
        return
    window = fault.get("window") or {}
    done = fault.get("injected_done_at")
    parts = [f"injected at {injected:.3f}s"]
    if done is not None and done - injected >= 0.1:
        parts[0] += f" (took {figures.seconds(done - injected)})"
    if fault.get("healed_at") is not None:
        parts.append(f"healed at {fault['healed_at']:.3f}s")
    if fault.get("recovered_at") is not None:
        parts.append(f"all back at {fault['recovered_at']:.3f}s")
    if window.get("end") is not None:
        by = " by the run's end" if window.get("closed_by") == "end" else ""
        parts.append(f"window closed at {window['end']:.3f}s{by}")
    yield ", ".join(parts)


def _code_notes(fault: Mapping[str, Any]) -> Iterator[str]:
    seen = {
        "puback": (fault.get("codes") or {}).get("puback_codes") or {},
        "connack": fault.get("connack_codes") or {},
    }
    for kind, codes in seen.items():
        for code, times in codes.items():
            if code != "0x00" and times:
                line = explain(kind, code, times)
                span = _span(fault, f"{kind}_codes", code)
                yield f"{line.section} {code} ({line.words}) {figures.count(times)} times{span}"
    slow = fault.get("slow_connacks") or {}
    if slow.get("count"):
        yield (
            f"{figures.count(slow['count'])} CONNECTs waited over 10 s for their CONNACK, "
            f"at most {figures.seconds(slow.get('max'))}"
        )
    for cause, times in (fault.get("errors") or {}).items():
        line = explain("connect_errors", cause, times)
        yield f"attempts that failed: {line.words}, {figures.count(times)} times"


def _span(fault: Mapping[str, Any], family: str, code: str) -> str:
    """From when to when a code came."""
    seconds = [second for second, _ in ((fault.get("by_second") or {}).get(family) or {}).get(code) or []]
    return f", from {min(seconds)}s to {max(seconds) + 1}s" if seconds else ""


def _late_notes(fault: Mapping[str, Any]) -> Iterator[str]:
    late = fault.get("redelivered") or {}
    if late.get("late"):
        yield (
            f"{figures.count(late['late'])} messages were redelivered 30 s or more after they were due"
            + (f", the latest {figures.seconds(latest)}" if (latest := late.get("max_latency")) else "")
            + ": late is not lost (quorum queues of RabbitMQ 4.3 wait 60 s)"
        )
    if late.get("dup_flagged"):
        yield f"{figures.count(late['dup_flagged'])} first deliveries carried the DUP flag: no duplicates"
    if takeovers := (fault.get("noticed_by") or {}).get("disconnect:0x8E"):
        yield f"{figures.count(takeovers)} connections were taken over by a newer one of their client (0x8E)"
