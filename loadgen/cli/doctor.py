"""`loadgen doctor`: is this machine, and a scenario's target, ready for a run."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from loadgen.cli.options import Format, OutputFormat, Overrides, TargetOption, Workers, progress, write_json
from loadgen.doctor import Check, State, check_machine, check_scenario
from loadgen.errors import ExitCode
from loadgen.run import RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence


def doctor(
    scenario: Annotated[
        Path | None,
        typer.Argument(metavar="SCENARIO", help="Scenario file, whose target is looked at too."),
    ] = None,
    *,
    overrides: Overrides = None,
    target: TargetOption = None,
    workers: Workers = None,
    output_format: OutputFormat = Format.TEXT,
) -> int:
    """Look at this machine's limits and clocks, and with a SCENARIO at its files, its users and each node.

    Makes one connection to each node and asks the management API; changes nothing on the brokers. Exit code
    0 when a run may start (warnings allowed), else that which the run would end with: 104 or 106.
    """
    checks = check_machine()
    if scenario is not None:
        with progress("certificates") as advance:
            checks += check_scenario(RunOptions(scenario, overrides or (), target, workers), advance)
    if output_format is Format.JSON:
        write_json([check.to_dict() for check in checks])
    else:
        sys.stdout.write(_text(checks) + "\n")
    return next(
        (int(check.exit_code) for check in checks if check.state is State.PROBLEM), int(ExitCode.PASS)
    )


def _text(checks: Sequence[Check]) -> str:
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{_MARKS[check.state]} {check.name:<{width}}  {check.found}")
        if check.mend:
            lines.append(f"  {'':<{width}}  → {check.mend}")
    return "\n".join(lines)


_MARKS = {State.OK: "✓", State.WARNING: "!", State.PROBLEM: "✗"}
