"""Every scenario that ships with loadgen runs and passes, on the target it is made for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.store import open_run
from tests.shipped import SCENARIOS, SHORT_SMOKE, run_shipped
from tests.truth.failover import SHORT as FAILOVER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RabbitFactory

AUTH_MATRIX = "auth-matrix.yaml"  # run by tests/broker/test_auth_rabbitmq.py
RUN_HERE = {
    "quickstart.yaml",
    "certificate-life.yaml",
    "rabbitmq-smoke.yaml",
    "fleet-telemetry.yaml",
    "bench-rabbitmq.yaml",
    AUTH_MATRIX,
    "fleet-50k.yaml",
    "soak.yaml",
}
RUN_THERE = set(FAILOVER)
"""By `tests/truth/test_failover_rabbitmq.py`."""

SHORT_FLEET = (
    *("--set", "stages.connect.connect=250/s"),
    *("--set", "stages.warm-up.hold=1s"),
    *("--set", "stages.steady.hold=4s"),
    *("--set", "stages.spike.hold=2s"),
)


def test_every_shipped_scenario_is_run_by_a_test() -> None:
    assert {file.name for file in SCENARIOS.glob("*.yaml")} == RUN_HERE | RUN_THERE


def nothing_missing(result: dict[str, Any], clients: int, viewed: int | None = None) -> None:
    totals, ledger, view = result["totals"], result["ledger"], result["broker"]["view"]
    assert result["verdict"] == "pass"
    assert totals["connected"] == totals["clients"] == clients
    assert totals["published"] > 0
    assert totals["delivered"] == totals["expected_deliveries"] > 0
    assert ledger["lost"] == ledger["unexpected"] == ledger["duplicate"] == 0
    viewed = clients if viewed is None else viewed
    assert (view["checked"], view["ok"], view["mismatches"]) == (viewed, viewed, [])


def test_quickstart_on_the_embedded_broker(tmp_path: Path) -> None:
    short = ("--set", "stages.steady.hold=3s", "--set", "stages.warm-up.hold=1s")
    result = run_shipped(tmp_path, "quickstart.yaml", *short, report=True)
    nothing_missing(result, 100)
    assert result["totals"]["published"] == result["totals"]["delivered"]
    assert result["broker"]["kind"] == "embedded"


def test_certificate_life_on_the_embedded_broker(tmp_path: Path) -> None:
    result = run_shipped(tmp_path, "certificate-life.yaml")
    nothing_missing(result, 40)
    rows = {(row["kind"], row["expect"]): row for row in result["certificate_steps"]}
    assert rows["reconnect", "refused"]["refused"] == rows["renew", "accepted"]["reconnected"] == 40
    assert (rows["expire", None]["connected"], rows["expire", None]["lost"]) == (40, 0)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("release", ["4.3", "4.0"])
def test_smoke_on_three_real_nodes(release: str, rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    cluster = rabbitmq_factory(release)
    often = ("--set", "target.management.sample_every=1s")
    result = run_shipped(
        tmp_path, "rabbitmq-smoke.yaml", *SHORT_SMOKE, *often, target=cluster.target_file, certs=cluster.certs
    )
    nothing_missing(result, 300)
    # The brokers' own count of connections agrees with ours; a node's, where it adds up.
    samples = open_run(tmp_path / "runs/latest").broker_samples()
    assert all(sample.answered for sample in samples)
    full = [sample for sample in samples if sample.connections == 300]
    assert full
    for counts in ([node.connections for node in sample.nodes] for sample in full):
        assert counts == [None] * 3 or all(97 <= (count or 0) <= 103 for count in counts), counts
    assert result["broker"]["version"].startswith(release)
    assert sorted(result["broker"]["view"]["by_node"].values()) == [100, 100, 100]


@pytest.mark.rabbitmq
def test_fleet_telemetry_on_three_real_nodes(rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    cluster = rabbitmq_factory("4.3")
    result = run_shipped(
        tmp_path, "fleet-telemetry.yaml", *SHORT_FLEET, target=cluster.target_file, certs=cluster.certs
    )
    nothing_missing(result, 2012)
    assert len(result["broker"]["view"]["by_node"]) == 3


@pytest.mark.rabbitmq
def test_bench_setting_on_three_real_nodes(rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    cluster = rabbitmq_factory("4.3")
    result = run_shipped(
        tmp_path,
        "bench-rabbitmq.yaml",
        *("--set", "stages.steady.hold=3s", "--set", "stages.warm-up.hold=1s"),
        workers=1,
        target=cluster.target_file,
        certs=cluster.certs,
    )
    nothing_missing(result, 104)
    assert result["totals"]["published"] == result["totals"]["delivered"] == 4 * 2_000


@pytest.mark.rabbitmq
def test_the_big_fleet_in_small_on_three_real_nodes(rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    cluster = rabbitmq_factory("4.3")
    result = run_shipped(
        tmp_path,
        "fleet-50k.yaml",
        *("--set", "groups.devices.clients=600", "--set", "identities.devices.issue.count=600"),
        *("--set", "groups.devices.publish.0.rate=6/m", "--set", "stages.traffic.hold=10s"),
        *("--set", "stages.connect.connect=200/s"),
        workers=3,
        target=cluster.target_file,
        certs=cluster.certs,
    )
    nothing_missing(result, 606)
    assert result["totals"]["published"] >= 600, "every device reports once in ten seconds"
    assert sorted(result["broker"]["view"]["by_node"].values()) == [202, 202, 202]


@pytest.mark.rabbitmq
def test_the_soak_in_seconds_on_three_real_nodes(rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    """Slopes of seconds are all noise, so the limits are wide; they are judged all the same."""
    cluster = rabbitmq_factory("4.3")
    wide = dict.fromkeys(("publish_latency_p99", "delivery_latency_p99"), "1000000%/h")
    wide |= {"broker_memory": "1000GB/h", "generator_memory": "1000GB/h"}
    wide |= {"queue_depth": "100000000/h", "connected_clients": "1000%/s"}
    result = run_shipped(
        tmp_path,
        "soak.yaml",
        *("--set", "stages.connect.connect=250/s", "--set", "stages.warm-up.hold=1s"),
        *("--set", "stages.steady.hold=26s", "--set", "drift.ignore_first=2s"),
        *("--set", "groups.devices.publish.rate=1/s", "--set", "groups.roamers.lifetime=20s"),
        *("--set", "groups.roamers.pause=1s", "--set", "target.management.sample_every=1s"),
        *("--set", f"drift.limits={json.dumps(wide)}"),
        target=cluster.target_file,
        certs=cluster.certs,
    )
    nothing_missing(result, 512, viewed=462)
    rows = {row["metric"]: row for row in result["drift"]}
    assert set(rows) == set(wide)
    assert {row["verdict"] for row in rows.values()} == {"pass"}
    assert rows["broker_memory"]["level"] > 150_000_000
