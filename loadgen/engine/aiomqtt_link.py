"""An aiomqtt client that also tells what a load test must know and the library keeps to itself.

Known of aiomqtt 2.5, whose callbacks for paho-mqtt are overridden here and call on: PUBACK's reason code,
"session present", why a connection ended. What the library does is left as it is, but for three places in
which thousands of clients in one process would suffer from what one device would hardly meet:

- A socket that is done writing, or closed, before the event loop has registered it for writing: the library
  would register it all the same, for good, and its number may be another's by then.
- A second connection after a loss: the library would take it for accepted before CONNACK has come.
- A connection that closes before CONNACK: the library would wait for its time-out all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from loadgen.engine.phase import Phase
from loadgen.engine.transport import cause_of
from loadgen.identity.tls import load_identity, set_up_context
from loadgen.plan.payload import will_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import paho.mqtt.client as paho
    from paho.mqtt.reasoncodes import ReasonCode

    from loadgen.engine.stream import InFlight, Stream
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings, TargetSettings
    from loadgen.plan.subscriptions import FilterPlan

WINDOW = 20
"""QoS 1 publishes that may be under way on one connection: paho-mqtt's own limit, which we do not raise."""

_LARGEST_RECEIVE_MAXIMUM = 65_535  # what MQTT takes for said when nothing is [MQTT-3.1.2.11.3]
_KEEP_ALIVE_TIMEOUT = 0x8D
_GOODBYE = 2.0  # s for DISCONNECT to be written

# The library speaks of each loss and each busy client; we count them.
_SILENT = logging.getLogger("loadgen.aiomqtt")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Answer:
    """What becomes of one publish: what it was, and PUBACK's reason code once there is one."""

    __slots__ = ("qos", "reason", "token")

    def __init__(self, token: InFlight, qos: int) -> None:
        """Wait for an answer."""
        self.token = token
        self.qos = qos
        self.reason: int | None = None


class ConnectionEndedError(aiomqtt.MqttError):
    """The connection ended before the broker had answered."""


