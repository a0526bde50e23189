"""Does a message cost the same with more clients and more workers? `python -m benchmarks.scale`.

The same total rate over 100, 1,000 and 10,000 clients in one process, then over one and two workers; against
Mosquitto when it is installed, else against the embedded broker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import brokers
from benchmarks.figures import BenchmarkError
from benchmarks.loadgen_runs import issue_certificates, measure_messages
from benchmarks.settings import FULL, QUICK, Settings
from benchmarks.table import render
from loadgen.machine import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.brokers import Broker
    from benchmarks.loadgen_runs import Messages


@dataclass(frozen=True, slots=True)
class Steps:
    """What is measured."""

    clients: tuple[int, ...]
    """Clients in one process, half of them publish."""
    workers: tuple[int, ...]
    clients_of_workers: int
    rate_of_workers: int


FULL_STEPS = Steps((100, 1_000, 10_000), (1, 2), 1_000, 4_000)
QUICK_STEPS = Steps((10, 40), (1, 2), 100, 400)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: shows that it works")
    options = parser.parse_args(arguments)
    settings, steps = (QUICK, QUICK_STEPS) if options.quick else (FULL, FULL_STEPS)
    raise_descriptor_limit()
    try:
        with tempfile.TemporaryDirectory(prefix="loadgen-scale-") as name:
            folder = Path(name)
            daemon = brokers.mosquitto_daemon()
            certs = folder / "certs"
            enter = brokers.mosquitto(daemon, certs) if daemon else brokers.embedded(certs)
            with enter as broker:
                issue_certificates(broker, replace(settings, clients=max(steps.clients) // 2), folder)
                print(f"Against {broker.name}.\n")
                _by_clients(broker, settings, steps, folder)
                _by_workers(broker, settings, steps, folder)
    except BenchmarkError as error:
        print(f"benchmarks.scale: {error}", file=sys.stderr)
        return 1
    return 0


def _by_clients(broker: Broker, settings: Settings, steps: Steps, folder: Path) -> None:
    found = {
        f"{clients:,} clients": measure_messages(broker, replace(settings, pairs=clients // 2), folder)
        for clients in steps.clients
    }
    print(f"{settings.rate:,} messages a second in all, one worker:\n")
    print(_table(found) + "\n", flush=True)


def _by_workers(broker: Broker, settings: Settings, steps: Steps, folder: Path) -> None:
    of_workers = replace(settings, pairs=steps.clients_of_workers // 2, rate=steps.rate_of_workers)
    found = {
        f"{workers} worker{'s' * (workers > 1)}": measure_messages(
            broker, of_workers, folder, workers=workers
        )
        for workers in steps.workers
    }
    print(f"{of_workers.rate:,} messages a second, {steps.clients_of_workers:,} clients:\n")
    print(_table(found), flush=True)


def _table(found: dict[str, Messages]) -> str:
    first = next(iter(found.values()))
    return render(
        [
            ["", *found],
            [
                "CPU per message, µs (ratio to the first)",
                *(f"{each.cpu * 1e6:.1f} ({each.cpu / first.cpu:.2f})" for each in found.values()),
            ],
            ["achieved rate, messages/s", *(f"{each.rate:,.0f}" for each in found.values())],
            ["send lag p50, ms", *(f"{each.lag.percentile(50.0) / 1e6:.2f}" for each in found.values())],
            ["send lag p99, ms", *(f"{each.lag.percentile(99.0) / 1e6:.2f}" for each in found.values())],
            ["RSS of all workers, MB", *(f"{each.rss / 1e6:.0f}" for each in found.values())],
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
