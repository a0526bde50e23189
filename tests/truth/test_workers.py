"""The number of workers changes nothing about what is sent, expected and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.engine.loop import run_on_fast_loop
from loadgen.plan.pacer import PoissonPacer
from loadgen.plan.plan import make_plan
from loadgen.run import RunOptions, prepare, read_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.truth.bench import Bench, Finished

CLIENTS = 8
GROUPS: dict[str, Any] = {
    "steady": {
        "clients": CLIENTS,
        "publish": [
            {"topic": "workers/{index}/a", "qos": 1, "rate": "10/s", "payload": "64B"},
            {"topic": "workers/{index}/b", "qos": 0, "total_rate": "15/s", "payload": "64B"},
        ],
    },
    "random": {
        "clients": CLIENTS,
        "publish": {
            "topic": "workers/{index}/c",
            "qos": 1,
            "rate": "8/s",
            "payload": "64B",
            "arrival": "poisson",
        },
    },
    "monitors": {
        "clients": 5,
        "subscribe": [{"filter": "workers/+/a", "qos": 1}, {"filter": "workers/{index}/#", "qos": 0}],
    },
}
STAGES: list[dict[str, Any]] = [
    {"name": "connect", "connect": "100/s"},
    {"name": "warm-up", "hold": "500ms", "record": False},
    {"name": "ramp", "hold": "1500ms", "load": "10%..150%"},
    {"name": "spike", "hold": "500ms", "load": "200%"},
    {"name": "down", "hold": "500ms", "load": "100%..20%"},
    {"name": "drain", "drain": "3s"},
]
LOAD = {"warm-up": 0.5, "ramp": 1.5 * 0.8, "spike": 0.5 * 2, "down": 0.5 * 0.6}
"""Seconds at 100 % that each stage is worth, by hand."""
RECORDED = sum(LOAD.values()) - LOAD["warm-up"]
ALL = sum(LOAD.values())


def arrivals(scenario: Path, until: float, clients: range = range(CLIENTS)) -> int:
    """How many Poisson messages fall due in the first `until` seconds of load, client by client."""
    options = RunOptions(scenario)
    loaded = read_scenario(options)
    plan = make_plan(loaded, prepare(options, loaded).identities)
    definition = next(each for each in plan.definitions if each.arrival == "poisson")
    count = 0
    for client in clients:
        pacer = PoissonPacer([client], definition.rate, definition.seed)
        while pacer.due < until * 1e9:
            pacer.pop()
            count += 1
    return count


def test_one_two_and_four_workers_send_and_measure_the_same(bench: Bench) -> None:
    runs: dict[int, Finished] = {}
    with EmbeddedBroker.with_authority(bench.certs) as broker:
        scenario = bench.scenario(broker.uri, GROUPS, STAGES, seed=11)
        for workers in (1, 2, 4):
            runs[workers] = run_on_fast_loop(bench.run(scenario, workers=workers))

    for workers, finished in runs.items():
        assert finished.code == 0, (workers, finished.result["reasons"])
        assert finished.result["generator"]["workers"] == workers

    # By hand: constant arrivals to the message, k-th message of a stream at k / rate in load time.
    a, b = CLIENTS * 10, 15
    poisson, poisson_before = arrivals(scenario, ALL), arrivals(scenario, LOAD["warm-up"])
    one = runs[1].result
    assert one["groups"]["steady"]["published"] == round(a * ALL) + round(b * ALL)
    assert one["groups"]["random"]["published"] == poisson
    assert one["totals"]["published"] == round((a + b) * ALL) + poisson
    # Three of the random topics have no subscriber: 0x10, which is an answer and no acknowledgement.
    unmatched = one["codes"]["puback"]["0x10"]
    assert unmatched == arrivals(scenario, ALL, range(5, CLIENTS))
    assert one["totals"]["acknowledged"] == round(a * ALL) + poisson - unmatched
    counts = runs[1].counts()
    after_warm_up = {
        "steady": round(a * RECORDED),
        "random": poisson - poisson_before,
    }
    for group, expected in after_warm_up.items():
        assert counts[f"publish_latency|{group}"] == counts[f"publish_service_time|{group}"] == expected

    stages = [{stage["name"]: stage.get("load") for stage in f.result["stages"]} for f in runs.values()]
    assert stages[0] == stages[1] == stages[2]
    for workers in (2, 4):
        other = runs[workers]
        for part in ("published", "acknowledged", "delivered", "expected_deliveries", "received"):
            assert other.result["totals"][part] == one["totals"][part], (workers, part)
        for name in GROUPS:
            for part in ("published", "acknowledged", "delivered"):
                assert other.result["groups"][name][part] == one["groups"][name][part], (workers, name, part)
        assert comparable(other.counts()) == comparable(counts), workers
        assert other.ledger == one["ledger"], workers
        assert published_by_stage(other) == published_by_stage(runs[1]), workers


def comparable(counts: dict[str, int]) -> dict[str, int]:
    """Without loop_lag, which each worker has for itself."""
    return {key: count for key, count in counts.items() if not key.startswith("loop_lag")}


def published_by_stage(finished: Finished) -> dict[str, int]:
    found: dict[str, int] = {}
    for snapshot in finished.run.snapshots():
        found[snapshot.stage] = found.get(snapshot.stage, 0) + snapshot.count("published")
    return found
