"""The gauges that are exported: stage and time left, clients, the generator's health, faults, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.live.board import Moment, Subject

Values = list[tuple[tuple[str, ...], float]]
Row = tuple[str, Literal["counter", "gauge", "info"], str, tuple[str, ...], str, Values]
"""Name, kind, help, labels, unit, samples: what a `families.Family` is made of."""

VERDICTS = ("pass", "fail", "invalid")
CLASSES = ("ok", "duplicate", "lost", "recovered", "indeterminate", "unexpected", "not_attempted")
"""The ledger's classes: each message of each pair of publisher and subscription is in one of them."""


def gauges(subject: Subject, moment: Moment) -> Iterator[Row]:
    """Give every gauge, with or without samples, and the workers' CPU time."""
    yield from _run(subject, moment)
    yield from _clients(subject, moment)
    yield from _generator(subject, moment)
    yield from _end(moment)


def _run(subject: Subject, moment: Moment) -> Iterator[Row]:
    info = (subject.scenario, subject.version)
    yield "loadgen_run", "info", "the run that is going on", ("scenario", "version"), "", [(info, 1)]
    state = moment.state
    stage = state.stage if state is not None and moment.result is None else None
    active: Values = [((name, kind), float(name == stage)) for name, kind in subject.stages]
    yield "loadgen_stage_active", "gauge", "1 for the stage that the run is in", ("stage", "kind"), "", active
    for name, words, value in (
        ("elapsed", "time since the start of the run", state.elapsed if state else None),
        ("remaining", "time left as planned, drains not counted", state.run_left if state else None),
    ):
        yield f"loadgen_run_{name}_seconds", "gauge", words, (), "seconds", _one(value)
    left = state.stage_left if state else None
    words = "time left in this stage, of a drain at most; none for a stage that an event ends"
    yield "loadgen_stage_remaining_seconds", "gauge", words, (), "seconds", _one(left)
    faults: Values = [((name, kind), float(is_open)) for name, kind, is_open in moment.faults]
    words = "1 while the fault's window is open, from its act to recovery"
    yield "loadgen_fault_active", "gauge", words, ("fault", "kind"), "", faults


def _clients(subject: Subject, moment: Moment) -> Iterator[Row]:
    planned: Values = [((group,), float(count)) for group, count in subject.groups.items()]
    yield "loadgen_clients_planned", "gauge", "clients of the plan", ("group",), "clients", planned
    for gauge, name, words in (
        ("connected", "clients_connected", "clients with an accepted connection"),
        ("ready", "clients_ready", "clients that are connected and subscribed"),
        ("failed", "clients_failed", "clients that gave up"),
    ):
        found = _by_label(moment, gauge)
        yield f"loadgen_{name}", "gauge", words, ("group",), "clients", found
    nodes = _by_label(moment, "connected_node")
    yield "loadgen_node_clients_connected", "gauge", "connected clients by node", ("node",), "clients", nodes
    for gauge, words in (
        ("inflight", "messages sent at QoS 1 and not acknowledged"),
        ("backlog", "messages due that wait for a connection or for the broker's quota"),
    ):
        value = moment.gauges.get(gauge)
        yield f"loadgen_messages_{gauge}", "gauge", words, (), "messages", _one(value)


def _generator(subject: Subject, moment: Moment) -> Iterator[Row]:
    cpu: Values = [((str(number),), each.cpu_seconds) for number, each in moment.workers.items()]
    words = "CPU time of a worker's process; one process can have one core"
    yield "loadgen_worker_cpu_seconds", "counter", words, ("worker",), "seconds", cpu
    rss: Values = [((str(number),), each.rss) for number, each in moment.workers.items()]
    words = "resident memory of a worker's process"
    yield "loadgen_worker_resident_memory_bytes", "gauge", words, ("worker",), "bytes", rss
    for name, limit in (("send_lag", subject.send_lag_limit), ("loop_lag", subject.loop_lag_limit)):
        words = f"p99 of {name} over the run above which the run is invalid"
        yield f"loadgen_{name}_limit_seconds", "gauge", words, (), "seconds", _one(limit)


def _end(moment: Moment) -> Iterator[Row]:
    result = moment.result
    verdict: Values = []
    code: float | None = None
    ledger: Values = []
    if result is not None:
        verdict = [((each,), float(result.get("verdict") == each)) for each in VERDICTS]
        code = result.get("exit_code")
        classes = result.get("ledger") or {}
        ledger = [((key,), float(classes[key])) for key in CLASSES if key in classes]
    words = "1 for the verdict on the run; no sample before the run has ended"
    yield "loadgen_verdict", "gauge", words, ("verdict",), "", verdict
    words = "exit code of the run; no sample before the run has ended"
    yield "loadgen_exit_code", "gauge", words, (), "", _one(code)
    words = "what became of the messages, as in result.json; no sample before the run has ended"
    yield "loadgen_ledger_messages", "gauge", words, ("class",), "messages", ledger


def _by_label(moment: Moment, gauge: str) -> Values:
    """The values of a gauge that is kept for each group or node."""
    return [
        ((label,), value)
        for key, value in sorted(moment.gauges.items())
        for name, bar, label in (key.partition("|"),)
        if name == gauge and bar
    ]


def _one(value: float | None) -> Values:
    return [] if value is None else [((), float(value))]
