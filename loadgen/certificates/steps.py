"""Certificate steps of a run: what is known of each, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.metrics.certificate_step import StepTally
from loadgen.metrics.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.broker.view import ViewResult
    from loadgen.scenario.certificates import CertificateStep
    from loadgen.scenario.model import Scenario

EXPIRE = "expire"
"""Kind of the steps that nobody orders: certificates that end during a run."""


@dataclass(slots=True)
class StepRun:
    """One step as it goes; times in monotonic ns."""

    number: int
    kind: str
    """`renew`, `reconnect`, `rotate_ca`, or `expire`."""
    sets: tuple[str, ...]
    order: CertificateStep | None = None
    """What the scenario says; None for `expire`."""
    at: int = 0
    """When it began; 0: it did not."""
    completed: int = 0
    """When it was done; 0: it was not."""
    outcome: str = "not reached"
    """`done`, `halted`, `failed` or `not reached`."""
    trouble: str = ""
    """Why it was halted, or failed."""
    phases: list[tuple[str, int]] = field(default_factory=list)
    """What a rotation did, and when."""
    view: ViewResult | None = None
    """What the broker said of its clients afterwards; None when it was not asked."""
    clients: int = 0
    """Clients it was sent to."""

    @property
    def name(self) -> str:
        """In words, such as `renew devices at steady+10s`."""
        moment = f" at {self.order.at}" if self.order is not None else ""
        return f"{self.kind} {', '.join(self.sets)}{moment}"

    @property
    def refusal_expected(self) -> bool:
        """Whether the brokers are to refuse those who come back."""
        return self.order is not None and self.order.expect == "refused"

    @property
    def keeps_connections(self) -> bool:
        """Whether nobody has to come back."""
        return self.order is None or self.order.keep_connections


def planned_steps(scenario: Scenario) -> list[StepRun]:
    """The scenario's steps in the order in which they come."""
    stages = {stage.name: index for index, stage in enumerate(scenario.stages)}
    ordered = sorted(scenario.certificates, key=lambda step: (stages[step.at.stage], step.at.offset))
    return [StepRun(number, step.kind, step.sets, step) for number, step in enumerate(ordered)]


def step_rows(
    steps: Sequence[StepRun], tallies: Mapping[int, StepTally], origin: int
) -> list[dict[str, Any]]:
    """What `result.json` says of the steps; `expire` only where a certificate did end.

    Args:
        steps: all steps.
        tallies: number of the step → the sum over the workers.
        origin: the run's start, monotonic ns.
    """
    rows = []
    for step in sorted(steps, key=lambda step: (step.at or 1 << 63, step.number)):
        tally = tallies.get(step.number, StepTally())
        if step.kind == EXPIRE and not tally.clients:
            continue
        rows.append(
            {
                "kind": step.kind,
                "sets": list(step.sets),
                "moment": str(step.order.at) if step.order is not None else None,
                "expect": step.order.expect if step.order is not None else None,
                "at": _since(step.at, origin),
                "completed_at": _since(step.completed, origin),
                "outcome": step.outcome,
                "trouble": step.trouble,
                **tally.to_dict(),
                "last_back_at": _since(tally.last_back, origin),
                "phases": [{"name": name, "at": _since(at, origin)} for name, at in step.phases],
                "view": step.view.to_dict() if step.view is not None else None,
            }
        )
    return rows


def _since(moment: int, origin: int) -> float | None:
    return (moment - origin) / 1e9 if moment else None


def step_verdicts(
    steps: Sequence[StepRun], tallies: Mapping[int, StepTally]
) -> Iterator[tuple[Verdict, str]]:
    """What of the steps makes a run fail, or prove nothing."""
    for step in steps:
        if step.kind == EXPIRE:
            continue
        if step.outcome == "not reached":
            yield Verdict.INVALID, f"the step {step.name} was not reached: its stage had ended"
            continue
        if step.outcome == "failed":
            yield Verdict.INVALID, f"the step {step.name} could not be carried out: {step.trouble}"
            continue
        if step.outcome == "halted":
            yield Verdict.FAIL, f"the step {step.name} was halted: {step.trouble}"
        tally = tallies.get(step.number, StepTally())
        if step.refusal_expected:
            yield from _not_refused(step, tally)
        elif not step.keeps_connections and (away := tally.awaited - tally.reconnected) > 0:
            causes = ", ".join(f"{cause} x{count}" for cause, count in sorted(tally.failures.items()))
            what = f"{away} of {tally.awaited} clients did not come back from the step {step.name}"
            yield Verdict.FAIL, f"{what}{f': {causes}' if causes else ''}"
        if step.view is not None and not step.view.passed:
            wrong = step.view.checked - step.view.ok
            what = f"the broker sees {wrong} of {step.view.checked} clients otherwise than they are after"
            yield Verdict.FAIL, f"{what} the step {step.name}: {step.view.mismatches[0]}"


def _not_refused(step: StepRun, tally: StepTally) -> Iterator[tuple[Verdict, str]]:
    if tally.reconnected:
        what = f"{tally.reconnected} of {tally.awaited} clients came in after the step {step.name}"
        yield Verdict.FAIL, f"{what}, and were to be refused"
    elif tally.refused < tally.awaited:
        what = f"only {tally.refused} of {tally.awaited} clients were refused after the step {step.name}"
        yield Verdict.FAIL, what
    if not tally.awaited:
        yield Verdict.INVALID, f"no client was there to be refused in the step {step.name}"
