"""Reads a run as data, the way a notebook would: python examples/read_a_run.py [RUN].

Everything here works on a run that was killed, too; what was not measured is nan or None, never 0.
Durations are seconds, instants are seconds since the start of the run.
"""

# ruff: noqa: T201, INP001 - a script that prints

from __future__ import annotations

import sys

from loadgen.store import Run, open_run


def main(path: str) -> None:
    """Print what a performance engineer looks at first."""
    run = open_run(path)
    print(f"{run.name}: {run.result.get('verdict', 'no verdict, the run was killed')}, {run.duration:.1f} s")
    latencies(run)
    stages(run)
    faults(run)
    if run.ledger is not None:
        print(f"ledger: {run.ledger.lost} lost of {run.ledger.expected}, {run.ledger.duplicate} duplicate")
    slowest_second(run)


def latencies(run: Run) -> None:
    """Compare response time with service time: what lies between is time spent waiting for the client."""
    for metric in ("publish_latency", "publish_service_time", "delivery_latency"):
        found = run.histogram(metric)
        p50, p99 = found.percentiles((50, 99))
        print(f"{metric}: {found.count} samples, p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms")


def stages(run: Run) -> None:
    """Show each stage by itself, and who published in it."""
    for stage in run.stages:
        p99 = run.histogram("publish_latency", stage=stage.name).percentile(99)
        rates = ", ".join(
            f"{group} {run.count('published', group, stage=stage.name) / stage.seconds:.0f}/s"
            for group in run.groups
            if run.count("published", group)
        )
        print(f"stage {stage.name} ({stage.seconds:.1f} s): published {rates}; p99 {p99 * 1e3:.2f} ms")


def faults(run: Run) -> None:
    """Look into each fault's window, and at who was hit first."""
    for fault in run.faults:
        p99 = run.histogram("publish_latency", during=fault.name).percentile(99)
        outages = [each for each in run.history("outage") if fault.start <= each.at < fault.end]
        print(
            f"fault {fault.name} at {fault.start:.1f} s, {fault.seconds:.1f} s long: p99 {p99:.3f} s", end=""
        )
        print(f", {len(outages)} outages" + (f", first {outages[0].client_id}" if outages else ""))


def slowest_second(run: Run) -> None:
    """Find a second in the timeline; `pandas.DataFrame(run.table())` takes the same rows."""
    rows = [row for row in run.table() if row["publish_latency_p99_seconds"] is not None]
    if rows:
        worst = max(rows, key=lambda row: float(row["publish_latency_p99_seconds"] or 0))
        print(f"slowest second: {worst['start_seconds']} s, p99 {worst['publish_latency_p99_seconds']} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/latest")