class Link(aiomqtt.Client):
    """One client's connections, one after the other; unacknowledged publishes go on to the next."""

    def __init__(
        self,
        plan: ClientPlan,
        group: GroupSettings,
        target: TargetSettings,
        run_id: int,
        reached: Callable[[Phase], None],
    ) -> None:
        """Load the certificate.

        Args:
            plan: the client.
            group: its group's settings.
            target: where it connects; the library has one limit for TCP and for TLS, the larger of the two.
            run_id: the run's number, which a will carries.
            reached: called in the event loop when a connection in the making has got so far.

        Raises:
            ConfigError: the certificate, its key or the CA cannot be loaded.
        """
        self._reached = reached
        self._secure: ssl.SSLSocket | None = None
        self._asking: Answer | None = None
        self._to_write: Any = None
        """The socket that is to be told when it can be written to."""
        self._answers: dict[int, Answer] = {}
        """Packet identifier → a publish that has no answer yet; of QoS 0, that is not written yet."""
        self._session_present = False
        self.resent = 0
        """Publishes that the library sends again on the present connection."""
        self._publish_properties: dict[Stream, Properties | None] = {}
        self.window = WINDOW
        """How many QoS 1 publishes may be under way: the smaller of ours and the broker's limit."""
        self._telling = self._context(plan, target)
        super().__init__(
            *target.nodes[plan.nodes[0]],
            identifier=plan.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=group.keep_alive,
            clean_start=group.clean_start,
            max_inflight_messages=WINDOW,
            bind_address=target.source(plan.number) or "",
            properties=_connect_properties(plan, group),
            will=_will(plan, run_id),
            tls_context=self._telling,
            timeout=group.connack_timeout / 1e9,
            logger=_SILENT,
        )
        self._client.connect_timeout = max(group.tcp_timeout, group.tls_timeout) / 1e9
        self.pending_calls_threshold = WINDOW + 1
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Why the connection ended, once it has."""
        self.ended.set_result("")

    def _context(self, plan: ClientPlan, target: TargetSettings) -> _TellingContext:
        context = _TellingContext(ssl.PROTOCOL_TLS_CLIENT)
        context.on_wrap = self._tcp_is_up
        ca = Path(target.ca) if target.ca else None
        set_up_context(context, ca, target.tls)
        load_identity(context, plan.identity)
        return context

    # -- a connection's life ---------------------------------------------------------------------

    async def enter(self, host: str, port: int, name: str) -> bool:
        """Connect, and expect this name in the certificate; gives whether the broker still had the session.

        Raises:
            MqttError: it did not work; `why` names the cause.
        """
        self._hostname, self._port = host, port
        self._telling.server_name = name
        self._connected, self._disconnected = asyncio.Future(), asyncio.Future()
        self.ended = self._loop.create_future()
        self._secure = None
        try:
            await self.__aenter__()
        except aiomqtt.MqttError:
            self.hang_up()
            if self._client.socket() is None:
                self._close_secure()  # the handshake failed, and nobody else has it
            raise
        return self._session_present

    @property
    def is_up(self) -> bool:
        """Whether the connection takes publishes."""
        return not self.ended.done()

    async def until_ended(self) -> str:
        """Wait for the connection's end and give its cause."""
        ends: set[asyncio.Future[Any]] = {self.ended, self._disconnected}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not self.ended.done():
            # Reading failed with an exception of the library's, which leaves the socket open.
            self.ended.set_result("protocol-error")
            self.hang_up()
        await self.__aexit__(None, None, None)  # gives the library's lock back, so that we may connect again
        return self.ended.result()

    async def leave(self, *, end_session: bool) -> None:
        """Send DISCONNECT, ending the broker's session with it if asked to [MQTT-3.14.2.2.2]."""
        properties = None
        if end_session:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        self._client.disconnect(None, properties)
        await asyncio.wait({self.ended}, timeout=_GOODBYE)
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection without a word, also in the midst of a handshake."""
        if self._secure is not None and self._secure.fileno() >= 0:
            with contextlib.suppress(OSError):
                # Past the TLS layer, which a thread may be busy with; the library sees the end and closes.
                socket.socket.shutdown(self._secure, socket.SHUT_RDWR)

    def _close_secure(self) -> None:
        if self._secure is not None:
            self._secure.close()

    @property
    def tls(self) -> tuple[str, str] | None:
        """(TLS version, cipher) while there is a connection."""
        if self._secure is None or self._secure.fileno() < 0 or (cipher := self._secure.cipher()) is None:
            return None
        return self._secure.version() or "", cipher[0]

    # -- messages --------------------------------------------------------------------------------

    async def ask(self, filters: Sequence[FilterPlan]) -> list[int]:
        """Subscribe and give the reason codes in the order of the filters.

        Raises:
            MqttError: the connection ended, or no SUBACK came in time.
        """
        asking = self._loop.create_task(self._ask(filters))
        # The library itself would wait for a SUBACK on a connection that has ended.
        ends: set[asyncio.Future[Any]] = {asking, self.ended}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            await asyncio.wait({asking})
            raise ConnectionEndedError
        return asking.result()

    async def _ask(self, filters: Sequence[FilterPlan]) -> list[int]:
        """Send a SUBSCRIBE for each subscription identifier, as a packet has only one [§3.8.2.1.2]."""
        reasons: list[int] = []
        for identifier, together in groupby(filters, key=attrgetter("identifier")):
            properties = None
            if identifier is not None:
                properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
                properties.SubscriptionIdentifier = identifier
            topics = [(each.filter, _subscribe_options(each)) for each in together]
            codes = await self.subscribe(topics, properties=properties)
            reasons += [each if isinstance(each, int) else int(each.value) for each in codes]
        return reasons

    async def send(self, answer: Answer, stream: Stream, payload: bytes) -> None:
        """Publish, and come back when it was acknowledged (QoS 0: written), on whichever connection.

        Raises:
            MqttError: the library did not take it.
        """
        if stream not in self._publish_properties:
            self._publish_properties[stream] = _publish_properties(stream)
        properties = self._publish_properties[stream]
        retain = stream.options is not None and stream.options.retain
        self._asking = answer  # nothing else runs before `_pending_call` takes it
        await self.publish(stream.topic, payload, answer.qos, retain, properties, timeout=math.inf)

    def unanswered(self) -> list[InFlight]:
        """QoS 1 publishes that have no PUBACK, oldest first."""
        return [each.token for each in self._answers.values() if each.qos]

    def forget_unwritten(self) -> None:
        """Forget the QoS 0 publishes that the connection's end kept from being written."""
        self._answers = {mid: each for mid, each in self._answers.items() if each.qos}

    # -- what paho-mqtt calls --------------------------------------------------------------------

    @contextlib.contextmanager
    def _pending_call(self, mid: int, value: Any, pending_dict: dict[int, Any]) -> Iterator[None]:  # noqa: ANN401
        answer, self._asking = self._asking, None
        if answer is not None:
            self._answers[mid] = answer
        with super()._pending_call(mid, value, pending_dict):
            yield

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        answer = self._answers.pop(mid, None)
        if answer is not None:
            answer.reason = reason_code.value
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._session_present = flags.session_present
        self.resent = len(self.unanswered())
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        super()._on_connect(client, userdata, flags, reason_code, properties)
        _retrieve(self._connected)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(ConnectionEndedError())
            _retrieve(self._connected)
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        _retrieve(self._disconnected)
        if not self.ended.done():
            if flags.is_disconnect_packet_from_server:
                cause = f"disconnect:0x{reason_code.value:02X}"
            else:
                cause = "keep-alive" if reason_code.value == _KEEP_ALIVE_TIMEOUT else "lost"
            self.ended.set_result(cause)

    def _tcp_is_up(self, secure: ssl.SSLSocket) -> None:
        self._secure = secure
        self._loop.call_soon_threadsafe(self._reached, Phase.TLS)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401 - paho's
        super()._on_socket_open(client, userdata, sock)
        self._loop.call_soon_threadsafe(self._reached, Phase.MQTT)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401, ARG002
        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - as the library does it
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if self._to_write is sock:
                self._loop.add_writer(sock.fileno(), write)

        self._to_write = sock
        self._loop.call_soon_threadsafe(register)

    def _on_socket_unregister_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401
        self._to_write = None
        super()._on_socket_unregister_write(client, userdata, sock)


