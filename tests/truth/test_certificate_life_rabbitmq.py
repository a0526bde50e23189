"""Certificates renewed, expired and under a new CA while clients run, on real RabbitMQ nodes, in one run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.broker.management import Management
from loadgen.broker.provision import provision
from loadgen.report import text
from tests.truth.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster
    from tests.truth.bench import Finished

pytestmark = pytest.mark.rabbitmq

KEPT = {"clean_start": False, "expiry": "10m"}
CLIENTS = 6
ALL = 2 * CLIENTS
STEPS: list[dict[str, Any]] = [
    {"at": "steady+1s", "renew": "devices", "spread": "1s"},
    {"at": "steady+11s", "renew": "devices", "spread": "500ms", "valid_for": "2s"},
    {"at": "steady+15s", "reconnect": "devices", "spread": "500ms", "expect": "refused"},
    {"at": "steady+17s", "renew": "devices", "spread": "500ms"},
    {"at": "steady+18s", "rotate_ca": "devices", "spread": "1s"},
    {"at": "steady+32s", "reconnect": "devices", "spread": "500ms"},
]


@pytest.fixture(scope="module")
def finished(rabbitmq_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run with every kind of step, on three nodes and two workers."""
    bench = Bench(tmp_path_factory.mktemp("life"), rabbitmq_cluster.certs)
    target = yaml.safe_load(rabbitmq_cluster.target_file.read_text(encoding="utf-8"))
    target["control"] = {"local": str(rabbitmq_cluster.directory)}

    async def add_users() -> None:
        settings = target["management"]
        password = rabbitmq_cluster.password_file.read_text(encoding="utf-8").strip()
        async with Management(settings["uris"], settings["username"], password) as management:
            await provision(management, [f"truth{index:03d}" for index in range(CLIENTS)])

    asyncio.run(add_users())
    groups = {
        "pub": {
            "clients": CLIENTS,
            "session": KEPT,
            # Repeated, so that the API cannot tell, and the nodes' own tool is asked.
            "user_properties": [["serial", "{serial}"], ["site", "Ü"], ["site", "{index}"], ["a", "z"]],
            "reconnect": {"backoff": "200ms..500ms"},
            "publish": {"topic": "life/{index}", "qos": 1, "rate": "10/s", "payload": "64B"},
        },
        "sub": {
            "clients": CLIENTS,
            "session": KEPT,
            "reconnect": {"backoff": "200ms..500ms"},
            "subscribe": {"filter": "life/{index}", "qos": 1},
        },
    }
    stages = [
        {"name": "connect", "connect": "50/s"},
        {"name": "steady", "hold": "34s"},
        {"name": "drain", "drain": "10s"},
    ]
    scenario = bench.scenario(target["uris"], groups, stages, target=target, certificates=STEPS)
    before = _files(rabbitmq_cluster)
    done = asyncio.run(bench.command(scenario, "--workers", "2"))
    assert _files(rabbitmq_cluster) == before, "the nodes' files are as they were"
    assert not list(rabbitmq_cluster.certs.glob(".renewed-*")), "keys of the run are gone"
    return done


def _files(cluster: LocalCluster) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in cluster.ca.parent.iterdir() if path.suffix == ".pem"}


def rows(finished: Finished, kind: str) -> list[dict[str, Any]]:
    return [row for row in finished.result["certificate_steps"] if row["kind"] == kind]


def test_nothing_is_lost_and_every_step_is_as_expected(finished: Finished) -> None:
    assert finished.code == 0, finished.result["reasons"]
    kinds = [row["kind"] for row in finished.result["certificate_steps"]]
    assert kinds == ["renew", "renew", "expire", "reconnect", "renew", "rotate_ca", "reconnect"]
    ledger = finished.ledger
    assert ledger["lost"] == ledger["indeterminate"] == ledger["unexpected"] == 0
    assert ledger["ok"] + ledger["duplicate"] + ledger["recovered"] == ledger["expected"] == CLIENTS * 340
    view = finished.result["broker"]["view"]
    assert (view["checked"], view["ok"]) == (ALL, ALL), "user properties in their order among all else"


def test_clients_come_back_with_the_new_certificate_and_the_broker_sees_it(finished: Finished) -> None:
    renewed = rows(finished, "renew")[0]
    assert (renewed["clients"], renewed["awaited"], renewed["reconnected"]) == (ALL, ALL, ALL)
    assert renewed["reconnect"]["count"] == ALL
    assert renewed["sessions_present"] == CLIENTS, (
        "RabbitMQ keeps nothing of a client that subscribes to nothing"
    )
    assert renewed["refused"] == 0
    assert renewed["reconnect"]["p99"] < 5
    assert renewed["at"] <= renewed["last_back_at"] <= renewed["completed_at"]
    # Its serial number or dates, subject and user properties, as the management API lists them.
    assert (renewed["view"]["checked"], renewed["view"]["ok"]) == (ALL, ALL)


def test_an_expired_certificate_keeps_its_connection_and_is_refused_the_next(finished: Finished) -> None:
    (expired,) = rows(finished, "expire")
    assert (expired["clients"], expired["connected"], expired["lost"]) == (ALL, ALL, 0)
    refused, _ = rows(finished, "reconnect")
    assert expired["at"] < refused["at"]
    assert (refused["awaited"], refused["refused"], refused["reconnected"]) == (ALL, ALL, 0)
    assert set(refused["failures"]) == {"tls:sslv3_alert_certificate_expired"}
    mended = rows(finished, "renew")[2]
    assert (mended["awaited"], mended["reconnected"]) == (ALL, ALL)


def test_a_ca_is_rotated_under_load(finished: Finished) -> None:
    (rotated,) = rows(finished, "rotate_ca")
    assert rotated["outcome"] == "done", rotated["trouble"]
    assert [phase["name"] for phase in rotated["phases"]] == [
        "trust both CAs",
        "clients get certificates of the new CA",
        "brokers show certificates of the new CA",
        "trust the new CA alone",
    ]
    assert (rotated["awaited"], rotated["reconnected"], rotated["refused"]) == (ALL, ALL, 0)
    # And all come in when the old CA is trusted no more, by neither side.
    again = rows(finished, "reconnect")[1]
    assert again["at"] > rotated["completed_at"]
    assert (again["reconnected"], again["refused"], again["sessions_present"]) == (ALL, 0, CLIENTS)
    assert (again["view"]["checked"], again["view"]["ok"]) == (ALL, ALL)


def test_the_summary_tells_of_the_steps(finished: Finished) -> None:
    shown = text.render(finished.result)
    assert "CERTIFICATE STEPS" in shown
    assert "tls:sslv3_alert_certificate_expired" in shown
