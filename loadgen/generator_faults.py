"""Whether the load was the planned one: what of the generator's own makes a run INVALID, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.metrics.snapshot import Snapshot
    from loadgen.scenario.model import GeneratorLimits


def generator_faults(limits: GeneratorLimits, totals: Snapshot, dropped: int) -> Iterator[str]:
    """Hold the generator's health against the scenario's limits.

    Args:
        limits: the scenario's `generator` section.
        totals: the sums of the run.
        dropped: messages due and never sent, by clients that were there to send them.

    Yields:
        A sentence for each limit that was passed.
    """
    for metric, limit in (("send_lag", limits.send_lag), ("loop_lag", limits.loop_lag)):
        histogram = totals.select(metric)
        if histogram.count and histogram.percentile(99.0) > limit:
            yield (
                f"the generator was the bottleneck: {metric} p99 was "
                f"{histogram.percentile(99.0) / 1e6:.1f}ms, and {limit / 1e6:g}ms is the most it may "
                f"be (generator.{metric})"
            )
    if dropped > limits.max_dropped:
        yield (
            f"{dropped} messages were due and never sent, so the load was not the planned one "
            f"(generator.max_dropped is {limits.max_dropped}, max_backlog bounds how many a client "
            f"may hold back){_forbidden(totals)}"
        )
    late = totals.count("late")
    if limits.max_late is not None and late > limits.max_late:
        yield (
            f"{late} messages had to wait for a connection or for the broker's quota, so the load was not "
            f"the planned one (generator.max_late is {limits.max_late})"
        )


def _forbidden(totals: Snapshot) -> str:
    """What of the dropped messages the broker itself ruled out in its CONNACK."""
    refusals = totals.codes("publish_refusals")
    if not refusals:
        return ""
    named = ", ".join(f"{why} x{count}" for why, count in sorted(refusals.items()))
    return f"; the broker's CONNACK forbids {sum(refusals.values())} of them: {named}"
