from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import aiomqtt
import mqtt5
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.broker.view import ExpectedConnection, check_view
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority, ClientRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.identity.identity import Identity


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.ensure(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def identities(authority: Authority) -> list[Identity]:
    return authority.issue_clients([ClientRequest(f"dev{i}") for i in range(3)])


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.with_authority(authority.directory) as running:
        yield running


def context(authority: Authority, identity: Identity | None) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=str(authority.certificate))
    if identity is not None:
        tls.load_cert_chain(identity.certificate, identity.key)
    return tls


def client(broker: EmbeddedBroker, tls: ssl.SSLContext, client_id: str, **options: Any) -> aiomqtt.Client:  # noqa: ANN401
    return aiomqtt.Client(
        broker.host,
        broker.port,
        tls_context=tls,
        protocol=aiomqtt.ProtocolVersion.V5,
        identifier=client_id,
        timeout=10,
        **options,
    )


def test_another_vendors_client_publishes_and_receives(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity]
) -> None:
    async def talk() -> list[tuple[bytes, int]]:
        tls = context(authority, identities[0])
        async with client(broker, tls, "talker") as one:
            await one.subscribe("talk/#", qos=1)
            await one.publish("talk/a", b"zero", qos=0)
            await one.publish("talk/b", b"one", qos=1)
            return [((m := await anext(one.messages)).payload, m.qos) for _ in range(2)]

    assert asyncio.run(talk()) == [(b"zero", 0), (b"one", 1)]


def test_the_broker_tells_who_each_client_is(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity]
) -> None:
    sent = (("client_type", "APM"), ("client_type", "again"))

    async def look() -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.UserProperty = list(sent)
        expected = [ExpectedConnection(f"c-{i.cn}", i.cn, i.subject_rabbitmq, sent) for i in identities]
        async with contextlib.AsyncExitStack() as stack:
            for identity in identities:
                tls = context(authority, identity)
                await stack.enter_async_context(
                    client(broker, tls, f"c-{identity.cn}", properties=properties)
                )
            result = await check_view(broker, expected, deadline_s=5)
            assert (result.checked, result.ok, result.mismatches) == (3, 3, [])
            assert result.by_node == {"embedded": 3}

    asyncio.run(look())


def handshake_and_connect(broker: EmbeddedBroker, tls: ssl.SSLContext) -> bytes:
    """Send a CONNECT and return what comes back."""
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as tcp,
        tls.wrap_socket(tcp, server_hostname=broker.host) as secured,
    ):
        secured.sendall(mqtt5.ConnectPacket("raw", clean_start=True).write())
        return secured.recv(1000)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_certificates_of_the_ca_come_in(
    broker: EmbeddedBroker,
    authority: Authority,
    identities: list[Identity],
    tmp_path: Path,
    version: ssl.TLSVersion,
) -> None:
    stranger = Authority.ensure(tmp_path).issue_clients([ClientRequest("dev0")])[0]
    for identity in (None, stranger):
        tls = context(authority, identity)
        tls.maximum_version = version
        # TLS 1.3 ends the client's handshake before the server has judged: then only reading tells.
        try:
            answer = handshake_and_connect(broker, tls)
        except OSError:
            answer = b""
        assert answer == b""
    tls = context(authority, identities[0])
    tls.maximum_version = version
    connack, _ = mqtt5.read(memoryview(handshake_and_connect(broker, tls)))
    assert isinstance(connack, mqtt5.ConnAckPacket)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100,
        b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd",  # MQTT 3.1.1
        mqtt5.PingReqPacket().write(),
    ],
    ids=["http", "mqtt3", "ping first"],
)
def test_what_is_not_an_mqtt_5_connect_is_closed(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity], data: bytes
) -> None:
    tls = context(authority, identities[0])
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as tcp,
        tls.wrap_socket(tcp, server_hostname=broker.host) as secured,
    ):
        secured.sendall(data)
        assert secured.recv(1000) == b""


def test_a_silent_client_is_told_and_closed_at_one_and_a_half_keep_alives(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity]
) -> None:
    tls = context(authority, identities[0])
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as tcp,
        tls.wrap_socket(tcp, server_hostname=broker.host) as secured,
    ):
        started = time.monotonic()
        secured.sendall(mqtt5.ConnectPacket("silent", clean_start=True, keep_alive=1).write())
        received = b""
        while chunk := secured.recv(1000):
            received += chunk
        elapsed = time.monotonic() - started
    _, size = mqtt5.read(memoryview(received))
    farewell, _ = mqtt5.read(memoryview(received[size:]))
    assert isinstance(farewell, mqtt5.DisconnectPacket)
    assert farewell.reason_code == mqtt5.DisconnectReasonCode.KEEP_ALIVE_TIMEOUT
    assert elapsed >= 1.5


