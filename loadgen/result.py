"""From what a run measured to `result.json` and its verdict."""

from __future__ import annotations

import platform
import ssl
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import loadgen
from loadgen.drift_watch import drift_says
from loadgen.engine.driver import NATIVE, described
from loadgen.errors import ExitCode
from loadgen.expectations import expectation_faults, expectation_rows
from loadgen.faults.fault_run import Outcome, troubles
from loadgen.faults.results import FaultResults
from loadgen.generator_faults import generator_faults
from loadgen.machine import this_machine
from loadgen.metrics.catalog import HISTOGRAMS
from loadgen.metrics.delivery import PublisherLog
from loadgen.metrics.durations import durations_of
from loadgen.metrics.summary import summarise
from loadgen.metrics.threshold import ThresholdResult, evaluate
from loadgen.metrics.verdict import Verdict, exit_code, merge_verdicts
from loadgen.scenario.thresholds import ThresholdSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.backend.messages import Final
    from loadgen.broker.view import ViewResult
    from loadgen.faults.fault_run import FaultRun
    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.metrics.tally import Tally
    from loadgen.plan.plan import Plan
    from loadgen.target import OpenTarget

SCHEMA_VERSION = 1


@dataclass(slots=True)
class Findings:
    """All that is known when a run has ended."""

    run_id: str
    plan: Plan
    target: OpenTarget
    tally: Tally
    started_at: str
    duration: float
    stages: list[dict[str, Any]]
    finals: list[Final]
    ledger: LedgerResult | None
    view: ViewResult | None
    view_error: str = ""
    interrupted: bool = False
    aborted: str = ""
    """Why a threshold with `abort_on_fail` ended the run early; empty when none did."""
    workers: int = 1
    lost_workers: list[str] = field(default_factory=list)
    """What became of each worker that did not finish."""
    lagging: float = 0.0
    """Longest silence of a worker, s."""
    coordinator_cpu: float = 0.0
    warnings: list[str] = field(default_factory=list)
    faults: list[FaultRun] = field(default_factory=list)
    """Every planned fault and every mark."""
    fault_results: FaultResults = field(default_factory=FaultResults)
    certificate_steps: list[dict[str, Any]] = field(default_factory=list)
    steps_say: list[tuple[Verdict, str]] = field(default_factory=list)
    """What the certificate steps add to the verdict."""

    drift: list[dict[str, Any]] = field(default_factory=list)
    """The slopes of the judged stage."""

    @property
    def ended_early(self) -> bool:
        """Whether the run was ended before its stages were over: what did not happen is no failure then."""
        return self.interrupted or bool(self.aborted)


@dataclass(slots=True)
class _Judgement:
    thresholds: list[dict[str, Any]]
    verdict: Verdict
    reasons: list[str]
    expectations: list[dict[str, Any]]
    warnings: list[str]


def build_result(findings: Findings) -> dict[str, Any]:
    """`result.json`; its keys stand in `report/schema.py` and docs/result.md."""
    scenario = findings.plan.scenario
    totals = findings.tally.total()
    judged = _judge(findings, totals)
    connected = len(findings.plan.clients) - sum(
        final.never_connected + final.refused for final in findings.finals
    )
    if findings.lost_workers:
        connected = min(connected, int(findings.tally.connected_peak))
    code = exit_code(judged.verdict, interrupted=findings.interrupted)
    return {
        "schema_version": SCHEMA_VERSION,
        "loadgen_version": loadgen.__version__,
        "verdict": judged.verdict.value,
        "exit_code": int(code),
        "reasons": judged.reasons,
        "run_id": findings.run_id,
        "scenario": {
            "name": scenario.name,
            "description": scenario.description,
            "file": str(scenario.source) if scenario.source else None,
            "seed": scenario.seed,
        },
        "started_at": findings.started_at,
        "duration": findings.duration,
        "interrupted": findings.interrupted,
        "aborted": findings.aborted or None,
        "totals": {
            "clients": len(findings.plan.clients),
            "connected": connected,
            "refused": sum(final.refused for final in findings.finals),
            "published": totals.count("published"),
            "acknowledged": totals.count("acknowledged"),
            "delivered": findings.ledger.delivered if findings.ledger else 0,
            "expected_deliveries": findings.ledger.expected if findings.ledger else 0,
            "received": totals.count("received"),
            "planned_disconnects": totals.count("planned_disconnects"),
            "wills_received": totals.count("wills_received"),
            "retained_received": totals.count("retained_received"),
            **_bytes(findings, totals),
        },
        "ledger": findings.ledger.to_dict() if findings.ledger else {},
        "metrics": {name: summarise(totals.select(name)) for name in (*HISTOGRAMS, "loop_lag")},
        "groups": _groups(findings, totals),
        "stages": findings.stages,
        "thresholds": judged.thresholds,
        "expectations": judged.expectations,
        "drift": findings.drift,
        "codes": {
            name: totals.codes(f"{name}_codes") for name in ("connack", "suback", "puback", "disconnect")
        }
        | {name: totals.codes(name) for name in ("connect_errors", "publish_refusals")},
        "faults": findings.fault_results.faults,
        "outages_outside_faults": findings.fault_results.outside,
        "certificate_steps": findings.certificate_steps,
        "generator": _generator(findings, totals),
        "broker": {
            "kind": findings.target.kind,
            "version": findings.target.version,
            "nodes": list(findings.target.nodes),
            "view": findings.view.to_dict() if findings.view else None,
        },
        "environment": _environment(findings),
        "warnings": [
            *findings.warnings,
            *judged.warnings,
            *_unanswered(totals),
            *_unpromised(findings, totals),
        ],
    }


