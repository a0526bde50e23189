"""Independent witnesses beside a run: what loadgen says it sent is what other people's clients received."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.broker.management import Management
from loadgen.broker.provision import provision
from loadgen.engine.loop import run_on_fast_loop
from loadgen.plan.payload import decode
from tests.truth.bench import Bench
from tests.truth.test_ledger import classes
from tests.truth.witnesses import MosquittoSub, Paho
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster
    from tests.truth.bench import Finished
    from tests.truth.witnesses import Seen

SENSORS, MONITORS = 6, 3
PUBLISHERS = 2 * SENSORS
"""Each sensor has a stream at QoS 1 and one at QoS 0."""
WITNESSES = ("witness-paho", "witness-mosquitto", "witness-publisher")
SIZE = 100
GROUPS: dict[str, Any] = {
    "sensors": {
        "clients": SENSORS,
        "publish": [
            {"topic": "witness/{index}/one", "qos": 1, "rate": "12/s", "payload": f"{SIZE}B"},
            {
                "topic": "witness/{index}/zero",
                "qos": 0,
                "rate": "8/s",
                "payload": f"{SIZE}B",
                "arrival": "poisson",
            },
        ],
    },
    "monitors": {"clients": MONITORS, "subscribe": {"filter": "witness/+/+", "qos": 1}},
}
STAGES: list[dict[str, Any]] = [
    {"name": "connect", "connect": "100/s"},
    {"name": "ramp", "hold": "1s", "load": "10%..100%", "record": False},
    {"name": "steady", "hold": "1500ms"},
    {"name": "drain", "drain": "5s"},
]


@dataclass(frozen=True)
class Site:
    """A broker to run against, and the folder to run in."""

    bench: Bench
    uris: list[str]
    target: dict[str, Any]

    @property
    def scenario(self) -> Path:
        return self.bench.scenario(self.uris, GROUPS, STAGES, target=self.target)

    def address(self, node: int = 0) -> tuple[str, int]:
        place = urlsplit(self.uris[node % len(self.uris)])
        assert place.hostname
        assert place.port
        return place.hostname, place.port

    def paho(self, name: str, topic_filter: str | None = None, node: int = 0) -> Paho:
        ca, who = self.bench.authority.certificate, self.bench.identity(name)
        return Paho(self.address(node), ca, who, topic_filter)

    def mosquitto(self, name: str, topic_filter: str, node: int = 0) -> MosquittoSub:
        ca, who = self.bench.authority.certificate, self.bench.identity(name)
        return MosquittoSub(self.address(node), ca, who, topic_filter)


@contextlib.contextmanager
def on_embedded(bench: Bench) -> Iterator[Site]:
    with EmbeddedBroker.with_authority(bench.certs) as broker:
        yield Site(bench, [broker.uri], {})


@contextlib.contextmanager
def on_cluster(cluster: LocalCluster, folder: Path) -> Iterator[Site]:
    target = yaml.safe_load((cluster.directory / "target.yaml").read_text(encoding="utf-8"))
    names = [*WITNESSES, *(f"truth{index:03d}" for index in range(SENSORS))]

    async def add_users() -> None:
        settings = target["management"]
        password = cluster.password_file.read_text(encoding="utf-8").strip()
        async with Management(settings["uris"], settings["username"], password) as management:
            await provision(management, names)

    asyncio.run(add_users())
    yield Site(Bench(folder, cluster.certs), target["uris"], target)


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def site(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Site]:
    if request.param == "embedded":
        context = on_embedded(bench)
    else:
        context = on_cluster(request.getfixturevalue("rabbitmq_cluster"), bench.folder)
    with context as made:
        yield made


def check(finished: Finished, seen: list[Seen]) -> None:
    """A witness saw every published message once, whole, under its topic, and none that was not published."""
    by_publisher: dict[int, list[int]] = defaultdict(list)
    runs = set()
    for message in seen:
        header = decode(message.payload)
        assert header is not None, message
        run, publisher, sequence, intended = header
        runs.add(run)
        by_publisher[publisher].append(sequence)
        kind = "one" if publisher % 2 == 0 else "zero"
        assert message.topic == f"witness/{publisher // 2}/{kind}"
        assert len(message.payload) == SIZE
        assert finished.stage_start("ramp") <= intended < finished.stage_start("drain")
    assert len(runs) == 1
    assert set(by_publisher) == set(range(PUBLISHERS))
    for publisher, sequences in by_publisher.items():
        # From 0 without a gap and in order: so the last number tells how many there were.
        assert sequences == list(range(len(sequences))), publisher
    ledger, totals = finished.ledger, finished.result["totals"]
    assert len(seen) == totals["published"]
    assert len(seen) * MONITORS == totals["expected_deliveries"] == ledger["ok"]
    at_qos_1 = sum(len(sequences) for publisher, sequences in by_publisher.items() if publisher % 2 == 0)
    assert at_qos_1 == totals["acknowledged"]


def test_paho_receives_exactly_what_the_ledger_says_was_published(site: Site) -> None:
    async def main() -> tuple[Finished, list[Seen]]:
        async with site.paho(WITNESSES[0], "witness/#", node=1) as witness:
            finished = await site.bench.run(site.scenario)
            witness.finish("witness/0/one")
            await witness.ended()
            return finished, witness.seen

    finished, seen = run_on_fast_loop(main())
    assert finished.code == 0, finished.result["reasons"]
    assert classes(finished) == {"ok": finished.ledger["expected"]}
    check(finished, seen)


def test_mosquitto_sub_receives_exactly_what_the_ledger_says_was_published(site: Site) -> None:
    if shutil.which("mosquitto_sub") is None:
        unavailable(
            "there is no mosquitto_sub (Debian: apt install mosquitto-clients)", "LOADGEN_REQUIRE_MOSQUITTO"
        )

    async def main() -> tuple[Finished, list[Seen]]:
        async with (
            site.paho(WITNESSES[2]) as other,
            site.mosquitto(WITNESSES[1], "witness/#", node=2) as witness,
        ):
            finished = await site.bench.run(site.scenario, workers=2)
            other.finish("witness/0/one")
            await witness.ended()
            return finished, witness.seen

    finished, seen = run_on_fast_loop(main())
    assert finished.code == 0, finished.result["reasons"]
    check(finished, seen)


def test_what_paho_publishes_is_unexpected_and_not_lost(site: Site) -> None:
    async def main() -> tuple[Finished, list[Seen]]:
        async with (
            site.paho(WITNESSES[2]) as other,
            site.paho(WITNESSES[0], "witness/#", node=1) as witness,
        ):

            def interfere() -> None:
                for number in range(7):
                    other.publish("witness/0/one", b"from elsewhere %d" % number, qos=1)
                for number in range(3):
                    other.publish("witness/0/zero", b"LGv1 looks like ours %d" % number, qos=0)

            witness.on_first = interfere
            finished = await site.bench.run(site.scenario)
            other.finish("witness/0/one")
            await witness.ended()
            return finished, witness.seen

    finished, seen = run_on_fast_loop(main())
    strangers = [message for message in seen if decode(message.payload) is None]
    assert len(strangers) == 10
    assert classes(finished) == {"ok": finished.ledger["expected"], "unexpected": 10 * MONITORS}
    totals = finished.result["totals"]
    assert totals["received"] == totals["delivered"] + 10 * MONITORS
    assert finished.code == 0, finished.result["reasons"]
    check(finished, [message for message in seen if message not in strangers])