def test_topic_aliases_of_a_client(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity]
) -> None:
    tls = context(authority, identities[0])
    packets: list[mqtt5.Packet] = [
        mqtt5.ConnectPacket("alias", clean_start=True),
        mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("al/+")]),
        mqtt5.PublishPacket("al/1", b"a", topic_alias=1),
        mqtt5.PublishPacket("al/2", b"b", topic_alias=2),
        mqtt5.PublishPacket("", b"c", topic_alias=1),
        mqtt5.PublishPacket("x", b"d", topic_alias=17),
    ]
    with (
        socket.create_connection((broker.host, broker.port), timeout=10) as tcp,
        tls.wrap_socket(tcp, server_hostname=broker.host) as secured,
    ):
        secured.sendall(b"".join(packet.write() for packet in packets))
        received = b""
        while chunk := secured.recv(1000):
            received += chunk
    answers: list[Any] = []
    while received:
        packet, size = mqtt5.read(memoryview(received))
        answers.append(packet)
        received = received[size:]
    publishes = [(p.topic, p.payload) for p in answers if isinstance(p, mqtt5.PublishPacket)]
    assert publishes == [("al/1", b"a"), ("al/2", b"b"), ("al/1", b"c")]
    assert answers[-1].reason_code == mqtt5.DisconnectReasonCode.TOPIC_ALIAS_INVALID


def test_it_leaves_no_process_and_can_start_again(authority: Authority) -> None:
    broker = EmbeddedBroker.with_authority(authority.directory)
    for _ in range(2):
        with broker:
            pid = broker.pid
            assert pid is not None
        assert (broker.running, broker.pid) == (False, None)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    broker.stop()


def test_a_taken_port_is_an_error_with_a_mend(broker: EmbeddedBroker, authority: Authority) -> None:
    with pytest.raises(BrokerError, match="choose another port"):
        EmbeddedBroker.with_authority(authority.directory, port=broker.port).start()


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"no\.pem does not exist.*certs issue"):
        EmbeddedBroker(tmp_path / "no.pem", tmp_path / "no.pem", tmp_path / "no.pem").start()


def test_a_dead_broker_is_an_error(authority: Authority) -> None:
    with EmbeddedBroker.with_authority(authority.directory) as broker:
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        with pytest.raises(BrokerError):
            broker.report()
    with pytest.raises(BrokerError, match="not running"):
        broker.report()


def test_it_ends_when_its_parent_is_killed(authority: Authority) -> None:
    code = (
        "import sys; from pathlib import Path; from loadgen.broker.embedded import EmbeddedBroker; "
        "b = EmbeddedBroker.with_authority(Path(sys.argv[1])).start(); print(b.pid, flush=True); "
        "sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(authority.directory)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        # A descriptor of the broker's process: readable once the process has ended, whoever reaps it.
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended = asyncio.run(readable(descriptor))
        os.close(descriptor)
    assert ended


async def readable(descriptor: int) -> bool:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), 10)
    finally:
        loop.remove_reader(descriptor)
    return True


class Raw(asyncio.Protocol):
    """A client that acknowledges and counts, unpaced: as fast as the broker lets it be."""

    def __init__(self, client_id: str, *, reads: int = 0, writes: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._client_id = client_id
        self._reads, self._writes = reads, writes
        self._rest = b""
        self.ready: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.received: dict[str, list[int]] = {}
        self.count = 0
        self.acknowledged: list[mqtt5.PubAckReasonCode] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(mqtt5.ConnectPacket(self._client_id, clean_start=True, receive_max=50).write())

    def data_received(self, data: bytes) -> None:
        buffer = memoryview(self._rest + data)
        with contextlib.suppress(IndexError):  # not enough bytes for a packet
            while True:
                packet, size = mqtt5.read(buffer)
                buffer = buffer[size:]
                self._handle(packet)
        self._rest = bytes(buffer)
        if self.count == self._reads and len(self.acknowledged) == self._writes and not self.done.done():
            self.done.set_result(None)

    def _handle(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PublishPacket):
            self.received.setdefault(packet.topic, []).append(int(packet.payload))
            self.count += 1
            assert packet.packet_id is not None
            self.transport.write(mqtt5.PubAckPacket(packet.packet_id).write())
        elif isinstance(packet, mqtt5.PubAckPacket):
            self.acknowledged.append(packet.reason_code)
        elif isinstance(packet, mqtt5.ConnAckPacket) and self._reads:
            self.transport.write(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("burst/+")]).write())
        else:
            self.ready.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)

    async def join(self, broker: EmbeddedBroker, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, broker.host, broker.port, ssl=tls)
        await self.ready

    def publish(self, topic: str, number: int) -> None:
        packet = mqtt5.PublishPacket(topic, b"%d" % number, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number + 1)
        self.transport.write(packet.write())


def test_a_burst_from_many_to_four_loses_nothing_and_keeps_order(
    broker: EmbeddedBroker, authority: Authority, identities: list[Identity]
) -> None:
    publishers, messages = 50, 40

    async def burst() -> tuple[list[Raw], list[Raw]]:
        tls = context(authority, identities[0])
        readers = [Raw(f"reader{i}", reads=publishers * messages) for i in range(4)]
        writers = [Raw(f"writer{i}", writes=messages) for i in range(publishers)]
        for one in (*readers, *writers):
            await one.join(broker, tls)
        for number in range(messages):
            for index, writer in enumerate(writers):
                writer.publish(f"burst/{index}", number)
        async with asyncio.timeout(60):
            await asyncio.gather(*(one.done for one in (*readers, *writers)))
        for one in (*readers, *writers):
            one.transport.close()
        await asyncio.gather(*(one.closed for one in (*readers, *writers)))
        return readers, writers

    readers, writers = asyncio.run(burst())
    in_order = {f"burst/{index}": list(range(messages)) for index in range(publishers)}
    assert [reader.received for reader in readers] == [in_order] * 4
    success = mqtt5.PubAckReasonCode.SUCCESS
    assert [writer.acknowledged for writer in writers] == [[success] * messages] * publishers