def _bytes(findings: Findings, totals: Snapshot) -> dict[str, int | None]:
    """What went over the wire; null when another library's clients did it, who do not tell."""
    names = ("bytes_sent", "bytes_received")
    return {name: totals.count(name) if findings.plan.driver == NATIVE else None for name in names}


def _publishers(findings: Findings) -> Iterator[PublisherLog]:
    for final in findings.finals:
        yield from map(PublisherLog.from_wire, final.publishers.values())


def _unanswered(totals: Snapshot) -> list[str]:
    """Say how many publishes were never answered: their latency is a lower bound."""
    unanswered = totals.count("unanswered")
    if not unanswered:
        return []
    return [
        (
            f"{unanswered} messages sent at QoS 1 were never answered; "
            "in the latencies each counts with the time it had waited when it was given up"
        )
    ]


def _unpromised(findings: Findings, totals: Snapshot) -> list[str]:
    """Say how many publishes the broker refused, or had no subscriber for, although subscribers are planned.

    No promise is broken by them, so they are not lost; nor did they do what they were sent for.
    """
    errors = totals.count("publish_errors")
    if not errors or not any(findings.plan.matches):
        return []
    codes = ", ".join(f"{code} x{count}" for code, count in totals.codes("puback_codes").items())
    return [
        f"{errors} publishes were not taken or found no subscriber (PUBACK {codes}); judge by publish_errors"
    ]


def _groups(findings: Findings, totals: Snapshot) -> dict[str, Any]:
    return {
        name: {
            "clients": group.clients,
            "published": totals.count("published", name),
            "acknowledged": totals.count("acknowledged", name),
            "delivered": totals.count("received", name)
            - sum(totals.count(other, name) for other in ("foreign", "wills_received", "retained_received")),
            "metrics": {
                metric: summarise(totals.select(metric, name))
                for metric in HISTOGRAMS
                if totals.select(metric, name).count
            },
        }
        for name, group in findings.plan.scenario.groups.items()
    }


def _generator(findings: Findings, totals: Snapshot) -> dict[str, Any]:
    cpu = sum(final.cpu_seconds for final in findings.finals)
    limits = findings.plan.scenario.generator
    return {
        "cpu": cpu,
        "cpu_percent": 100 * cpu / findings.duration if findings.duration else 0.0,
        "coordinator_cpu": findings.coordinator_cpu,
        "rss_peak": sum(final.rss_peak for final in findings.finals) or int(findings.tally.rss_peak),
        "loop_lag": summarise(totals.select("loop_lag")),
        "send_lag": summarise(totals.select("send_lag")),
        "dropped": totals.count("dropped"),
        "late": totals.count("late"),
        "skipped": totals.count("skipped"),
        "workers": findings.workers,
        "workers_lost": len(findings.lost_workers),
        "longest_silence": findings.lagging,
        "limits": {
            "send_lag": limits.send_lag / 1e9,
            "loop_lag": limits.loop_lag / 1e9,
            "max_dropped": limits.max_dropped,
            "max_late": limits.max_late,
        },
    }


