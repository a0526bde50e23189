"""Does a long run grow? `python -m benchmarks.soak --minutes 30`: a steady run's memory, minute by minute.

One worker, in the coordinator's process, so that everything that a run keeps is in the figure: clients,
ledger, recorder, tally, the files' writers. The exit code is 1 when the memory after the warm-up changes by
more than 2 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import brokers
from benchmarks.figures import BenchmarkError
from benchmarks.loadgen_runs import run_parts, stage_intervals
from loadgen.machine import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.brokers import Broker
    from loadgen.store import Run

WARM_UP_MINUTES = 3
MOST_GROWTH = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=30, help="length of the run after the warm-up")
    parser.add_argument("--warm-up", type=int, default=WARM_UP_MINUTES, help="minutes that do not count")
    parser.add_argument("--clients", type=int, default=200, help="half publish, half subscribe")
    parser.add_argument("--rate", type=int, default=500, help="messages a second, QoS 1")
    options = parser.parse_args(arguments)
    raise_descriptor_limit()
    try:
        with tempfile.TemporaryDirectory(prefix="loadgen-soak-") as name:
            folder = Path(name)
            daemon = brokers.mosquitto_daemon()
            enter = (
                brokers.mosquitto(daemon, folder / "certs") if daemon else brokers.embedded(folder / "certs")
            )
            with enter as broker:
                found = _soak(broker, options, folder)
            by_minute = resident_by_minute(found)
            messages = sum(each.count("received") for each in found.snapshots())
    except BenchmarkError as error:
        print(f"benchmarks.soak: {error}", file=sys.stderr)
        return 1
    base, most = growth(by_minute)
    print(
        f"{options.clients} clients, {options.rate} messages a second, {messages:,} delivered, "
        f"against {broker.name}; RSS in MB by minute after {options.warm_up} min of warm-up:"
    )
    print(" ".join(f"{each / 1e6:.2f}" for each in by_minute))
    print(f"first minute {base / 1e6:.2f} MB, farthest from it {100 * most:+.2f} %")
    return 1 if abs(most) > MOST_GROWTH else 0


def growth(by_minute: Sequence[float]) -> tuple[float, float]:
    """(bytes in the first minute, the largest relative change from it in any later minute)."""
    base = by_minute[0]
    return base, max(((each - base) / base for each in by_minute), key=abs)


def resident_by_minute(found: Run) -> list[float]:
    """Median of the resident bytes in each minute of the stage `steady`."""
    values = [each.gauges["rss"] for each in stage_intervals(found, "steady")]
    return [median(values[start : start + 60]) for start in range(0, len(values), 60)]


def _soak(broker: Broker, options: argparse.Namespace, folder: Path) -> Run:
    pairs = options.clients // 2
    group: dict[str, Any] = {"clients": pairs, "identity": "devices"}
    topic = "soak/{index}/state"
    parts = {
        "groups": {
            "publishers": {
                **group,
                "client_id": "pub-{index}",
                "publish": {"topic": topic, "qos": 1, "total_rate": f"{options.rate}/s", "payload": "256B"},
            },
            "subscribers": {
                **group,
                "client_id": "sub-{index}",
                "subscribe": {"filter": topic, "qos": 1},
            },
        },
        "stages": [
            {"name": "connect", "connect": "50/s"},
            {"name": "warm-up", "hold": f"{options.warm_up}m"},
            {"name": "steady", "hold": f"{options.minutes}m"},
            {"name": "drain", "drain": "10s"},
        ],
    }
    found, _ = run_parts(broker, parts, folder)
    return found


if __name__ == "__main__":
    sys.exit(main())