class _TellingContext(ssl.SSLContext):
    """Tells when TCP is up, and can expect another name than that connected to: paho-mqtt can do neither."""

    server_name = ""
    on_wrap: Callable[[ssl.SSLSocket], None]

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: ANN401 - as ssl has it
        """Wrap a connected socket."""
        kwargs["server_hostname"] = self.server_name
        secure = super().wrap_socket(*args, **kwargs)
        self.on_wrap(secure)
        return secure


def why(error: aiomqtt.MqttError) -> str:
    """The cause of a connection that could not be made, in the words of `transport.cause_of`."""
    if isinstance(error, aiomqtt.exceptions.MqttConnectError):
        code = error.rc if isinstance(error.rc, int) or error.rc is None else error.rc.value
        return f"refused:0x{code or 0:02X}"
    if isinstance(error, ConnectionEndedError):
        return "lost"
    # The library raises its own error "from None", which hides the first one and does not remove it.
    return cause_of(error.__context__) if error.__context__ is not None else "lost"


def _connect_properties(plan: ClientPlan, group: GroupSettings) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if group.session_expiry:
        properties.SessionExpiryInterval = group.session_expiry
    if group.receive_maximum != _LARGEST_RECEIVE_MAXIMUM:
        properties.ReceiveMaximum = group.receive_maximum
    for pair in plan.user_properties:
        properties.UserProperty = pair  # paho-mqtt adds to the list with each assignment
    return properties


def _will(plan: ClientPlan, run_id: int) -> aiomqtt.Will | None:
    will = plan.will
    if will is None:
        return None
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = will.delay
    payload = will_payload(run_id, plan.number, will.content)
    return aiomqtt.Will(will.topic, payload, will.qos, will.retain, properties)


def _subscribe_options(wanted: FilterPlan) -> SubscribeOptions:
    return SubscribeOptions(wanted.qos, wanted.no_local, wanted.retain_as_published, wanted.retain_handling)


def _publish_properties(stream: Stream) -> Properties | None:
    options = stream.options
    if options is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if options.message_expiry is not None:
        properties.MessageExpiryInterval = options.message_expiry
    if options.content_type is not None:
        properties.ContentType = options.content_type
    for pair in options.user_properties:
        properties.UserProperty = pair
    return properties


def _retrieve(future: asyncio.Future[None]) -> None:
    """Look at a future's exception, which asyncio would else complain about at its end."""
    if future.done() and not future.cancelled():
        future.exception()