def _environment(findings: Findings) -> dict[str, Any]:
    tls = next((final.tls for final in findings.finals if final.tls), None)
    machine = this_machine()
    return {
        "loadgen": loadgen.__version__,
        "client": described(findings.plan.driver),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "cores": machine.cores,
        "limits": {
            "open_files": machine.descriptors,
            "local_ports": machine.ports,
            "memory": machine.memory,
        },
        "tls": f"{tls[0]} {tls[1]}" if tls else None,
        "insecure": findings.plan.scenario.target.tls.insecure,
    }


# -- the verdict -------------------------------------------------------------------------------------


def _judge(findings: Findings, totals: Snapshot) -> _Judgement:
    scenario = findings.plan.scenario
    stages = {name: sums.snapshot(name) for name, sums in findings.tally.stages.items()}
    durations = durations_of(findings.stages)
    rows: list[tuple[ThresholdResult, bool]] = [
        (each, False)
        for each in evaluate(
            scenario.parsed_thresholds(),
            totals,
            findings.ledger,
            durations,
            stages,
            windows=findings.fault_results.windows,
            window_seconds=findings.fault_results.window_seconds,
            window_ledgers=findings.fault_results.window_ledgers,
            run_counts=_run_counts(findings),
        )
    ]
    named = {
        spec.metric for spec in scenario.parsed_thresholds() if not spec.selector and spec.level == "fail"
    }
    rows += [
        (_of_generator(each), True)
        for each in evaluate(
            _defaults(findings, totals, named),
            totals,
            findings.ledger,
            durations,
            stages,
            run_counts=_run_counts(findings),
        )
    ]
    # A run that was ended early lacks what was to come: that thresholds have no data then is no news. Of the
    # generator `_checks` says more than its default thresholds.
    counted = [
        (each, default)
        for each, default in rows
        if each.level == "fail" and not (findings.aborted and each.verdict is Verdict.INVALID)
    ]
    verdicts = [each.verdict for each, _ in counted]
    reasons = [
        each.reason for each, default in counted if each.reason and not (default and each.metric in _TOLD)
    ]
    if findings.aborted:
        verdicts.append(Verdict.FAIL)
        reasons.insert(0, f"ended early: {findings.aborted}")
    expectations = expectation_rows(
        findings.plan,
        findings.finals,
        complete=not findings.ended_early and not findings.lost_workers,
    )
    for verdict, reason in [*expectation_faults(expectations), *_checks(findings, totals, named)]:
        verdicts.append(verdict)
        reasons.append(reason)
    thresholds = [{**each.to_dict(), "default": default} for each, default in rows]
    warnings = [each.reason for each, _ in rows if each.level == "warn" and each.reason]
    return _Judgement(thresholds, merge_verdicts(verdicts), reasons, expectations, warnings)


def _defaults(findings: Findings, totals: Snapshot, named: set[str]) -> list[ThresholdSpec]:
    """Thresholds that hold for every run, unless the scenario has its own for the metric."""
    scenario = findings.plan.scenario
    limits = scenario.generator
    defaults: list[ThresholdSpec] = []
    expects = any(findings.plan.matches) and totals.count("published")
    if expects and "messages_lost" not in named:
        defaults.append(ThresholdSpec("messages_lost", {}, "count == 0", "count", "==", 0.0))
    if totals.select("send_lag").count and "send_lag" not in named:
        defaults.append(_at_most("send_lag", limits.send_lag))
    if _run_counts(findings) and _NEVER not in named:
        defaults.append(ThresholdSpec(_NEVER, {}, "count == 0", "count", "==", 0.0))
    if "loop_lag" not in named and totals.select("loop_lag").count:
        defaults.append(_at_most("loop_lag", limits.loop_lag))
    return defaults


def _of_generator(result: ThresholdResult) -> ThresholdResult:
    """A generator that was too slow makes the run prove nothing; `_checks` says so in words."""
    if result.metric in _HEALTH and result.verdict is Verdict.FAIL:
        return replace(result, verdict=Verdict.INVALID, reason="the generator was the bottleneck")
    return result


def _at_most(metric: str, limit_ns: int) -> ThresholdSpec:
    return ThresholdSpec(metric, {}, f"p99 <= {limit_ns / 1e6:g}ms", "p99", "<=", limit_ns / 1e9)


def _run_counts(findings: Findings) -> dict[str, int]:
    """What only the workers' last words tell; nothing when the clients still had time to connect."""
    if findings.ended_early or findings.lost_workers:
        return {}
    return {_NEVER: sum(final.never_connected for final in findings.finals)}


