"""Does `loadgen compare` call noise, and does it call a slower broker? `python -m benchmarks.compare_pairs`.

Pairs of equal runs (A/A) against the embedded broker, through a proxy that delays each direction; then runs
of which the proxy's delay is 20 % longer, each compared with every run before. The exit code is 1 when an A/A
pair is called at the default tolerance, or a slowed run is not: that takes a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmarks import brokers
from benchmarks.figures import BenchmarkError
from benchmarks.loadgen_runs import command
from loadgen.broker.slow_proxy import SlowProxies
from loadgen.compare.compare import DEFAULT_TOLERANCE, Options, compare
from loadgen.store import open_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.model import Comparison
    from loadgen.store import Run

TOLERANCES = (0.0, 0.02, 0.05, DEFAULT_TOLERANCE)
SLOWER = 1.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.compare_pairs", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10, help="A/A pairs")
    parser.add_argument("--slowed", type=int, default=3, help="runs with the longer delay")
    parser.add_argument("--hold", type=int, default=20, help="seconds of each run that count")
    parser.add_argument("--delay", type=float, default=10.0, help="ms each way that the proxy adds")
    parser.add_argument("--folder", type=Path, help="keep the runs here, and take those that are there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loadgen-pairs-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            equal = [
                asyncio.run(_run(folder, f"equal-{number:02d}", options.delay, options.hold))
                for number in range(2 * options.pairs)
            ]
            slowed = [
                asyncio.run(_run(folder, f"slowed-{number:02d}", SLOWER * options.delay, options.hold))
                for number in range(options.slowed)
            ]
        except BenchmarkError as error:
            print(f"benchmarks.compare_pairs: {error}", file=sys.stderr)
            return 1
        return _told(equal, slowed)


def _told(equal: Sequence[Run], slowed: Sequence[Run]) -> int:
    pairs = list(zip(equal[::2], equal[1::2], strict=True))
    neighbours = [*pairwise(equal)]
    print(f"{'tolerance':>10}  {'A/A pairs called':>18}  {'of all neighbours':>18}  {'slowed called':>14}")
    wrong = False
    for tolerance in TOLERANCES:
        false = [each for each in pairs if _called(each[0], each[1], tolerance)]
        wide = [each for each in neighbours if _called(each[0], each[1], tolerance)]
        tries = [(base, run) for run in slowed for base in equal]
        right = [each for each in tries if "publish_latency" in _called(*each, tolerance)]
        print(
            f"{tolerance:>10.0%}  {f'{len(false)} of {len(pairs)}':>18}  "
            f"{f'{len(wide)} of {len(neighbours)}':>18}  {f'{len(right)} of {len(tries)}':>14}"
        )
        if tolerance == DEFAULT_TOLERANCE:
            wrong = bool(false) or len(right) < len(tries)
    return int(wrong)


def _called(base: Run, run: Run, tolerance: float) -> set[str]:
    return {row.metric for row in _compared(base, run, tolerance).regressions}


def _compared(base: Run, run: Run, tolerance: float) -> Comparison:
    # A generator that was held up makes a run INVALID, which here only says how busy this machine is.
    return compare([base], [run], Options(tolerance=tolerance, allow_invalid=True))


async def _run(folder: Path, name: str, delay_ms: float, hold: int) -> Run:
    """One run, unless it is there."""
    kept = folder / name / "runs" / "latest"
    if not kept.exists():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        with brokers.embedded(folder / "certs") as broker:
            proxies = SlowProxies()
            try:
                where = await proxies.start({"node": (brokers.HOST, broker.port)})
                await proxies.slow(["node"], round(delay_ms * 1e6), 0, lambda *_: None)
                await _load(place, broker.certs, where["node"][1], hold)
            finally:
                await proxies.close()
    return open_run(kept)


async def _load(place: Path, certs: Path, port: int, hold: int) -> None:
    scenario = place / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(_scenario(certs, port, hold)), encoding="utf-8")
    arguments = ["run", str(scenario), "--runs", str(place / "runs"), "--view", "quiet", "--no-report"]
    process = await asyncio.create_subprocess_exec(
        *command(*arguments, "--workers", "1"), stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait() not in {0, 98}:
        raise BenchmarkError(f"the run in {place} failed")


def _scenario(certs: Path, port: int, hold: int) -> dict[str, object]:
    return {
        "name": "compare-pairs",
        "target": {
            "uris": [f"mqtts://{brokers.HOST}:{port}"],
            "tls": {"ca": str(certs / "ca_certificate.pem")},
        },
        "identities": {"devices": {"issue": {"count": 50, "common_name": "pair{index}", "out": str(certs)}}},
        "groups": {
            "sensors": {
                "clients": 50,
                "identity": "devices",
                "publish": {"topic": "pairs/{index}", "qos": 1, "rate": "4/s", "arrival": "poisson"},
            },
            "monitors": {
                "clients": 2,
                "identity": "devices",
                "client_id": "monitor-{index}",
                "subscribe": {"filter": "pairs/+", "qos": 1},
            },
        },
        "stages": [
            {"name": "connect", "connect": "50/s"},
            {"name": "warm-up", "hold": "2s", "record": False},
            {"name": "steady", "hold": f"{hold}s"},
            {"name": "drain", "drain": "5s"},
        ],
        "generator": {"send_lag": "1s", "loop_lag": "1s"},
    }


if __name__ == "__main__":
    sys.exit(main())
