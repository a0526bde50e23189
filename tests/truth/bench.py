"""Runs loadgen through its public entry points against a broker that the test keeps in its hands."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import loadgen
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.metrics.histogram import Histogram, lowest_at
from loadgen.run import RunOptions, prepare, read_scenario, run_scenario
from loadgen.store import Run, open_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.coordination.coordinator import Observer
    from loadgen.identity.identity import Identity

_ROOT = Path(loadgen.__file__).parents[1]
_COMMAND = "from loadgen.cli import main; main()"

PATIENT = {"send_lag": "2s", "loop_lag": "2s"}
"""Generator limits for tests in which the generator's own health is not the point: CI machines are shared."""


@dataclass(frozen=True)
class Finished:
    """A run that has ended: its exit code, and what it left on disk."""

    code: int
    run: Run
    output: str = ""
    """What the command wrote to standard error."""

    @property
    def result(self) -> dict[str, Any]:
        return self.run.result

    @property
    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = self.result["ledger"]
        return ledger

    def histogram(self, metric: str, group: str | None = None, stages: Iterable[str] = ()) -> Histogram:
        """Every sample of a metric, of all workers and intervals, or of some stages."""
        wanted = set(stages)
        total = Histogram()
        for snapshot in self.run.snapshots():
            if not wanted or snapshot.stage in wanted:
                total += snapshot.select(metric, group)
        return total

    def counts(self) -> dict[str, int]:
        """How many samples each histogram holds, by metric and group."""
        found: Counter[str] = Counter()
        for snapshot in self.run.snapshots():
            for key, histogram in snapshot.histograms.items():
                found[key] += histogram.count
        return dict(found)

    def stage_start(self, name: str) -> int:
        """When a stage began, monotonic ns: the origin of its intended times."""
        return next(int(each["ns"]) for each in self.run.events() if each.get("stage") == name)


class Bench:
    """A folder for one test, and a CA that is shared by all."""

    def __init__(self, folder: Path, certs: Path) -> None:
        self.folder = folder
        self.certs = certs
        self.authority = Authority.ensure(certs)

    def server_tls(self) -> ssl.SSLContext:
        """Mutual TLS for a broker on loopback."""
        certificate, key = self.authority.issue_server("truth", dns=["localhost"], ip=["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def identity(self, name: str) -> Identity:
        """A certificate for a client that is not loadgen's."""
        return self.authority.issue_clients([ClientRequest(name)])[0]

    def scenario(
        self,
        uris: str | list[str],
        groups: Mapping[str, Any],
        stages: list[dict[str, Any]],
        **more: Any,  # noqa: ANN401 - YAML
    ) -> Path:
        """Write a scenario whose groups take their identities from one set."""
        clients = max(int(group["clients"]) for group in groups.values())
        document = {
            "name": "truth",
            "target": {
                "uris": [uris] if isinstance(uris, str) else uris,
                "tls": {"ca": str(self.authority.certificate)},
                **more.pop("target", {}),
            },
            "identities": {
                "devices": {
                    "issue": {"count": clients, "common_name": "truth{index:03d}", "out": str(self.certs)}
                }
            },
            "groups": {
                name: {"identity": "devices", "client_id": f"{name}-{{index}}", **group}
                for name, group in groups.items()
            },
            "stages": stages,
            "generator": PATIENT,
            **more,
        }
        path = self.folder / "scenario.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    async def run(self, scenario: Path, *, workers: int = 1, observer: Observer | None = None) -> Finished:
        """Run in this very loop, beside the test's broker."""
        options = RunOptions(scenario, workers=workers, runs=self.folder / "runs")
        loaded = read_scenario(options)
        prepared = prepare(options, loaded)
        outcome = await run_scenario(
            options, loaded, prepared, None if observer is None else lambda _plan: observer
        )
        return Finished(outcome.exit_code, open_run(outcome.path))

    async def command(self, scenario: Path, *arguments: str) -> Finished:
        """Run the `loadgen` command as a process of its own."""
        runs = self.folder / "runs"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _COMMAND, "run", str(scenario), "--runs", str(runs)),
            *("--output-format", "json", "--view", "quiet", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = errors.decode()
        assert "Traceback" not in text, text
        assert output, text
        finished = Finished(process.returncode or 0, open_run(runs / "latest"), text)
        assert json.loads(output) == finished.result
        return finished


def above(histogram: Histogram, seconds: float) -> int:
    """How many samples are larger than this."""
    limit = seconds * 1e9
    return sum(count for index, count in histogram.counts.items() if lowest_at(index) > limit)


def largest(histogram: Histogram, how_many: int) -> list[float]:
    """The largest samples in seconds, in rising order, each within the histogram's 0.1 %."""
    samples: list[float] = []
    for index in sorted(histogram.counts, reverse=True):
        samples += [lowest_at(index) / 1e9] * histogram.counts[index]
        if len(samples) >= how_many:
            break
    return sorted(samples[:how_many])
