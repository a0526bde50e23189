"""Options, wills, retained messages and clients that come and go, on real RabbitMQ nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.broker.management import Management
from loadgen.broker.provision import Permissions, provision
from loadgen.coordination.coordinator import Observer
from loadgen.engine.loop import run_on_fast_loop
from tests.truth.bench import Bench

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster
    from loadgen.coordination.coordinator import Coordinator
    from loadgen.metrics.snapshot import Snapshot
    from tests.truth.bench import Finished

pytestmark = pytest.mark.rabbitmq

CLIENTS = 4
STAGES = [
    {"name": "connect", "connect": "50/s"},
    {"name": "steady", "hold": "3s"},
    {"name": "drain", "drain": "10s"},
]
KEPT = {"clean_start": False, "expiry": "60s"}


class Place:
    """A cluster whose users may have delayed wills."""

    def __init__(self, cluster: LocalCluster, bench: Bench) -> None:
        self.cluster = cluster
        self.bench = Bench(bench.folder, cluster.certs)
        self.target = yaml.safe_load(cluster.target_file.read_text(encoding="utf-8"))
        asyncio.run(self._add_users())

    async def _add_users(self) -> None:
        settings = self.target["management"]
        password = self.cluster.password_file.read_text(encoding="utf-8").strip()
        names = [f"truth{index:03d}" for index in range(CLIENTS)]
        async with Management(settings["uris"], settings["username"], password) as management:
            await provision(management, names, permissions=Permissions.with_delayed_wills())

    def run(self, groups: dict[str, Any], observer: Observer | None = None, *, nodes: int = 3) -> Finished:
        target = {**self.target, "uris": self.target["uris"][:nodes]}
        scenario = self.bench.scenario(target["uris"], groups, STAGES, target=target)
        return run_on_fast_loop(self.bench.run(scenario, observer=observer))


@pytest.fixture
def place(rabbitmq_cluster: LocalCluster, bench: Bench) -> Place:
    return Place(rabbitmq_cluster, bench)


def test_every_option_at_once_and_what_was_retained_the_second_time(place: Place) -> None:
    publish = {
        "topic": "breadth/options/{lane}",
        "lanes": {"count": 20, "choose": "random"},  # more than RabbitMQ's 16 aliases
        "qos": 1,
        "rate": "20/s",
        "payload": {"template": "I am {client_id}"},
        "topic_alias": True,
        "retain": True,
        "message_expiry": "60s",
        "content_type": "text/plain",
        "user_properties": {"site": "north"},
    }
    # RabbitMQ gives retained messages to filters without wildcards only.
    lanes = [
        {"filter": f"breadth/options/{n}", "qos": 1, "subscription_identifier": n + 1} for n in range(20)
    ]
    groups = {
        "pub": {"clients": CLIENTS, "publish": publish},
        "sub": {"clients": 1, "subscribe": lanes},
        "chat": {
            "clients": 2,
            "publish": {"topic": "breadth/chat/{index}", "qos": 1, "rate": "10/s"},
            "subscribe": {"filter": "breadth/chat/+", "qos": 1, "no_local": True},
        },
    }
    for again in (False, True):
        # RabbitMQ keeps a retained message on the node that its publisher is connected to, and nowhere else.
        finished = place.run(groups, nodes=1)
        assert finished.code == 0, finished.result["reasons"]
        ledger = finished.ledger
        assert ledger["ok"] == ledger["expected"] == 3 * (CLIENTS * 20 + 2 * 10)
        assert ledger["unexpected"] == 0
        assert finished.result["totals"]["retained_received"] == (20 if again else 0)


def test_clients_that_come_and_go(place: Place) -> None:
    publish = {"topic": "breadth/churn/{index}", "qos": 1, "rate": "20/s"}
    subscribe = {"filter": "breadth/churn/+", "qos": 1}
    goes = {"clients": 2, "subscribe": subscribe, "lifetime": "1s", "pause": "300ms"}
    finished = place.run(
        {
            "pub": {"clients": CLIENTS, "publish": publish},
            "kept": {**goes, "session": KEPT},
            "new": goes,
            "stays": {"clients": 1, "subscribe": subscribe},
        }
    )
    assert finished.code == 0, finished.result["reasons"]
    ledger, totals = finished.ledger, finished.result["totals"]
    # The first of two leaves after 0.5 s and again 1.3 s later, the second after 1 s and 2.3 s.
    assert totals["planned_disconnects"] == 8
    assert finished.result["codes"]["disconnect"] == {}
    assert ledger["lost"] == ledger["unexpected"] == 0
    assert ledger["session_gap"] > 2 * 2 * 20
    sent = totals["published"]
    assert ledger["expected"] == 5 * sent
    # RabbitMQ answers 0x83 when one subscriber's queue goes away under a message: nothing is promised then.
    codes = finished.result["codes"]["puback"]
    assert set(codes) <= {"0x83"}
    unpromised = ledger["recovered"] + ledger["indeterminate"] - ledger["session_gap"]
    assert unpromised == 5 * codes.get("0x83", 0)
    assert ledger["ok"] + ledger["duplicate"] + ledger["session_gap"] + unpromised == 5 * sent
    assert ledger["session_gap"] < 2 * sent, "only those of new sessions"


def test_wills_of_clients_that_the_broker_cut_off(place: Place) -> None:
    def cut(_second: Snapshot, coordinator: Coordinator) -> None:
        if coordinator.clock.name == "steady" and not cuts:
            node = place.cluster.status()[0].name
            cuts.append(asyncio.get_running_loop().run_in_executor(None, close_all, node))

    def close_all(node: str) -> str:
        return place.cluster.rabbitmqctl(node, "close_all_connections", "cut")

    cuts: list[asyncio.Future[str]] = []
    will = {"topic": "breadth/gone/{client_id}", "qos": 1, "payload": {"template": "{client_id}"}}
    finished = place.run(
        {
            "at-once": {"clients": CLIENTS, "will": will, "reconnect": {"enabled": False}},
            "delayed": {
                "clients": 2,
                "will": will | {"delay": "1s"},
                "session": {"expiry": "60s"},
                "reconnect": {"enabled": False},
            },
            "sub": {"clients": 1, "subscribe": {"filter": "breadth/gone/+", "qos": 1}, "session": KEPT},
        },
        Observer(on_second=cut),
    )
    assert sum(finished.result["codes"]["disconnect"].values()) == CLIENTS + 2 + 1
    assert finished.result["totals"]["wills_received"] == CLIENTS + 2
    assert finished.ledger["unexpected"] == 0


def test_a_megabyte_goes_and_more_than_the_broker_takes_does_not(place: Place) -> None:
    publish = [
        {"topic": "breadth/large", "qos": 1, "rate": "1/s", "payload": "1MB"},
        {"topic": "breadth/larger", "qos": 1, "rate": "1/s", "payload": "17MB"},
    ]
    finished = place.run(
        {
            "pub": {"clients": 1, "publish": publish},
            "sub": {"clients": 1, "subscribe": {"filter": "breadth/+", "qos": 1}},
        }
    )
    assert finished.ledger["ok"] == 3
    assert finished.result["codes"]["publish_refusals"] == {"packet-too-large": 3}
    assert finished.result["verdict"] == "invalid"
    assert any("packet-too-large x3" in reason for reason in finished.result["reasons"])
