"""`python -m benchmarks`: what a client and a message cost, of loadgen and of others, in one run."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import ssl
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import aiomqtt_runs, bare_sockets, brokers, connect_parts, loadgen_runs, mosquitto_clients
from benchmarks.figures import BenchmarkError, Figures, spread
from benchmarks.settings import FULL, QUICK, Settings
from benchmarks.table import render, rows
from loadgen.machine import available_cores, raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.brokers import Broker

_CONNECTS_IN_PARTS = 500


def main() -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small and once: shows that it works, in a minute"
    )
    parser.add_argument("--repeats", type=int, help="how often each contender is measured")
    parser.add_argument("--broker", choices=["embedded", "mosquitto"], help="only against this broker")
    parser.add_argument("--alone", action="store_true", help="only loadgen")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    settings = QUICK if options.quick else FULL
    raise_descriptor_limit()
    try:
        found = _measure_all(settings, options)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


def _measure_all(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    repeats = options.repeats or settings.repeats
    found: dict[str, Any] = {"settings": asdict(settings), "brokers": {}}
    print(_machine() + "\n\n" + _setting(settings, repeats))
    with tempfile.TemporaryDirectory(prefix="loadgen-benchmark-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        certs = folder / "certs"
        for number, enter in enumerate(_brokers(options.broker, certs)):
            broker = stack.enter_context(enter)
            if not number:
                loadgen_runs.issue_certificates(broker, settings, folder)
                server = "mosquitto" if "Mosquitto" in broker.name else "embedded"
                clients = min(settings.clients, _CONNECTS_IN_PARTS)
                found["parts"] = connect_parts.measure(certs, server, clients)
            found["brokers"][broker.name] = _measure(broker, settings, folder, repeats, alone=options.alone)
        print(_parts(found["parts"]))
    return found


def _brokers(only: str | None, certs: Path) -> list[contextlib.AbstractContextManager[Broker]]:
    chosen: list[contextlib.AbstractContextManager[Broker]] = []
    if only != "mosquitto":
        chosen.append(brokers.embedded(certs))
    daemon = brokers.mosquitto_daemon()
    if only != "embedded":
        if daemon:
            chosen.append(brokers.mosquitto(daemon, certs))
        elif only:
            raise BenchmarkError("mosquitto is not on PATH: install the Debian package mosquitto")
        else:
            print("\nMosquitto is not on PATH: only the embedded broker is measured against.")
    return chosen


def _measure(
    broker: Broker, settings: Settings, folder: Path, repeats: int, *, alone: bool
) -> dict[str, list[dict[str, float | None]]]:
    contenders: dict[str, Callable[[], Figures]] = {
        "loadgen": lambda: loadgen_runs.measure(broker, settings, folder)
    }
    if not alone:
        contenders["--client aiomqtt"] = lambda: loadgen_runs.measure_library(broker, settings, folder)
        contenders[f"aiomqtt {importlib.metadata.version('aiomqtt')}"] = lambda: aiomqtt_runs.measure(
            broker, settings
        )
        if mosquitto_clients.available():
            contenders["mosquitto_pub/sub"] = lambda: mosquitto_clients.measure(broker, settings)
        contenders[bare_sockets.NAME] = lambda: bare_sockets.measure(settings)
    measured: dict[str, list[Figures]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        # In turn, so that a busy minute of the machine meets all of them.
        for name, measure in contenders.items():
            print(f"{broker.name}: {name}, {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
            measured[name].append(measure())
    print(f"\nAgainst {broker.name} (load average {os.getloadavg()[0]:.1f}):\n")
    print(render(rows({name: spread(figures) for name, figures in measured.items()})), flush=True)
    return {name: [asdict(each) for each in figures] for name, figures in measured.items()}


def _machine() -> str:
    return (
        f"{available_cores()} cores, {platform.python_implementation()} {platform.python_version()}, "
        f"{ssl.OPENSSL_VERSION.rsplit(' ', 3)[0]}, {platform.system()} {platform.machine()}"
    )


def _setting(settings: Settings, repeats: int) -> str:
    return (
        f"Mutual TLS, a P-256 certificate for each client. Idle: {settings.clients:,} clients (aiomqtt "
        f"{settings.rival_clients:,}), keep-alive {settings.keep_alive_s} s, {settings.idle_s} s. "
        f"Messages: QoS 1, {settings.payload} B, {settings.rate:,}/s from {settings.pairs} publishers to "
        f"{settings.pairs} subscribers, {settings.steady_s} s.\n"
        f"Each cell: least / median of {repeats}; (ratio of medians to loadgen). "
        "CPU is user and system time of the clients' process alone."
    )


def _parts(parts: dict[str, float]) -> str:
    return (
        f"\nOf a connect's CPU: reading and parsing certificate and key {parts['load'] * 1e3:.2f} ms, "
        f"our half of the TLS handshake {parts['handshake'] * 1e3:.2f} ms (in memory); "
        "the rest is TCP, MQTT, event loop and recording."
    )


if __name__ == "__main__":
    sys.exit(main())
