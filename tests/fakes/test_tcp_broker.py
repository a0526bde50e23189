"""The fake broker does what it is told, seen through sessions on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from mqtt5 import PublishPacket

from loadgen.identity.authority import Authority, ClientRequest
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import Acknowledged, Connected, Disconnected, Redelivered, Refused, Subscribed
from loadgen.mqtt.session import Session
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loadgen.mqtt.events import Event


class Peer:
    """A session on a socket, read on demand."""

    opened: ClassVar[list[asyncio.StreamWriter]] = []

    def __init__(self, client_id: str, **config: Any) -> None:  # noqa: ANN401
        self.session = Session(SessionConfig(client_id, **config))
        self.events: list[Event] = []

    async def connect(self, port: int, context: ssl.SSLContext | None = None) -> Event:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        self.opened.append(self.writer)
        self.session.connect()
        return await self.next()

    async def next(self) -> Event:
        self.flush()
        while not self.events:
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            if not data:
                raise ConnectionResetError
            self.events += self.session.receive(data)
            self.flush()
        return self.events.pop(0)

    async def subscribe(self, pattern: str, qos: int) -> Event:
        self.session.subscribe([(pattern, qos)])
        return await self.next()

    def publish(self, payload: bytes, qos: int = 1) -> None:
        assert self.session.publish("a/b", payload, qos, payload)
        self.flush()

    def flush(self) -> None:
        if data := self.session.take():
            self.writer.write(data)

    async def payloads(self, count: int) -> list[bytes]:
        got: list[bytes] = []
        while len(got) < count:
            event = await self.next()
            if isinstance(event, PublishPacket):
                got.append(event.payload)
        return got

    def lose(self) -> None:
        self.session.connection_lost()
        self.writer.close()


def run(scenario: Callable[[FakeBroker], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    async def whole() -> None:
        async with FakeBroker(**options) as broker:
            try:
                await scenario(broker)
            finally:
                while Peer.opened:
                    writer = Peer.opened.pop()
                    writer.close()
                    await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    asyncio.run(whole())


async def pair(broker: FakeBroker, qos: int = 1) -> tuple[Peer, Peer]:
    publisher, subscriber = Peer("p"), Peer("s")
    await publisher.connect(broker.port)
    await subscriber.connect(broker.port)
    assert isinstance(await subscriber.subscribe("a/+", qos), Subscribed)
    return publisher, subscriber


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [b"0", b"1", b"2", b"3"]),
        ({"drop": lambda n, _: n == 1}, [b"0", b"2", b"3"]),
        ({"duplicate": lambda n, _: n == 2}, [b"0", b"1", b"2", b"2", b"3"]),
        ({"reorder": lambda n, _: n == 1}, [b"0", b"2", b"1", b"3"]),
    ],
)
@pytest.mark.parametrize("qos", [0, 1])
def test_deliveries_are_what_was_chosen(options: dict[str, Any], expected: list[bytes], qos: int) -> None:
    async def scenario(broker: FakeBroker) -> None:
        publisher, subscriber = await pair(broker, qos)
        for n in range(4):
            publisher.publish(str(n).encode(), qos)
        assert await subscriber.payloads(len(expected)) == expected
        if qos:
            assert [await publisher.next() for _ in range(4)] == [
                Acknowledged(str(n).encode(), 0) for n in range(4)
            ]
            await broker.until(lambda: broker.acknowledgements == len(expected))
        assert not broker.errors

    run(scenario, **options)


def test_nobody_subscribed_is_told_as_rabbitmq_tells_it() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("p")
        await peer.connect(broker.port)
        peer.publish(b"x")
        assert await peer.next() == Acknowledged(b"x", 0x10)

    run(scenario)


def test_refusal_per_connect() -> None:
    async def scenario(broker: FakeBroker) -> None:
        first = await Peer("a").connect(broker.port)
        assert isinstance(first, Refused)
        assert first.reason == 0x86
        assert isinstance(await Peer("a").connect(broker.port), Connected)

    run(scenario, refuse=lambda n, _: 0x86 if n == 0 else 0)


def test_puback_codes_and_silence() -> None:
    async def scenario(broker: FakeBroker) -> None:
        publisher, _ = await pair(broker)
        for payload in (b"0", b"1", b"2"):
            publisher.publish(payload)
        assert await publisher.next() == Acknowledged(b"0", 0x97)
        assert await publisher.next() == Acknowledged(b"2", 0)
        assert publisher.session.unacknowledged == 1

    run(scenario, puback=lambda n, _: (0x97, None, 0)[n])


def test_a_broken_connection_resumes_with_the_publish_again() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("p", clean_start=False, session_expiry=60)
        await peer.connect(broker.port)
        peer.publish(b"kept")
        with pytest.raises(ConnectionResetError):
            await peer.next()
        peer.lose()
        broker.close_after = None
        event = await peer.connect(broker.port)
        assert isinstance(event, Connected)
        assert (event.session_present, event.resent) == (True, 1)
        assert await peer.next() == Acknowledged(b"kept", 0x10)
        assert [packet.duplicate for packet in broker.publishes] == [False, True]

    run(scenario, close_after=1)


def test_a_subscriber_that_was_away_gets_what_it_missed() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("s", clean_start=False, session_expiry=60)
        await peer.connect(broker.port)
        await peer.subscribe("a/#", 1)
        broker.publish("a", b"1", 1)
        assert await peer.payloads(1) == [b"1"]
        await broker.until(lambda: broker.acknowledgements == 1)
        peer.lose()
        await broker.until(lambda: not broker.connected)
        broker.publish("a/x", b"2", 1)
        event = await peer.connect(broker.port)
        assert isinstance(event, Connected)
        assert event.session_present
        assert await peer.payloads(1) == [b"2"]

    run(scenario)


def test_a_message_that_was_not_acknowledged_comes_again_marked() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("s", clean_start=False, session_expiry=60, receive_maximum=1)
        await peer.connect(broker.port)
        await peer.subscribe("a/#", 1)
        broker.publish("a", b"1", 1)
        broker.publish("a", b"2", 1)  # waits: the window is 1
        data = await peer.reader.read(65536)
        (message,) = peer.session.receive(data)  # its PUBACK is never written
        assert isinstance(message, PublishPacket)
        peer.lose()
        await broker.until(lambda: not broker.connected)
        await peer.connect(broker.port)
        again = await peer.next()
        assert isinstance(again, Redelivered)
        copy = again.message
        assert (copy.payload, copy.packet_id, copy.duplicate) == (b"1", message.packet_id, True)
        assert await peer.payloads(1) == [b"2"]

    run(scenario)


def test_take_over_disconnects_the_older_one() -> None:
    async def scenario(broker: FakeBroker) -> None:
        older, newer = Peer("same"), Peer("same")
        await older.connect(broker.port)
        await newer.connect(broker.port)
        event = await older.next()
        assert isinstance(event, Disconnected)
        assert event.reason == 0x8E
        await broker.until(lambda: len(broker.connections) == 1)
        assert await newer.subscribe("x", 0) == Subscribed(1, (0,))

    run(scenario)


def test_stop_and_listen_again_keeps_the_port() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("p")
        await peer.connect(broker.port)
        port = broker.port
        await broker.stop()
        with pytest.raises(ConnectionResetError):
            await peer.next()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await broker.listen()
        assert broker.port == port
        peer.lose()
        assert isinstance(await peer.connect(port), Connected)
        assert broker.accepted == 2

    run(scenario)


def test_a_broker_that_never_answers_still_notes_the_connect() -> None:
    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("p", user_properties=(("b", "1"), ("a", "2")))
        connecting = asyncio.ensure_future(peer.connect(broker.port))
        await broker.until(lambda: bool(broker.connects))
        assert broker.connects[0].user_properties == [("b", "1"), ("a", "2")]
        assert not connecting.done()
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        peer.lose()

    run(scenario, silent=True)


def test_mutual_tls_tells_whose_certificate_came(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    certificate, key = authority.issue_server("broker", dns=["localhost"], ip=["127.0.0.1"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.load_verify_locations(tmp_path / "ca_certificate.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=tmp_path / "ca_certificate.pem")
    (device,) = authority.issue_clients([ClientRequest("dev1")])
    client.load_cert_chain(device.certificate, device.key)

    async def scenario(broker: FakeBroker) -> None:
        peer = Peer("p")
        assert isinstance(await peer.connect(broker.port, client), Connected)
        assert (("commonName", "dev1"),) in broker.certificates[0]["subject"]

    run(scenario, ssl=server)
