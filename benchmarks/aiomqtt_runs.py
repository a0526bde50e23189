"""aiomqtt: starts the driver, and reads what it measured of its own process."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.aiomqtt_driver import Work
from benchmarks.figures import BenchmarkError, Figures
from benchmarks.process import Ended, run

if TYPE_CHECKING:
    from benchmarks.brokers import Broker
    from benchmarks.settings import Settings


def measure(broker: Broker, settings: Settings) -> Figures:
    """Three processes: one client, many idle ones, and messages."""
    idle = Work(
        mode="idle",
        port=broker.port,
        certs=str(broker.certs),
        clients=settings.rival_clients,
        connect_rate=settings.rival_connect_rate,
        keep_alive_s=settings.keep_alive_s,
        seconds=settings.idle_s,
    )
    messages = Work(
        mode="messages",
        port=broker.port,
        certs=str(broker.certs),
        clients=settings.pairs,
        connect_rate=settings.rival_connect_rate,
        keep_alive_s=60,
        seconds=settings.steady_s,
        warm_up_s=settings.warm_up_s,
        rate=settings.rate,
        payload=settings.payload,
    )
    _, ended = _run(Work(**(asdict(idle) | {"mode": "one"})))
    return Figures(cpu_fixed=ended.cpu, **_run(idle)[0], **_run(messages)[0])


def _run(work: Work) -> tuple[dict[str, Any], Ended]:
    ended = run([sys.executable, "-m", "benchmarks.aiomqtt_driver", json.dumps(asdict(work))])
    if ended.code:
        raise BenchmarkError(f"aiomqtt ended with {ended.code}:\n{ended.output}")
    # The library may have something to say on standard error after it, as when a client goes late.
    figures = [line for line in ended.output.splitlines() if line.startswith("{")]
    if not figures:
        raise BenchmarkError(f"aiomqtt told no figures:\n{ended.output}")
    found: dict[str, Any] = json.loads(figures[-1])
    return found, ended
