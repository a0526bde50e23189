"""Certificate steps: who comes back with another certificate, who is refused, who takes it later."""

from __future__ import annotations

import ssl
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.engine.phase import Phase
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.plan.certificate_changes import CertificateChange
from tests.engine.rig import PUBLISH, QUICK, SUBSCRIBE, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.identity.identity import Identity
    from loadgen.metrics.certificate_step import StepTally
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs
    from tests.fakes.tcp_broker import FakeBroker

KEPT: dict[str, Any] = {"clean_start": False, "expiry": "1h"}
MS = 1_000_000


def renewed(rigs: Rigs, path: Path, clients: int) -> list[Identity]:
    """The same names, from the same CA, other serial numbers."""
    return Authority(path / "renewed", rigs.authority.cas).issue_clients(
        [ClientRequest(f"dev{number:02d}") for number in range(clients)]
    )


def begin(
    rig: Rig, identities: Sequence[Identity | None], *, every: int = 0, reconnect: bool = True
) -> StepTally:
    """Begin a step now, for as many clients as there are identities, a turn `every` ns."""
    now = monotonic_ns()
    step = len(rig.fleet.certificates.tallies)
    changes = [
        CertificateChange(
            number,
            now + number * every,
            each,
            None if each is None else (("serial", each.serial), ("serial", "again")),
        )
        for number, each in enumerate(identities)
    ]
    rig.fleet.certificates.begin(step, changes, reconnect=reconnect)
    return rig.fleet.certificates.tallies[step]


def connects(broker: FakeBroker, wanted: int) -> bool:
    return len(broker.connects) == wanted


def serials(broker: FakeBroker) -> list[str]:
    return [str(each["serialNumber"]) for each in broker.certificates]


def test_clients_come_back_with_the_new_certificate_and_lose_nothing(
    rigs: Rigs, run: Run, tmp_path: Path
) -> None:
    new = renewed(rigs, tmp_path, 4)

    async def scenario() -> None:
        async with rigs.broker() as broker:
            both = {"clients": 4, "publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT}
            plan = rigs.plan(broker.port, {"g": both}, {"steady": "900ms"})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                start = monotonic_ns()
                rig.fleet.start_stage("steady", "hold", start)
                tally = begin(rig, new, every=50 * MS)
                assert rig.fleet.certificates.returning() == {0: 4}
                await until(lambda: not tally.to_come, "all are back")
                assert rig.fleet.certificates.returning() == {0: 0}
                left = [(each["ns"] - start) / MS for each in rig.of("left")]
                assert all(n * 50 <= at + 1 for n, at in enumerate(left)), left
                rig.fleet.start_stage("drain", "drain", start + 900 * MS)
                await rig.settled()
                await until(lambda: rig.fleet.context.counts.unique == 4 * 4 * 90, "everything arrived")
            assert serials(broker)[4:] == [each.serial for each in new]
            assert not set(serials(broker)[:4]) & {each.serial for each in new}
            carried = [each.user_properties for each in broker.connects[4:]]
            assert carried == [[("serial", each.serial), ("serial", "again")] for each in new]
            assert len(broker.subscribes) == 4, "the sessions were there"
            assert all(each.session_expiry_interval is None for each in broker.disconnects[:4])
        assert (tally.clients, tally.connected, tally.reconnected, tally.resumed) == (4, 4, 4, 4)
        assert (tally.refused, tally.failures, tally.lost) == (0, {}, 0)
        assert len(tally.times) == 4
        assert rig.count("planned_disconnects") == rig.histogram("planned_reconnect_time").count == 4
        assert rig.histogram("connect_time").count == 4
        for name in ("disconnects", "connect_failures", "reconnects", "sessions_lost", "skipped", "dropped"):
            assert rig.count(name) == 0, name
        assert rig.sent() == [90] * 4

    run(scenario())


def test_what_is_refused_is_counted_by_cause_until_it_gets_in(rigs: Rigs, run: Run) -> None:
    def refuse_twice(number: int, _packet: object) -> int:
        return 0x86 if number in (1, 2) else 0

    async def scenario() -> None:
        async with rigs.broker(refuse=refuse_twice) as broker:
            async with rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig:
                await rig.connect()
                tally = begin(rig, [None])
                await until(lambda: not tally.to_come, "back at last")
            assert len(set(serials(broker))) == 1, "the certificate it had"
        assert (tally.reconnected, tally.refused, tally.failures) == (1, 1, {"refused:0x86": 2})
        assert tally.times[0] >= 10 * MS, "with the waiting between the attempts"

    run(scenario())


def test_who_is_refused_to_the_last_attempt_is_not_waited_for(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    expired = Authority(tmp_path, rigs.authority.cas).issue_clients([ClientRequest("dev00", valid_for_s=-10)])

    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": {**QUICK, "max_attempts": 2}}})) as rig,
        ):
            await rig.connect()
            tally = begin(rig, expired)
            await until(lambda: rig.phases() == [Phase.FAILED], "gave up")
        assert (tally.reconnected, tally.refused, tally.to_come) == (0, 1, 0)
        # Which alert ends TLS is for a real broker to say: the fake one's closes before it is sent.
        assert sum(tally.failures.values()) == 2

    run(scenario())


def test_who_shows_the_old_one_when_its_turn_comes_leaves_again(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    new = renewed(rigs, tmp_path, 1)

    async def scenario() -> None:
        async with (
            rigs.broker(connack_delay_s=0.1) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {}})) as rig,
        ):
            rig.start_connect()
            await until(lambda: rig.phases() == [Phase.MQTT], "waits for CONNACK")
            tally = begin(rig, new)
            await until(lambda: not tally.to_come, "back")
            assert serials(broker)[1:] == [new[0].serial]
        assert (tally.connected, tally.reconnected) == (1, 1)

    run(scenario())


