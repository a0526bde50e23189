"""A client whose connection is aiomqtt's: `--client aiomqtt`, to see what a device on that library would see.

Plan, pacing, back-off, ledger and counters are those of `Client`; connecting, TLS, keep-alive, acknowledging
and sending again are the library's. What follows from it:

- Every publish is a task that awaits `publish()`; at most `WINDOW` of them are under way, and what is due
  beyond that waits in line with its intended time. `publish_latency` ends when `publish()` returns.
- After a loss the library sends unacknowledged publishes again, also in a new session; none is abandoned.
- The library does not tell when TCP or TLS was up, when it last heard of the broker, or what it wrote:
  `tcp_connect`, `tls_handshake`, `mqtt_connect` and `detect_time` have no samples, and bytes are not counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

from aiomqtt import MqttError

from loadgen.engine.aiomqtt_link import WINDOW, Answer, ConnectionEndedError, Link, why
from loadgen.engine.client import Client
from loadgen.engine.client_churn import LOOK_AGAIN
from loadgen.engine.phase import Phase
from loadgen.errors import LoadgenError
from loadgen.mqtt.events import Acknowledged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mqtt5 import PublishPacket

    from loadgen.engine.context import FleetContext
    from loadgen.engine.stream import Stream
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings

_MOST_THREADS = 128  # connects at a time; the library makes each in a thread of the event loop's executor
_CONNECTING = (Phase.TCP, Phase.TLS, Phase.MQTT)
_CONNECTED = (*_CONNECTING, Phase.SUBSCRIBING, Phase.READY)


def make_room_for_connects(loop: asyncio.AbstractEventLoop, clients: int) -> None:
    """Give the loop an executor in which connects do not wait for one another's time-outs."""
    threads = min(max(clients, 1), _MOST_THREADS)
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="connect"))


