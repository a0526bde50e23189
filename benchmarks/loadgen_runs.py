"""loadgen itself, through its command line: what its runs leave on disk tells what they cost."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.brokers import HOST
from benchmarks.figures import BenchmarkError, Figures
from benchmarks.process import Ended, run
from loadgen.store import open_run

if TYPE_CHECKING:
    from benchmarks.brokers import Broker
    from benchmarks.settings import Settings
    from loadgen.metrics.histogram import Histogram
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.store import Run

NAME = "bench{index:05d}"
_COMMAND = "from loadgen.cli import main; main()"


def command(*arguments: str) -> list[str]:
    """The installed `loadgen`, or the same entry point when it was not installed."""
    script = Path(sys.executable).with_name("loadgen")
    return [*([str(script)] if script.exists() else [sys.executable, "-c", _COMMAND]), *arguments]


def measure_library(broker: Broker, settings: Settings, folder: Path) -> Figures:
    """The same runs with `--client aiomqtt`, as many idle clients as a rival has.

    At a rate it holds: beyond it, the library publishes more than it receives, and its cost would be shared
    out over the few messages that arrived in time.
    """
    rival = replace(
        settings,
        clients=settings.rival_clients,
        connect_rate=settings.rival_connect_rate,
        rate=settings.library_rate,
    )
    return measure(broker, rival, folder, "--client", "aiomqtt")


def measure(broker: Broker, settings: Settings, folder: Path, *options: str) -> Figures:
    """Three runs: one idle client, many, and messages; `options` are more of `loadgen run`."""
    one, ended = run_parts(broker, _idle(settings, 1), folder, *options)
    many, _ = run_parts(broker, _idle(settings, settings.clients), folder, "--no-report", *options)
    messages = measure_messages(broker, settings, folder, *options)
    return Figures(
        rss_one=_rss(one),
        rss_client=(_rss(many) - _rss(one)) / (settings.clients - 1),
        cpu_fixed=ended.cpu,
        cpu_connect=stage_cpu(many, "connect") / settings.clients,
        connect_rate=_connect_rate(many),
        cpu_idle=stage_cpu(many, "idle") / settings.clients / settings.idle_s,
        cpu_message=messages.cpu,
        rate=messages.rate,
        send_lag_p50=messages.lag.percentile(50.0) / 1e9,
        send_lag_p99=messages.lag.percentile(99.0) / 1e9,
    )


@dataclass(frozen=True, slots=True)
class Messages:
    """What the steady stage of a run with messages cost."""

    cpu: float
    """CPU seconds a message that arrived, of all workers."""
    rate: float
    """Messages a second that arrived."""
    lag: Histogram
    """Send lag."""
    rss: float
    """Resident bytes of all workers at its end."""


def measure_messages(
    broker: Broker, settings: Settings, folder: Path, *options: str, workers: int = 1
) -> Messages:
    """One run in which pairs of a publisher and a subscriber pass messages."""
    found, _ = run_parts(broker, _messages(settings), folder, "--no-report", *options, workers=workers)
    steady = stage_intervals(found, "steady")
    every = [each for each in found.snapshots() if each.stage == "steady"]
    received = sum(each.count("received") for each in steady)
    seconds = (steady[-1].end_ns - steady[0].start_ns) / 1e9
    return Messages(
        cpu=stage_cpu(found, "steady") / received,
        rate=received / seconds,
        lag=sum(every[1:], every[0]).select("send_lag"),
        rss=sum({each.worker: each.gauges["rss"] for each in steady}.values()),
    )


def issue_certificates(broker: Broker, settings: Settings, folder: Path) -> None:
    """Make the clients' certificates beforehand, so that no contender's figures hold it."""
    scenario = _write(broker, _idle(settings, settings.clients), folder)
    ended = run(command("certs", "issue", str(scenario)))
    if ended.code:
        raise BenchmarkError(f"loadgen certs issue: {ended.output}")


def _idle(settings: Settings, clients: int) -> dict[str, Any]:
    group = {
        "identity": "devices",
        "user_properties": {"client_name": "{cn}"},
        "keep_alive": f"{settings.keep_alive_s}s",
    }
    return {
        "groups": {
            # What the very first connect costs (code that is loaded late, caches) is no client's price.
            "first": {**group, "clients": 1, "client_id": "first"},
            "idle": {**group, "clients": clients, "client_id": "{cn}"},
        },
        "stages": [
            {"name": "first", "connect": "10/s", "groups": ["first"]},
            {"name": "settle", "hold": "500ms"},
            {"name": "connect", "connect": f"{settings.connect_rate}/s", "groups": ["idle"]},
            {"name": "idle", "hold": f"{settings.idle_s}s" if clients > 1 else "500ms"},
        ],
    }


def _messages(settings: Settings) -> dict[str, Any]:
    group = {"clients": settings.pairs, "identity": "devices", "user_properties": {"client_name": "{cn}"}}
    topic = "bench/{index}/state"
    publish = {
        "topic": topic,
        "qos": 1,
        "total_rate": f"{settings.rate}/s",
        "payload": f"{settings.payload}B",
    }
    return {
        "groups": {
            "publishers": {**group, "client_id": "pub-{index}", "publish": publish},
            "subscribers": {
                **group,
                "client_id": "sub-{index}",
                "subscribe": {"filter": topic, "qos": 1},
            },
        },
        "stages": [
            {"name": "connect", "connect": f"{settings.connect_rate}/s"},
            {"name": "warm-up", "hold": f"{settings.warm_up_s}s", "record": False},
            {"name": "steady", "hold": f"{settings.steady_s}s"},
            {"name": "drain", "drain": "10s"},
        ],
    }


def _write(broker: Broker, parts: dict[str, Any], folder: Path) -> Path:
    clients = max(group["clients"] for group in parts["groups"].values())
    scenario = {
        "name": "benchmark",
        "target": {"uris": [f"mqtts://{HOST}:{broker.port}"], "tls": {"ca": str(broker.ca)}},
        "identities": {
            "devices": {"issue": {"count": clients, "common_name": NAME, "out": str(broker.certs)}}
        },
        # A slow machine must not end the comparison: how late it was stands in the table.
        "generator": {"send_lag": "1h", "loop_lag": "1h", "max_dropped": 10**9},
        **parts,
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return path


def run_parts(
    broker: Broker, parts: dict[str, Any], folder: Path, *options: str, workers: int = 1
) -> tuple[Run, Ended]:
    """Run a scenario of these parts (groups and stages) against a broker; `options` are more of `run`."""
    scenario = _write(broker, parts, folder)
    runs = folder / "runs"
    common = ("--workers", str(workers), "--runs", str(runs), "--view", "quiet")
    ended = run(command("run", str(scenario), *common, *options))
    if ended.code:
        raise BenchmarkError(f"loadgen run ended with {ended.code}:\n{ended.output}")
    return open_run(runs / "latest"), ended


def stage_intervals(found: Run, name: str) -> list[Snapshot]:
    """Its intervals; what came later and belongs to it has snapshots of no length, without gauges."""
    return [each for each in found.snapshots() if each.stage == name and each.gauges]


def _rss(found: Run) -> float:
    return stage_intervals(found, "idle")[-1].gauges["rss"]


def _connect_rate(found: Run) -> float:
    every = stage_intervals(found, "connect")
    # The first second and the last are not whole; a stage so short that it has no other shows little.
    between = every[1:-1] or every
    seconds = (between[-1].end_ns - between[0].start_ns) / 1e9
    return sum(each.count("connect_attempts") for each in between) / seconds


def stage_cpu(found: Run, stage: str) -> float:
    """CPU seconds of the workers in a stage: from the last snapshot before it to its own last."""
    spent = 0.0
    by_worker: dict[int, list[Snapshot]] = {}
    for each in found.snapshots():
        if each.gauges:
            by_worker.setdefault(each.worker, []).append(each)
    for snapshots in by_worker.values():
        places = [place for place, each in enumerate(snapshots) if each.stage == stage]
        before, last = snapshots[places[0] - 1], snapshots[places[-1]]
        spent += last.gauges["cpu_seconds"] - before.gauges["cpu_seconds"]
    return spent