def test_who_is_away_comes_back_with_it(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    """Not connected yet, waiting after a loss, away as planned, and told to keep the connection."""
    new = renewed(rigs, tmp_path, 2)

    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"clients": 2, "reconnect": {"backoff": "300ms..300ms"}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                idle = begin(rig, [None, None])
                await until(lambda: idle.clients == 2, "each had its turn")
                assert (idle.clients, idle.connected, idle.to_come) == (2, 0, 0)
                await rig.connect()
                broker.break_connections()
                await until(lambda: rig.phases() == [Phase.WAITING] * 2, "lost")
                waiting = begin(rig, new)
                await until(lambda: not waiting.to_come, "back")
                assert (waiting.connected, waiting.reconnected, waiting.times) == (0, 2, [])
                assert sorted(serials(broker)[2:]) == sorted(each.serial for each in new)
                kept = begin(rig, [rigs.identities[0], rigs.identities[1]], reconnect=False)
                await until(lambda: kept.clients == 2, "each had its turn")
                assert (kept.connected, kept.to_come) == (2, 0)
                broker.break_connections()
                await until(lambda: kept.reconnected == 2, "back with the first ones")
                assert kept.lost == 2
                assert sorted(serials(broker)[4:]) == sorted(serials(broker)[:2])

    run(scenario())


def test_a_later_step_takes_over_from_one_that_is_not_done(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    new = renewed(rigs, tmp_path, 1)

    async def scenario() -> None:
        async with rigs.broker(refuse=lambda number, _: 0x86 if number == 1 else 0) as broker:
            slow = {"reconnect": {"backoff": "200ms..200ms"}}
            async with rigs.rig(rigs.plan(broker.port, {"g": slow})) as rig:
                await rig.connect()
                first = begin(rig, [None])
                await until(lambda: first.refused == 1, "refused")
                second = begin(rig, new)
                await until(lambda: not second.to_come, "back")
                assert (first.to_come, first.reconnected, second.reconnected) == (0, 0, 1)

    run(scenario())


def test_brokers_under_another_ca_are_trusted_once_told(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other")
    both = tmp_path / "both.pem"
    both.write_bytes(rigs.authority.certificate.read_bytes() + other.certificate.read_bytes())

    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            certificate, key = other.issue_server("fake", ip=["127.0.0.1"])
            rigs_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            rigs_tls.load_cert_chain(certificate, key)
            rigs_tls.load_verify_locations(rigs.authority.certificate)
            rigs_tls.verify_mode = ssl.CERT_REQUIRED
            await broker.stop()
            broker.ssl = rigs_tls
            await broker.listen()
            await until(lambda: rig.phases()[0] is Phase.WAITING, "not trusted")
            rig.fleet.context.trust(both)
            await until(lambda: rig.phases() == [Phase.READY], "trusted")

    run(scenario())


def test_every_reconnect_carries_the_user_properties_in_order(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            properties = [["site", "A"], ["name", "{cn}/{index}/{client_id}"], ["site", "B"], ["site", "A"]]
            group = {"clients": 2, "user_properties": properties, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                for reconnect in range(1, 4):
                    broker.break_connections(0x8B if reconnect == 2 else None)
                    wanted = 2 + 2 * reconnect
                    await until(partial(connects, broker, wanted), "all are back")
                    await until(lambda: rig.phases() == [Phase.READY] * 2, "back")
            carried = {(each.client_id, tuple(each.user_properties)) for each in broker.connects}
            assert len(broker.connects) == 8
            assert carried == {
                (f"g-{n}", (("site", "A"), ("name", f"dev{n:02d}/{n}/g-{n}"), ("site", "B"), ("site", "A")))
                for n in range(2)
            }

    run(scenario())
