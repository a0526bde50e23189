"""Groups that say what the broker must answer: the first answer counts, and nothing of it is a failure."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.expecting import answer_of, answers_of, never_connected
from loadgen.engine.phase import Phase
from loadgen.errors import ConfigError
from loadgen.identity.identity import NO_CERTIFICATE
from loadgen.scenario.load import load_scenario
from tests.engine.rig import PUBLISH, SUBSCRIBE, until

if TYPE_CHECKING:
    from mqtt5 import ConnectPacket

    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs


def answers(rig: Rig, group: str = "g") -> dict[str, int]:
    return {answer: count for answer, (count, _) in answers_of(rig.clients)[group].items()}


@pytest.mark.parametrize(
    ("phase", "cause", "answer"),
    [
        (Phase.MQTT, "refused:0x86", "CONNACK 0x86"),
        (Phase.READY, "disconnect:0x8E", "DISCONNECT 0x8E"),
        (Phase.MQTT, "tls:tlsv13_alert_certificate_required", "TLS alert certificate_required"),
        (Phase.TLS, "tls:sslv3_alert_handshake_failure", "TLS alert handshake_failure"),
        (Phase.TLS, "tls:ssl/tls_alert_handshake_failure", "TLS alert handshake_failure"),
        (Phase.MQTT, "closed", "closed instead of CONNACK"),
        (Phase.READY, "closed", "closed"),
        (Phase.READY, "reset", "closed"),
        (Phase.TLS, "closed", "tls: closed"),
        (Phase.TCP, "refused", "tcp: refused"),
        (Phase.TLS, "tls:certificate_verify_failed:expired", "tls: tls:certificate_verify_failed:expired"),
        (Phase.TLS, "certificate:/a/b.pem: missing", "certificate not usable"),
    ],
)
def test_what_ended_a_connection_has_one_name(phase: Phase, cause: str, answer: str) -> None:
    assert answer_of(phase, cause) == answer


def test_an_expected_refusal_is_no_failure_and_is_not_tried_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        def refuse(_number: int, packet: ConnectPacket) -> int:
            return 0x86 if packet.client_id.startswith("g-") else 0

        groups: dict[str, dict[str, Any]] = {
            "g": {"clients": 3, "expect": {"connack": 0x86}, "publish": PUBLISH},
            "others": {"clients": 2, "expect": "accepted", "subscribe": SUBSCRIBE},
        }
        async with rigs.broker(refuse=refuse) as broker, rigs.rig(rigs.plan(broker.port, groups)) as rig:
            await rig.connect()
            assert rig.phases() == [Phase.REFUSED] * 3 + [Phase.READY] * 2
            assert answers(rig) == {"CONNACK 0x86": 3}
            assert answers(rig, "others") == {"accepted": 2}
            await rig.hold("steady")  # what they would publish is due to nobody
            assert len(broker.connects) == 5
            assert never_connected(rig.clients) == (0, 3)
            assert rig.fleet.progress()["failed"] == 0
        assert rig.count("connect_failures") == rig.count("dropped") == rig.count("published") == 0
        assert rig.codes("connack_codes") == {"0x00": 2}

    run(scenario())


@pytest.mark.parametrize(
    ("refuse", "expect", "ends"),
    [
        (0, {"connack": 0x86}, ("accepted", Phase.REFUSED)),
        (0x87, {"connack": 0x86}, ("CONNACK 0x87", Phase.REFUSED)),
        (0x87, "accepted", ("CONNACK 0x87", Phase.FAILED)),
        (0x88, "accepted", ("CONNACK 0x88", Phase.FAILED)),  # which others would try again
    ],
)
def test_any_other_answer_is_told_as_it_is(
    rigs: Rigs, run: Run, refuse: int, expect: dict[str, int] | str, ends: tuple[str, Phase]
) -> None:
    async def scenario() -> None:
        plan_of = {"g": {"expect": expect}}
        async with rigs.broker(refuse=refuse) as broker, rigs.rig(rigs.plan(broker.port, plan_of)) as rig:
            await rig.connect()
            assert answers(rig) == {ends[0]: 1}
            assert rig.phases() == [ends[1]]

    run(scenario())


def test_no_answer_in_time_ends_the_wait_long_before_the_connack_limit(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        group = {"expect": {"connack": 0x86, "within": "150ms"}}
        async with rigs.broker(silent=True) as broker, rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
            await rig.connect()
            assert answers(rig) == {"no answer": 1}

    run(scenario())


def test_no_certificate_is_shown_where_there_is_none(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        # The event loop's own TLS, which the fake broker uses, closes without the alert of a real broker.
        group = {"expect": {"tls_alert": "any", "closed": "instead_of_connack"}, "identity": "none"}
        groups: dict[str, dict[str, Any]] = {"g": group, "others": {"clients": 2}}
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, groups)) as rig:
            assert rig.clients[0].plan.identity is NO_CERTIFICATE
            await rig.connect()
            assert len(broker.certificates) == 2, "of the others, whose certificates it does not show"
            (answer,) = answers(rig)
            assert answer.startswith(("TLS alert", "closed instead"))

    run(scenario())


def test_a_publish_that_ends_the_connection(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        group = {"expect": "closed", "publish": PUBLISH}
        async with (
            rigs.broker(close_after=1) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": group})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.READY]
            await rig.hold("steady")
            assert answers(rig) == {"closed": 1}
            assert len(broker.publishes) == 1
            assert rig.fleet.progress()["inflight"] == 0
        assert rig.count("published") == rig.count("unanswered") == rig.count("disconnects") == 0
        assert rig.histogram("publish_latency").count == 0

    run(scenario())


def test_a_publish_that_is_taken_though_it_should_not(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        group = {"expect": {"closed": "after_connack", "within": "200ms"}, "publish": PUBLISH}
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
            await rig.connect()
            await asyncio.sleep(0.3)  # longer than the limit, which begins with the first publish
            assert rig.phases() == [Phase.READY]
            await rig.hold("steady", drain=False)
            await until(lambda: rig.phases() == [Phase.REFUSED])
            assert answers(rig) == {"accepted": 1}
            assert broker.publishes

    run(scenario())


def test_a_subscription_refused_as_expected(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        group = {"expect": {"suback": 0x87}, "subscribe": SUBSCRIBE}
        async with (
            rigs.broker(suback=lambda _: 0x87) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": group})) as rig,
        ):
            await rig.connect()
            assert answers(rig) == {"SUBACK 0x87": 1}
            assert rig.clients[0].plan.streams == ()
        assert rig.count("subscribe_failures") == 0

    run(scenario())


def test_one_client_id_twice_is_a_takeover_of_the_first(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        groups: dict[str, dict[str, Any]] = {
            "g": {"expect": {"disconnect": 0x8E}, "client_id": "same"},
            "second": {"expect": "accepted", "client_id": "same"},
        }
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, groups)) as rig:
            for name in groups:
                rig.fleet.start_stage(name, "connect", monotonic_ns(), connect_rate=100.0, groups=(name,))
                await until(lambda: not rig.fleet.progress()["pending"])
            await until(lambda: rig.phases() == [Phase.REFUSED, Phase.READY])
            assert answers(rig) == {"DISCONNECT 0x8E": 1}
            assert not any(client.away for client in rig.clients), "it is no outage"
            assert answers(rig, "second") == {"accepted": 1}

    run(scenario())


def test_client_ids_are_shared_only_for_a_takeover(rigs: Rigs) -> None:
    groups: dict[str, dict[str, Any]] = {
        "g": {"expect": {"connack": 0x86}, "client_id": "same"},
        "second": {"client_id": "same"},
    }
    with pytest.raises(ConfigError, match="have the same id"):
        rigs.plan(1, groups)


def test_user_name_and_password_go_into_connect(
    rigs: Rigs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE_PASSWORD", "pass phrase")
    group = {"username": "user-{index}", "password": {"env": "GATE_PASSWORD"}}

    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
            await rig.connect()
            (packet,) = broker.connects
            assert (packet.username, packet.password) == ("user-0", b"pass phrase")
            assert "pass phrase" not in load_scenario(rigs.path).to_yaml()

    run(scenario())


def test_who_was_never_tried_has_no_answer(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"expect": {"connack": 0x86}}})
            rig_of = rigs.rig(plan)
            async with contextlib.AsyncExitStack() as stack:
                rig = await stack.enter_async_context(rig_of)
                assert answers(rig) == {"": 1}
            assert answers(rig) == {"": 1}

    run(scenario())
