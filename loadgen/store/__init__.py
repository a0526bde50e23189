"""A run on disk: written while it happens, read by everything that comes after.

`runs/<utc-time>-<name>/` holds `scenario.yaml`, `plan.json`, `snapshots.jsonl` (one line per worker and
interval), `events.jsonl`, `brokers.jsonl` (what the brokers say of themselves), and at the end `result.json`,
`histograms.hlog` and `report.html`. Lines are flushed once a second, so a killed run keeps all but its last
second.

`open_run` gives a `Run`: timeline, distributions, counters, stages, faults, events, ledger and result
(docs/reading-a-run.md).
"""

from loadgen.store.distribution import Distribution
from loadgen.store.opening import is_running, open_run
from loadgen.store.run import Run
from loadgen.store.spans import Event, FaultSpan, StageSpan
from loadgen.store.writer import LATEST, RunWriter, run_number

__all__ = [
    "LATEST",
    "Distribution",
    "Event",
    "FaultSpan",
    "Run",
    "RunWriter",
    "StageSpan",
    "is_running",
    "open_run",
    "run_number",
]
