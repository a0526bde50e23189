"""Runs a shipped scenario as a user does: `loadgen` as a command, on a target file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "scenarios"

# The machine also carries the brokers here, and these tests judge the run's truth, not the machine's speed.
LENIENT = (
    *("--set", "generator.send_lag=5s"),
    *("--set", "generator.loop_lag=5s"),
    *("--set", "thresholds={messages_lost: [count == 0]}"),
)


SHORT_SMOKE = (
    *("--set", "stages.connect.connect=150/s"),
    *("--set", "stages.warm-up.hold=1s"),
    *("--set", "stages.steady.hold=3s"),
    *("--set", "stages.peak.hold=2s"),
)


def loadgen(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadgen", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def certificates_in(scenario: str, certs: Path) -> list[str]:
    """`--set` options that make every identity set use the CA in `certs`."""
    content = yaml.safe_load((SCENARIOS / scenario).read_text(encoding="utf-8"))
    options: list[str] = []
    for name in content["identities"]:
        options += ["--set", f"identities.{name}.issue.out={certs}"]
    return options


def run_shipped(
    folder: Path,
    scenario: str,
    *options: str,
    target: Path | None = None,
    certs: Path | None = None,
    workers: int | None = None,
    report: bool = False,
) -> dict[str, Any]:
    """Provision (where there is a target) and run; give result.json. Fails with all output if that does.

    Without a `report` the run is spared report.html, which costs two seconds.
    """
    common = [str(SCENARIOS / scenario), *options]
    if certs is not None:
        common += certificates_in(scenario, certs)
    if target is not None:
        common += ["--target", str(target)]
        provisioned = loadgen(folder, "provision", *common)
        assert provisioned.returncode == 0, provisioned.stderr
    of_run = ["--view", "quiet"] if workers is None else ["--view", "quiet", "--workers", str(workers)]
    of_run.append("--report" if report else "--no-report")
    done = loadgen(folder, "run", *common, *LENIENT, *of_run)
    assert done.returncode == 0, done.stdout + done.stderr
    kind, _, path = done.stdout.rstrip().splitlines()[-1].partition(": ")
    run = (folder / "runs/latest").resolve()
    if report:
        assert (kind, Path(path)) == ("report", run / "report.html")
        assert Path(path).stat().st_size > 100_000
    else:
        assert (kind, Path(path)) == ("run", run)
    result: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return result