def _checks(findings: Findings, totals: Snapshot, named: set[str]) -> list[tuple[Verdict, str]]:
    """What makes a run fail or prove nothing, beyond thresholds."""
    found: list[tuple[Verdict, str]] = [(Verdict.INVALID, lost) for lost in findings.lost_workers]
    limits = findings.plan.scenario.generator
    clients = len(findings.plan.clients)
    never = sum(final.never_connected for final in findings.finals)
    dropped = _dropped(findings, totals, never)
    found += [(Verdict.INVALID, fault) for fault in generator_faults(limits, totals, dropped)]
    if findings.lagging > _LONGEST_SILENCE:
        found.append(
            (
                Verdict.INVALID,
                f"a worker was silent for {findings.lagging:.1f}s: it was overloaded or stopped",
            )
        )
    if never and not findings.ended_early and _NEVER not in named:
        found.append(
            (Verdict.FAIL, f"{never} of {clients} clients were never connected and subscribed{_why(totals)}")
        )
    found += _of_faults(findings)
    if findings.view is not None and not findings.view.passed:
        wrong = findings.view.checked - findings.view.ok
        found.append(
            (
                Verdict.FAIL,
                f"the broker sees {wrong} of {findings.view.checked} clients otherwise than they are",
            )
        )
    if not findings.ended_early:
        found += findings.steps_say
    found += drift_says(findings.drift, complete=not findings.ended_early)
    if findings.view_error:
        found.append((Verdict.INVALID, f"the broker's view could not be checked: {findings.view_error}"))
    if (
        not findings.ended_early
        and _wanted_publishers(findings.plan)
        and not totals.count("published")
        and not never
    ):
        found.append((Verdict.INVALID, "nothing was published"))
    found += [(Verdict.FAIL, what) for what in _nothing_got_through(findings, totals)]
    if findings.ledger is not None and findings.ledger.unaccounted:
        found.append(
            (Verdict.INVALID, f"the ledger lacks {findings.ledger.unaccounted} pairs of the lost worker")
        )
    return found


def _wanted_publishers(plan: Plan) -> bool:
    """Whether there are publishers among the clients that the brokers are to let in."""
    return any(group.publish and not group.refused for group in plan.scenario.groups.values())


def _of_faults(findings: Findings) -> list[tuple[Verdict, str]]:
    """What faults add: those that did not go as planned, and clients that are not back at the end."""
    # Who interrupts a run knows that faults were still to come, and that nodes may just be down.
    cut_short = findings.ended_early or bool(findings.lost_workers)
    found = [
        (Verdict.INVALID, trouble)
        for run in findings.faults
        if not (cut_short and run.outcome is Outcome.NOT_REACHED)
        for trouble in troubles([run])
    ]
    away = sum(final.away for final in findings.finals)
    if away and not cut_short:
        found.append((Verdict.FAIL, f"{away} {'client' if away == 1 else 'clients'} did not come back"))
    return found


def _nothing_got_through(findings: Findings, totals: Snapshot) -> list[str]:
    """Name what broke no promise and yet is no pass: not one message taken, or not one delivered."""
    ledger = findings.ledger
    if findings.ended_early or ledger is None or not ledger.expected:
        return []
    found = []
    if totals.count("publish_errors") and not totals.count("acknowledged"):
        codes = ", ".join(totals.codes("puback_codes"))
        found.append(f"the broker acknowledged not one publish (PUBACK {codes})")
    if not ledger.delivered:
        found.append(f"not one of {ledger.expected} expected deliveries arrived")
    return found


def _dropped(findings: Findings, totals: Snapshot, never: int) -> int:
    """Count what was due and not sent by clients that were there to send it."""
    dropped = totals.count("dropped")
    if never:
        # That a client was never connected is a failure of its own, and no fault of the generator.
        dropped -= sum(log.not_attempted for log in _publishers(findings) if not log.sent)
    return dropped


_LONGEST_SILENCE = 3.0
_HEALTH = ("send_lag", "loop_lag")
_NEVER = "clients_never_connected"
_TOLD = (*_HEALTH, _NEVER)
"""Of these `_checks` says in words what their default thresholds say in figures."""


def _why(totals: Snapshot) -> str:
    causes = totals.codes("connect_errors")
    if not causes:
        return ""
    worst = sorted(causes.items(), key=lambda item: -item[1])[:3]
    hint = ": " + ", ".join(f"{cause} x{count}" for cause, count in worst)
    if any("0x86" in cause or "0x87" in cause for cause in causes):
        hint += " (run `loadgen provision` to make users and permissions)"
    return hint


__all__ = ["ExitCode", "Findings", "build_result"]
