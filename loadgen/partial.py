"""A run that was killed has no result; this makes one out of the snapshots it left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import loadgen
from loadgen.drift_watch import drift_says
from loadgen.errors import ExitCode
from loadgen.faults.partial import faults_of
from loadgen.metrics.catalog import HISTOGRAMS
from loadgen.metrics.summary import summarise
from loadgen.partial_drift import drift_of
from loadgen.result import SCHEMA_VERSION

if TYPE_CHECKING:
    from loadgen.store import Run


def result_of(run: Run) -> Run:
    """The run itself when it has a result, else with one made from what is on disk; nothing is written.

    Such a result is always invalid: nobody knows what became of the messages that were under way.
    """
    return run if run.result else replace(run, result=_partial(run))


def _partial(run: Run) -> dict[str, Any]:
    totals = run.total()
    start, end = totals.start_ns, totals.end_ns
    connected, rss = 0.0, 0.0
    for each in run.intervals():
        connected, rss = max(connected, each.gauge("connected")), max(rss, each.gauge("rss"))
    stages: dict[str, dict[str, Any]] = {}
    events = run.events()
    for event in events:
        if event.get("event") == "stage":
            stages[event["stage"]] = {
                "name": event["stage"],
                "kind": event["kind"],
                "record": True,
                "started_at_s": (event["ns"] - start) / 1e9,
                "duration": None,
            }
    slopes = drift_of(run)
    return {
        "schema_version": SCHEMA_VERSION,
        "loadgen_version": loadgen.__version__,
        "verdict": "invalid",
        "exit_code": int(ExitCode.INVALID),
        "reasons": [
            "the run was killed: this is what it had written, and what was under way is unknown",
            *(sentence for _, sentence in drift_says(slopes, complete=False)),
        ],
        "run_id": run.path.name,
        "scenario": {
            "name": run.plan.get("scenario", ""),
            "description": "",
            "file": None,
            "seed": run.plan.get("seed", 0),
        },
        "started_at": run.plan.get("started_at") or "1970-01-01T00:00:00+00:00",
        "duration": (end - start) / 1e9,
        "interrupted": True,
        "totals": {
            "clients": run.plan.get("clients", 0),
            "connected": int(connected),
            "published": totals.count("published"),
            "acknowledged": totals.count("acknowledged"),
            "delivered": max(
                totals.count("received") - totals.count("foreign") - totals.count("duplicates"), 0
            ),
            "expected_deliveries": 0,
            "received": totals.count("received"),
            "bytes_sent": totals.count("bytes_sent"),
            "bytes_received": totals.count("bytes_received"),
        },
        "ledger": {},
        "metrics": {name: summarise(totals.select(name)) for name in (*HISTOGRAMS, "loop_lag")},
        "groups": {},
        "stages": list(stages.values()),
        "thresholds": [],
        "codes": {
            name: totals.codes(f"{name}_codes") for name in ("connack", "suback", "puback", "disconnect")
        }
        | {name: totals.codes(name) for name in ("connect_errors", "publish_refusals")},
        "faults": faults_of(events, start),
        "drift": slopes,
        "generator": {
            "cpu": None,
            "rss_peak": rss,
            "loop_lag": summarise(totals.select("loop_lag")),
            "send_lag": summarise(totals.select("send_lag")),
            "dropped": totals.count("dropped"),
            "late": totals.count("late"),
            "workers": run.plan.get("workers", 0),
        },
        "broker": {"kind": "unknown", "version": None, "nodes": [], "view": None},
        "environment": {"loadgen": loadgen.__version__, "client": run.plan.get("client")},
        "warnings": [],
    }
