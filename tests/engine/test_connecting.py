"""Connections over real mutual TLS: each phase timed, each failure named."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.phase import Phase
from loadgen.identity.authority import Authority, ClientRequest
from tests.engine.rig import QUICK, SUBSCRIBE, until

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

ONCE: dict[str, Any] = {**QUICK, "max_attempts": 1}


def test_each_phase_is_timed_and_each_client_shows_its_own_certificate(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(connack_delay_s=0.2) as broker:
            group = {"clients": 4, "subscribe": SUBSCRIBE, "user_properties": {"name": "{cn}"}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.READY] * 4
                assert rig.clients[0].tls is not None
                assert rig.clients[0].tls[0] == "TLSv1.3"
                names = [
                    dict(part[0] for part in each["subject"])["commonName"] for each in broker.certificates
                ]
                assert sorted(names) == [f"dev{n:02d}" for n in range(4)]
                assert sorted(each.user_properties[0][1] for each in broker.connects) == sorted(names)
                assert {each.client_id for each in broker.connects} == {f"g-{n}" for n in range(4)}
        metrics = ("tcp_connect", "tls_handshake", "mqtt_connect", "connect_time", "subscribe_time")
        tcp, tls, mqtt, whole, subscribe = (rig.histogram(metric) for metric in metrics)
        assert [each.count for each in (tcp, tls, mqtt, whole, subscribe)] == [4] * 5
        assert mqtt.min >= 200_000_000
        # The whole counts from the intended time, so it holds all three phases.
        assert whole.total >= tcp.total + tls.total + mqtt.total
        assert tls.max < whole.max - 200_000_000
        assert rig.count("connects") == rig.count("connect_attempts") == 4
        assert rig.codes("connack_codes") == {"0x00": 4}

    run(scenario())


def test_a_refusal_for_good_is_not_tried_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(refuse=0x87) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
        assert rig.codes("connack_codes") == {"0x87": 1}
        assert rig.codes("connect_errors") == {"connack:refused:0x87": 1}
        assert rig.count("connect_attempts") == 1

    run(scenario())


def test_a_refusal_of_the_moment_is(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(refuse=lambda n, _: 0x89 if n < 2 else 0) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.READY]
        assert rig.codes("connack_codes") == {"0x89": 2, "0x00": 1}
        assert rig.count("connect_attempts") == 3
        assert rig.histogram("connect_time").count == 1, "from the first intended time to success, once"

    run(scenario())


def test_no_connack_is_an_outcome_of_its_own(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(silent=True) as broker,
            rigs.rig(
                rigs.plan(broker.port, {"g": {"reconnect": ONCE}}, timeouts={"connack": "200ms"})
            ) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
            assert len(broker.connects) == 1
        assert rig.codes("connect_errors") == {"connack:timeout": 1}
        assert not rig.codes("connack_codes")

    run(scenario())


def refuse_certificates(listener: socket.socket, context: ssl.SSLContext) -> None:
    """A TLS server as brokers are: it sends the alert, and reads on, so that no reset swallows it."""
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        secured = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with contextlib.suppress(OSError):
            secured.do_handshake()
        with contextlib.suppress(OSError):
            secured.shutdown(socket.SHUT_WR)
            while secured.recv(4096):
                pass
        secured.close()


def test_a_certificate_that_the_broker_refuses_after_the_handshake(
    rigs: Rigs, run: Run, tmp_path: Path
) -> None:
    # TLS 1.3 tells the client only once the client's own side is done, so while it waits for CONNACK.
    stranger = Authority.create(tmp_path / "other").issue_clients([ClientRequest("stranger")])
    listener = socket.create_server(("127.0.0.1", 0))
    server = threading.Thread(target=refuse_certificates, args=(listener, rigs.server_tls))
    server.start()

    async def scenario() -> None:
        plan = rigs.plan(listener.getsockname()[1], {"g": {"reconnect": QUICK}}, identities=stranger)
        async with rigs.rig(plan) as rig:
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
        assert rig.codes("connect_errors") == {"connack:tls:tlsv1_alert_unknown_ca": 1}
        assert rig.count("connect_attempts") == 1, "trying again cannot help"

    try:
        run(scenario())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join(10)


def test_a_wrong_server_name_is_our_refusal(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            tls = {"ca": str(rigs.authority.certificate), "server_name": "elsewhere.example"}
            async with rigs.rig(rigs.plan(broker.port, {"g": {}}, tls=tls)) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.FAILED]
        (code,) = rig.codes("connect_errors")
        assert code.startswith("tls:tls:certificate_verify_failed:Hostname mismatch")

    run(scenario())


def test_a_certificate_file_that_is_gone_fails_its_client_alone(rigs: Rigs, run: Run) -> None:
    broken = [replace(rigs.identities[0], key_file=str(rigs.path.parent / "gone.pem")), rigs.identities[1]]

    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"clients": 2}}, identities=broken)) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.FAILED, Phase.READY]
            assert "gone.pem" in rig.of("lost")[0]["cause"]
        assert rig.codes("connect_errors") == {"tls:certificate": 1}

    run(scenario())


class _Mute(asyncio.Protocol):
    """Accepts a connection and says nothing, or something that is not TLS."""

    def __init__(self, words: bytes = b"") -> None:
        self.words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.words:
            transport.write(self.words)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "code"), [(b"", "tls:timeout"), (b"SSH-2.0-nope\r\n", "tls:tls:wrong_version_number")]
)
def test_a_port_that_speaks_no_tls(rigs: Rigs, run: Run, words: bytes, code: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Mute(words), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = rigs.plan(port, {"g": {"reconnect": ONCE}}, timeouts={"tls": "200ms"})
        async with rigs.rig(plan) as rig:
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
        server.close()
        assert rig.codes("connect_errors") == {code: 1}

    run(scenario())


async def closed_port(rigs: Rigs) -> int:
    async with rigs.broker() as broker:
        return broker.port


def test_a_closed_port_is_refused_and_attempts_are_counted(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        port = await closed_port(rigs)
        plan = rigs.plan(port, {"g": {"reconnect": {**QUICK, "max_attempts": 3}}})
        async with rigs.rig(plan) as rig:
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
            assert rig.fleet.progress()["failed"] == 1
        assert rig.codes("connect_errors") == {"tcp:refused": 3}
        assert rig.count("connect_attempts") == rig.count("connect_failures") == 3

    run(scenario())


def test_a_client_goes_on_to_its_next_node(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        port = await closed_port(rigs)
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan([port, broker.port], {"g": {"clients": 2, "reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.READY] * 2
            assert [client.node for client in rig.clients] == [1, 1]
            assert +rig.fleet.context.connected_by_node == {1: 2}
        assert rig.codes("connect_errors") == {"tcp:refused": 1}

    run(scenario())


def test_a_name_with_several_addresses_needs_one_that_answers(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        port = await closed_port(rigs)
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {}})) as rig,
        ):
            rig.fleet.context._addresses = [(("127.0.0.1", port), ("127.0.0.1", broker.port))]
            await rig.connect()
            assert rig.phases() == [Phase.READY]
        assert not rig.codes("connect_errors")

    run(scenario())


def test_connects_keep_their_rate_over_all_workers(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"a": {"clients": 12}, "b": {"clients": 8}})
            async with rigs.rig(plan, (0, 2)) as one, rigs.rig(plan, (1, 2)) as other:
                at = monotonic_ns() + 20_000_000
                for rig in (one, other):
                    rig.start_connect(rate=50.0, at=at)
                await until(lambda: len(broker.connected) == 20)
                dues = {c.plan.number: c._connect_due for rig in (one, other) for c in rig.clients}
                started = {c.plan.number: c._started_at for rig in (one, other) for c in rig.clients}
        # Group a before group b, 20 ms apart, whoever the worker; and none before its time.
        assert [dues[number] for number in range(20)] == [at + number * 20_000_000 for number in range(20)]
        assert all(started[number] >= due for number, due in dues.items())

    run(scenario())


def test_connecting_once_is_enough(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"clients": 3}})) as rig,
        ):
            rig.start_connect(rate=20.0)
            await rig.connect()
            await until(lambda: rig.fleet._connect_timer is not None)
            assert rig.phases() == [Phase.READY] * 3
            assert len(broker.connects) == 3

    run(scenario())


@pytest.mark.parametrize(
    "tls",
    [
        {"versions": ["1.2"]},
        {"versions": ["1.3"]},
        {"versions": ["1.2"], "ciphers": ["ECDHE-ECDSA-AES128-SHA256"]},
    ],
    ids=["1.2", "1.3", "cipher"],
)
def test_the_tls_asked_for_is_spoken(rigs: Rigs, run: Run, tls: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            settings = {"ca": str(rigs.authority.certificate), **tls}
            async with rigs.rig(rigs.plan(broker.port, {"g": {}}, tls=settings)) as rig:
                await rig.connect()
                used = rig.clients[0].tls
        assert used is not None
        assert used[0] == f"TLSv{tls['versions'][0]}"
        assert used[1] in tls.get("ciphers", [used[1]])

    run(scenario())
