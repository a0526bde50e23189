"""A state of the run as one line: for people who read a log, or as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.figures import clean

if TYPE_CHECKING:
    from loadgen.live.state import Latency, LiveState

MOST_ERRORS = 6
"""Causes of errors that are shown; the rest is counted."""


def plain_line(state: LiveState) -> str:
    """Give one state as one line, elapsed time first, in the form that PerfTest users know."""
    health = state.health
    parts = [
        f"{figures.clock(state.elapsed):>7}",
        clean(state.stage),
        f"connected={state.connected}/{state.clients}",
        f"published={figures.rate(state.published_rate)}",
        f"acknowledged={figures.rate(state.acknowledged_rate)}",
        f"delivered={figures.rate(state.delivered_rate)}",
    ]
    for name, spread in (("publish", state.publish), ("delivery", state.delivery)):
        if spread is not None:
            parts.append(f"{name} p50/p99={figures.seconds(spread.p50)}/{figures.seconds(spread.p99)}")
    troubles = health.troubles
    for name, spread in (("send_lag", health.send_lag), ("loop_lag", health.loop_lag)):
        if spread is not None and (name == "send_lag" or name in troubles):
            parts.append(f"{name} p99={figures.seconds(spread.p99)}{' !' if name in troubles else ''}")
    if health.cpu is not None:
        parts.append(f"cpu={figures.percent(100 * health.cpu)}{' !' if 'cpu' in troubles else ''}")
    if state.stage_left is not None:
        parts.append(f"left={figures.clock(state.stage_left)}")
    parts += [f"[fault {clean(fault)}]" for fault in state.faults]
    errors = errors_in_words(state.errors)
    return "  ".join([*parts, *([errors] if errors else [])])


def errors_in_words(errors: dict[str, int]) -> str:
    """Give the errors as one line, the most frequent first; empty when there are none."""
    found = sorted(((n, name) for name, n in errors.items() if n), key=lambda each: (-each[0], each[1]))
    shown = [f"{clean(name)} \N{MULTIPLICATION SIGN}{count:,}" for count, name in found[:MOST_ERRORS]]
    if len(found) > MOST_ERRORS:
        shown.append(f"and {len(found) - MOST_ERRORS} other causes")
    return f"errors: {', '.join(shown)}" if shown else ""


def json_line(state: LiveState) -> str:
    """Give one state as a JSON object in one line; keys and units stand in docs/live.md."""
    health = state.health
    return event(
        "second",
        elapsed_seconds=round(state.elapsed, 3),
        run_left_seconds=_rounded(state.run_left),
        stage={
            "name": state.stage,
            "kind": state.stage_kind,
            "elapsed_seconds": round(state.stage_elapsed, 3),
            "left_seconds": _rounded(state.stage_left),
        },
        clients={"planned": state.clients, "connected": state.connected},
        messages_per_second={
            "published": round(state.published_rate, 3),
            "acknowledged": round(state.acknowledged_rate, 3),
            "delivered": round(state.delivered_rate, 3),
        },
        publish_latency_seconds=_spread(state.publish),
        delivery_latency_seconds=_spread(state.delivery),
        messages={
            "inflight": state.inflight,
            "backlog": state.backlog,
            "dropped": health.dropped,
            "late": health.late,
        },
        generator={
            "send_lag_seconds": _spread(health.send_lag),
            "send_lag_limit_seconds": health.send_lag_limit,
            "loop_lag_seconds": _spread(health.loop_lag),
            "loop_lag_limit_seconds": health.loop_lag_limit,
            "busiest_worker_cores": _rounded(health.cpu),
            "resident_memory_bytes": int(health.rss),
            "workers": health.workers,
            "beyond_limits": list(health.troubles),
        },
        errors=state.errors,
        faults=list(state.faults),
    )


def event(kind: str, **content: Any) -> str:  # noqa: ANN401 - whatever JSON takes
    """Give an object of the JSON view as one line; `kind` is its `event`."""
    return json.dumps({"event": kind, **content}, ensure_ascii=True, separators=(",", ":"))


def _spread(spread: Latency | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
