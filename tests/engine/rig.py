"""A fleet on the bench: planned from a scenario, against fake brokers on loopback, its reports in reach."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import yaml

from loadgen.engine.fleet import Fleet
from loadgen.metrics.outage import OutageBook
from loadgen.metrics.packed import pack_snapshot
from loadgen.metrics.tally import Sums
from loadgen.plan.plan import make_plan
from loadgen.scenario.load import load_scenario
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from loadgen.engine.client import Client
    from loadgen.engine.phase import Phase
    from loadgen.identity.authority import Authority
    from loadgen.identity.identity import Identity
    from loadgen.metrics.histogram import Histogram
    from loadgen.metrics.outage import OutageWire
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.plan.plan import Plan, Shard

RUN_ID = 77
PATIENCE = 20.0
"""Seconds a test waits for what must come: long, as machines are shared."""

PUBLISH: dict[str, Any] = {"topic": "t/{index}", "qos": 1, "rate": "100/s", "payload": "64B"}
SUBSCRIBE: dict[str, Any] = {"filter": "t/+", "qos": 1}
QUICK: dict[str, Any] = {"backoff": "10ms..50ms"}


async def until(true: Callable[[], bool], what: str = "") -> None:
    """Come back when something holds; looked at again and again, as nothing tells of all that changes it."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.003)
    except TimeoutError:
        raise AssertionError(f"did not come true in {PATIENCE:.0f}s: {what or true}") from None


class Rig:
    """One fleet, begun; what it reports is added up."""

    def __init__(self, shard: Shard) -> None:
        self.snapshots: list[Snapshot] = []
        self._events: list[dict[str, Any]] = []
        self.book = OutageBook()
        self.fleet = Fleet(shard, RUN_ID, 1, self._report)
        self.clients: list[Client] = self.fleet.clients

    def _report(
        self, snapshot: Snapshot, events: list[dict[str, Any]], _dropped: int, outages: list[OutageWire]
    ) -> None:
        self.snapshots.append(snapshot)
        self._events += events
        self.book.add(outages)

    async def begin(self) -> None:
        await self.fleet.prepare()
        self.fleet.begin(monotonic_ns())

    def start_connect(self, rate: float = 1000.0, at: int | None = None) -> None:
        groups = tuple(self.fleet.shard.groups)
        self.fleet.start_stage("connect", "connect", at or monotonic_ns(), connect_rate=rate, groups=groups)

    async def connect(self) -> None:
        """Connect all, and come back when each is ready or has failed."""
        self.start_connect()
        await until(lambda: not self.fleet.progress()["pending"], "every client ready or failed")

    async def hold(self, name: str, *, record: bool = True, drain: bool = True) -> None:
        """Run a hold stage to its end, and then (with `drain`) until nothing is on its way."""
        at = monotonic_ns()
        self.fleet.start_stage(name, "hold", at, record=record)
        if drain:
            end = at + self.fleet.shard.segments[name].duration
            self.fleet.start_stage("drain", "drain", end)
            await self.settled()

    async def settled(self) -> None:
        def quiet() -> bool:
            now = self.fleet.progress()
            return self.fleet.stage == "drain" and not now["inflight"] and not now["backlog"]

        await until(quiet, "drained")

    def phases(self) -> list[Phase]:
        return [client.phase for client in self.clients]

    @property
    def events(self) -> list[dict[str, Any]]:
        return self._events + self.fleet.context.events

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    def sums(self, stage: str | None = None) -> Snapshot:
        """What was reported so far, or in one stage."""
        sums = Sums()
        for snapshot in self.snapshots:
            if stage in {None, snapshot.stage}:
                sums.add(pack_snapshot(snapshot))
        return sums.snapshot()

    def count(self, name: str, stage: str | None = None) -> int:
        return self.sums(stage).count(name)

    def codes(self, family: str) -> dict[str, int]:
        return self.sums().codes(family)

    def histogram(self, metric: str) -> Histogram:
        return self.sums().select(metric)

    def sent(self) -> list[int]:
        return [stream.log.sent for client in self.clients for stream in client.streams]


class Rigs:
    """Makes brokers and fleets that trust each other."""

    def __init__(
        self,
        path: Path,
        authority: Authority,
        server_tls: ssl.SSLContext,
        identities: Sequence[Identity],
    ) -> None:
        self.path = path
        self.authority = authority
        self.server_tls = server_tls
        self.identities = identities

    def broker(self, **options: Any) -> FakeBroker:  # noqa: ANN401 - those of FakeBroker
        return FakeBroker(ssl=self.server_tls, **options)

    def plan(
        self,
        ports: int | list[int],
        groups: dict[str, dict[str, Any]],
        holds: dict[str, str | dict[str, Any]] | None = None,
        *,
        identities: Sequence[Identity] | None = None,
        **target: Any,  # noqa: ANN401 - YAML
    ) -> Plan:
        """Plan groups on brokers at these ports; `holds` are stages by name, with length or settings."""
        stages: list[dict[str, Any]] = [{"name": "connect", "connect": "1000/s"}]
        for name, hold in (holds or {"steady": "300ms"}).items():
            stages.append({"name": name, **({"hold": hold} if isinstance(hold, str) else hold)})
        document = {
            "name": "bench",
            "target": {
                "uris": [
                    f"mqtts://127.0.0.1:{port}" for port in ([ports] if isinstance(ports, int) else ports)
                ],
                "tls": {"ca": str(self.authority.certificate)},
                **target,
            },
            "identities": {"devices": {"directory": {"path": str(self.path.parent)}}},
            "groups": {
                name: {"clients": 1, "identity": "devices", "client_id": f"{name}-{{index}}", **group}
                for name, group in groups.items()
            },
            "stages": stages,
        }
        self.path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return make_plan(load_scenario(self.path), {"devices": identities or self.identities})

    @contextlib.asynccontextmanager
    async def rig(self, plan: Plan, shard: tuple[int, int] = (0, 1)) -> AsyncIterator[Rig]:
        """A fleet that has begun; stopped in any case."""
        rig = Rig(plan.shard(*shard))
        await rig.begin()
        try:
            yield rig
        finally:
            await rig.fleet.stop()
