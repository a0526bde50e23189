"""The figures of a fault's outages: how they were noticed, what attempts came to, how long each part took."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.outage import BACK
from loadgen.metrics.summary import NS, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loadgen.metrics.fault_record import FaultRecord
    from loadgen.metrics.outage import Outage

DURATIONS: dict[str, str] = {
    "detect": "the fault's act → loss noticed",
    "silence": "last sign of life → loss noticed",
    "reconnect": "loss noticed → CONNACK with success",
    "resubscribe": "CONNACK → SUBACK",
    "ready": "loss noticed → connected and subscribed again",
    "first_ack": "loss noticed → first publish acknowledged",
    "first_delivery": "loss noticed → first message received",
}
"""The histograms of a fault by name, each over its outages: what is measured."""

_MENDING = frozenset({"starting", "resumed", "serving", "joined", "reviving", "revived"})
"""Steps of a rolling restart that cut nobody off."""


def act_before(record: FaultRecord, outage: Outage) -> int:
    """When that was done (monotonic ns) which cut this client off.

    A rolling restart has many acts: the latest one before the loss at the client's node counts, or if there
    is none, the latest at any node, as the loss of a node can cut clients of others.
    """
    acts = [step for step in record.steps if step[0] not in _MENDING and step[2] <= outage.noticed]
    if record.kind != "rolling-restart" or not acts:
        return record.injected_ns
    names = dict(zip(record.endpoints, record.nodes, strict=False))
    own = [at for _, node, at in acts if node == names.get(outage.node)]
    return max(own or [at for _, _, at in acts])


def durations(record: FaultRecord, outages: Iterable[Outage]) -> dict[str, Histogram]:
    """The histograms of `DURATIONS`, in nanoseconds; an outage has no sample where its client did not get."""
    samples: dict[str, list[int]] = {name: [] for name in DURATIONS}
    for each in outages:
        samples["detect"].append(each.noticed - act_before(record, each))
        if each.last_sign:
            samples["silence"].append(each.noticed - each.last_sign)
        if each.suback:
            samples["resubscribe"].append(each.suback - each.connack)
        for name, at in (
            ("reconnect", each.connack),
            ("ready", each.ready),
            ("first_ack", each.first_ack),
            ("first_delivery", each.first_delivery),
        ):
            if at:
                samples[name].append(at - each.noticed)
    return {name: Histogram(values) for name, values in samples.items()}


def outage_figures(record: FaultRecord, outages: Sequence[Outage]) -> dict[str, Any]:
    """The part of a fault's summary that its outages give; durations in seconds."""
    histograms = durations(record, outages)
    per_client = Counter(each.client for each in outages)
    outcomes = _outcomes(outages)
    codes: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for outcome, count in outcomes.items():
        phase, _, what = outcome.partition(":")
        if what.startswith("refused:0x") and phase == "connack":
            codes[what.removeprefix("refused:")] += count
            continue
        # Whoever was ready, or waited for SUBACK, had its CONNACK.
        codes["0x00"] += count if phase in {BACK, "suback"} else 0
        if phase != BACK:
            errors[outcome] += count
    return {
        "affected": len(per_client),
        "outages": len(outages),
        "cut_again": sum(count > 1 for count in per_client.values()),
        "gave_up": sum(each.ended == "gave-up" for each in outages),
        "not_back": sum(each.ended != BACK for each in outages),
        "without_first_ack": sum(each.awaits_ack and not each.first_ack for each in outages),
        "noticed_by": dict(Counter(each.cause for each in outages).most_common()),
        "lost_node": dict(Counter(each.node for each in outages).most_common()),
        "connack_codes": dict(sorted((+codes).items())),
        "connack_timeouts": outcomes["connack:timeout"],
        "errors": dict(errors.most_common()),
        "slow_connacks": {
            "count": sum(each.slow_connacks for each in outages),
            "max": max((each.slowest_connack for each in outages), default=0) * NS or None,
        },
        "sessions": {
            "present": sum(each.session_present is True for each in outages),
            "gone": sum(each.session_present is False for each in outages),
        },
        "attempts": _spread([each.attempt_count for each in outages], "total"),
        "backoff": _spread([each.waited * NS for each in outages], "total"),
        "moved": _moved(outages),
        **{name: summarise(histogram) for name, histogram in histograms.items()},
        "histograms": {name: each.encode() for name, each in histograms.items() if each},
    }


def _outcomes(outages: Iterable[Outage]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in outages:
        total.update(each.outcomes)
    return total


def _spread(values: list[int] | list[float], total: str) -> dict[str, float | None]:
    """The sum of values, one for each outage, and how they spread."""
    ordered = sorted(values)
    at: Callable[[float], float | None] = lambda share: (  # noqa: E731 - one line, two uses
        ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
    )
    return {total: sum(ordered), "p50": at(0.5), "p90": at(0.9), "max": at(1.0)}


def _moved(outages: Iterable[Outage]) -> list[dict[str, Any]]:
    """From which node to which the clients went, the busiest way first."""
    ways = Counter((each.node, each.ready_node) for each in outages if each.ready_node)
    return [{"from": origin, "to": to, "clients": count} for (origin, to), count in ways.most_common()]