class AiomqttClient(Client):
    """See the module's docstring."""

    __slots__ = ("_life", "_link", "_senders", "_starting", "_tasks")

    def __init__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> None:
        """Start idle."""
        super().__init__(context, plan, group, recorder, factories)
        self._link: Link | None = None
        self._life: asyncio.Task[None] | None = None
        """The present connection, from its first step to its end."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._senders: dict[asyncio.Task[None], int] = {}
        """Tasks that publish what is due → QoS of the message each is busy with."""
        self._starting = 0
        """How many of them have not begun yet; each has a message in the backlog."""

    @property
    def tls(self) -> tuple[str, str] | None:
        """(TLS version, cipher) of the connection, None while there is none."""
        return self._link.tls if self._link is not None else None

    # -- a connection's life ---------------------------------------------------------------------

    def _open(self) -> None:
        self._attempt += 1
        self._begin_again()
        self._started_at = monotonic_ns()
        self._set_phase(Phase.TCP)
        self._record_by_node()
        self._rec.connect_attempts += 1
        self._life = self._spawn(self._live())

    async def _live(self) -> None:
        """One connection, from its first step to its end."""
        try:
            link = self._ready_made_link()
        except LoadgenError as error:
            self._reached(Phase.TLS)
            self.lost(f"certificate:{error}")
            return
        try:
            session_present = await link.enter(*self._address())
        except MqttError as error:
            self._not_connected(why(error))
            return
        if self.phase not in _CONNECTING:  # stopped meanwhile
            await self._bid_farewell(link)
            return
        now = monotonic_ns()
        self._record_connect(now)
        lacking = self._admitted(now, session_present=session_present, resent=link.resent, abandoned=())
        if await self._subscribed_to(link, now) if lacking else link.is_up:
            self._ready()
        if self.plan.filters and self.phase is Phase.READY:
            await self._receive(link)
        cause = await link.until_ended()
        self._stop_unwritten(link)
        self.lost(cause)

    def _address(self) -> tuple[str, int, str]:
        """Where to dial, and the name that the node's certificate must have."""
        target = self._context.target
        node = target.nodes[self.node]
        return *target.via.get(self.node, node), target.server_name or node[0]

    def _ready_made_link(self) -> Link:
        if self._link is None:
            context = self._context
            self._link = Link(self.plan, self._group, context.target, context.run_id, self._reached)
        return self._link

    def _reached(self, phase: Phase) -> None:
        """Connecting has come so far (called by the link); late news of a connection given up is no news."""
        if self.phase in _CONNECTING and self.phase < phase:
            self._set_phase(phase)

    def _not_connected(self, cause: str) -> None:
        if cause.startswith("refused:"):
            self._rec.count_code("connack_codes", cause.removeprefix("refused:"))
        self.lost(cause)

    async def _subscribed_to(self, link: Link, now: int) -> bool:
        """Subscribe; whether the client is ready to receive."""
        self._set_phase(Phase.SUBSCRIBING)
        self._subscribe_at = now
        try:
            reasons = await link.ask(self.plan.filters)
        except ConnectionEndedError:
            return False
        except MqttError as error:
            if link.is_up:
                link.ended.set_result(why(error))
            link.hang_up()
            return False
        return self.phase is Phase.SUBSCRIBING and self._granted(reasons, monotonic_ns()) and link.is_up

    def _end_connection(self, cause: str) -> None:
        link = self._link
        if link is not None and link.is_up:
            link.ended.set_result(cause)
            link.hang_up()

    async def _receive(self, link: Link) -> None:
        """Take messages until the connection has ended and all that came is taken."""
        try:
            async for message in link.messages:
                # The library's messages have a payload as ours do, and no more is asked of them.
                self._on_message(cast("PublishPacket", message), monotonic_ns())
        except MqttError:
            return

    # -- sending ---------------------------------------------------------------------------------

    def publish(self, stream: Stream, intended: int) -> None:
        """Let a task publish what was due at `intended`, or hold it back if too many are under way."""
        if self.phase >= Phase.FAILED:
            self._drop(stream)
            return
        if self.phase in (Phase.AWAY, Phase.LEAVING):
            self._rec.skipped += 1  # as `Client` has it
            stream.log.not_attempted += 1
            return
        backlog = self._backlog
        if backlog is None:
            backlog = self._backlog = deque()
        at_once = self.phase is Phase.READY and len(self._senders) < self._window
        if not at_once and len(backlog) - self._starting >= self._group.max_backlog:
            self._drop(stream)
            return
        backlog.append((stream, intended))
        self._counts.backlog += 1
        if at_once:
            self._start_sender(at_once=True)

    @property
    def _window(self) -> int:
        return self._link.window if self._link is not None else WINDOW

    def _send_backlog(self) -> None:
        """Start as many senders as the window has room for and the backlog has work for."""
        waiting = len(self._backlog or ()) - self._starting
        for _ in range(min(waiting, self._window - len(self._senders))):
            self._start_sender(at_once=False)

    def _start_sender(self, *, at_once: bool) -> None:
        self._starting += 1
        sender = self._spawn(self._send(at_once=at_once))
        self._senders[sender] = 1
        sender.add_done_callback(self._sender_done)

    def _sender_done(self, sender: asyncio.Task[None]) -> None:
        self._senders.pop(sender, None)

    async def _send(self, *, at_once: bool) -> None:
        """Publish from the backlog's head, one after the other, until there is nothing or no connection."""
        self._starting -= 1
        link = self._link
        while self._backlog and self.phase is Phase.READY and link is not None and link.is_up:
            if len(self._backlog) <= self._starting:
                return  # each of these has a sender that is about to begin
            stream, intended = self._backlog.popleft()
            self._counts.backlog -= 1
            await self._publish_one(link, stream, intended, at_once=at_once)
            at_once = False

    async def _publish_one(self, link: Link, stream: Stream, intended: int, *, at_once: bool) -> None:
        log, rec, counts = stream.log, self._rec, self._counts
        sequence = log.sent
        sent = monotonic_ns()
        payload = stream.payloads.make(stream.publisher, sequence, intended)
        log.sent = sequence + 1
        rec.published += 1
        counts.expected += stream.fanout
        counts.inflight += stream.qos
        if not at_once:
            rec.late += 1
        elif (book := self._context.books.recorder(intended, rec)) is not None:
            book.send_lag.append(sent - intended)
        self._senders[cast("asyncio.Task[None]", asyncio.current_task())] = stream.qos
        answer = Answer((stream, sequence, intended, sent), stream.qos)
        try:
            await link.send(answer, stream, payload)
        except MqttError as error:
            counts.inflight -= stream.qos
            self._context.note_once("publish_impossible", self, error=str(error))
            return
        if stream.qos and answer.reason is not None:
            self._on_acknowledged(Acknowledged(answer.token, answer.reason), monotonic_ns())

    def _stop_unwritten(self, link: Link) -> None:
        """Let go of QoS 0 publishes that the ended connection has not written: the library drops them."""
        link.forget_unwritten()
        for sender, qos in tuple(self._senders.items()):
            if not qos:
                sender.cancel()

    def _stop_sending(self) -> None:
        """Account for what will get no answer any more."""
        self._drop_backlog()
        if self._link is not None:
            unanswered = self._link.unanswered()
            self._record_unanswered(unanswered, monotonic_ns())
            self._counts.inflight -= len(unanswered)
        for sender in tuple(self._senders):
            sender.cancel()

    # -- coming and going ------------------------------------------------------------------------

    def _depart(self) -> None:
        """Disconnect, as soon as nothing that was sent waits for its PUBACK."""
        self._timer = None
        link = self._link
        now = monotonic_ns()
        if link is None or self.phase is not Phase.LEAVING:
            return
        if self._senders and now < self._leaves_at:
            self._timer = self._context.loop.call_later(LOOK_AGAIN, self._depart)
            return
        self._left_at = now
        self._rec.planned_disconnects += 1
        self._context.note("left", self)
        self._set_phase(Phase.AWAY)
        self._spawn(self._be_away(link))

    async def _be_away(self, link: Link) -> None:
        await link.leave(end_session=False)
        if self._life is not None:
            await asyncio.wait({self._life})  # the next connection is the same link's
        if self.phase is Phase.AWAY:
            wait = self._left_at + self._group.pause - monotonic_ns()
            self._timer = self._context.loop.call_later(max(wait, 0) / 1e9, self._come_back)

    # -- ending ----------------------------------------------------------------------------------

    def _give_up(self) -> None:
        connected = self.phase is Phase.SUBSCRIBING
        self._set_phase(Phase.FAILED)
        self._outage_for_good()
        self._disarm()
        self._stop_sending()
        self._context.settled(self)
        if connected and self._link is not None:
            self._spawn(self._bid_farewell(self._link))

    def stop(self, gone: Callable[[], None]) -> bool:
        """Disconnect cleanly, ending the broker's session, and settle the account.

        Returns:
            Whether there was a connection to end; `gone` is called when it is gone.
        """
        phase = self.phase
        self._disarm()
        if self.log is not None and phase not in (Phase.READY, Phase.LEAVING):
            self.log.session_lost(promised=False)  # as `Client` has it
        if phase is not Phase.FAILED:
            self._stop_sending()
        self._set_phase(Phase.CLOSED)
        if self._life is None or self._life.done():
            return False
        self._spawn(self._end(self._life, phase)).add_done_callback(lambda _: gone())
        return True

    async def _end(self, life: asyncio.Task[None], phase: Phase) -> None:
        link = self._link
        if link is not None and phase in _CONNECTING:
            link.hang_up()
        elif link is not None:
            await self._bid_farewell(link)
        await asyncio.wait({life})

    async def _bid_farewell(self, link: Link) -> None:
        # Expiry 0: leave no session and no queue behind on the broker [MQTT-3.14.2.2.2].
        await link.leave(end_session=bool(self._group.session_expiry))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._context.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of ours: the worker listens there.
            self._context.loop.call_exception_handler({"message": "in a client's task", "exception": error})
