"""What a session remembers, and the steps of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from mqtt5 import ConnAckPacket, DisconnectPacket, DisconnectReasonCode, SubAckPacket, UnsubAckPacket

from loadgen.errors import LocalProtocolError
from loadgen.mqtt.config import MAXIMUM_ID, MAXIMUM_PACKET, SessionConfig
from loadgen.mqtt.events import BrokenRuleError
from loadgen.mqtt.state import TRANSITIONS, State, Step

if TYPE_CHECKING:
    from collections import deque

MALFORMED = 0x81
PROTOCOL_ERROR = 0x82
RECEIVE_MAXIMUM_EXCEEDED = 0x93
TOPIC_ALIAS_INVALID = 0x94
PACKET_TOO_LARGE = 0x95
QOS_NOT_SUPPORTED = 0x9B


class ForbiddenError(LocalProtocolError):
    """The broker's CONNACK forbids what was to be sent; nothing was queued."""

    def __init__(self, what: str, why: str) -> None:
        """Keep a short word for reports: `qos`, `retain` or `packet-too-large`."""
        super().__init__(what)
        self.why = why


class SessionCore:
    """The state shared by both directions; slots, and containers made late, keep thousands of them small."""

    __slots__ = (
        "_acks_held",
        "_alias_maximum",
        "_aliases",
        "_buffer",
        "_clean_start",
        "_last_id",
        "_maximum_packet",
        "_maximum_qos",
        "_out",
        "_pending",
        "_retain_available",
        "_topic_aliases",
        "_waiting",
        "client_id",
        "config",
        "connack",
        "inflight",
        "keep_alive",
        "pings_outstanding",
        "send_quota",
        "session_expiry",
        "state",
    )

    def __init__(self, config: SessionConfig) -> None:
        """Start idle, with nothing queued."""
        self.config = config
        self.state = State.IDLE
        self.client_id = config.client_id
        """The id we go by: the configured one, or the one the broker assigned."""
        self.keep_alive = config.keep_alive
        """Seconds in force: the broker's choice wins over ours [MQTT-3.2.2-21]."""
        self.session_expiry = config.session_expiry
        """Seconds in force: the broker's choice wins over ours [§3.2.2.3.2]."""
        self.connack: ConnAckPacket | None = None
        """The last CONNACK, also when it was a refusal; None again from `connect()` until it comes."""
        self.send_quota = 0
        """QoS 1 publishes the broker still takes before it must acknowledge one [§4.9]."""
        self.inflight: dict[int, tuple[bytes, object]] = {}
        """Packet id → (wire bytes, token) of QoS 1 publishes under way, in the order of publishing."""
        self.pings_outstanding = 0
        """PINGREQs the broker has not answered."""
        self._waiting: deque[tuple[int, bytes, object]] | None = None
        """Publishes to send again once the quota allows; all are younger than those in `inflight`."""
        self._pending: dict[int, tuple[type[SubAckPacket | UnsubAckPacket], int]] | None = None
        """Packet id → (answer expected, number of filters) of SUBSCRIBE and UNSUBSCRIBE."""
        self._aliases: dict[int, str] | None = None
        """Topic alias → topic, as the broker set them on this connection."""
        self._buffer: bytearray | None = None
        """The start of a packet whose rest has not come."""
        self._out: list[bytes] = []
        self._acks_held = 0
        """PUBACKs queued since the last `take()`: the broker cannot have seen them."""
        self._clean_start = config.clean_start
        """Whether the last CONNECT asked for a clean start."""
        self._last_id = 0
        self._maximum_packet = MAXIMUM_PACKET
        self._maximum_qos = 1
        self._retain_available = True
        self._alias_maximum = 0
        """Topic aliases that the broker lets us use."""
        self._topic_aliases: dict[str, int] | None = None
        """Topic → its alias, as we set them on this connection [MQTT-3.3.2-7]."""

    @property
    def unacknowledged(self) -> int:
        """QoS 1 publishes accepted and not yet acknowledged, with those waiting to be sent again."""
        return len(self.inflight) + len(self._waiting or ())

    def unacknowledged_tokens(self) -> list[object]:
        """What `publish()` was given with each of them, in the order of publishing."""
        tokens = [token for _, token in self.inflight.values()]
        return tokens + [token for _, _, token in self._waiting or ()]

    def abandon(self) -> list[object]:
        """Forget the unacknowledged publishes, so that they are not sent again, and give their tokens."""
        tokens = self.unacknowledged_tokens()
        self.inflight = {}
        self._waiting = None
        return tokens

    def connection_lost(self) -> None:
        """Forget the connection and keep the session; unacknowledged publishes wait for a resume."""
        self._step(Step.LOST)
        if self._waiting:
            self.inflight.update((packet_id, (wire, token)) for packet_id, wire, token in self._waiting)
        self._waiting = self._pending = self._aliases = self._topic_aliases = self._buffer = None
        self._out.clear()
        self._acks_held = self.send_quota = self.pings_outstanding = 0

    def _step(self, step: Step) -> None:
        """Go where the table says, or blame the side that took a step it does not have."""
        following = TRANSITIONS[self.state].get(step)
        if following is not None:
            self.state = following
        elif step.is_local:
            raise LocalProtocolError(f"cannot do this while {self.state.value}: {step.value}")
        else:
            raise BrokenRuleError(f"while {self.state.value} came {step.value}", PROTOCOL_ERROR)

    def _fail(self, broken: BrokenRuleError) -> NoReturn:
        """Close our side, telling the broker why when a DISCONNECT is allowed [MQTT-4.13.1-1], and raise."""
        if self.state is State.CONNECTED:
            code = DisconnectReasonCode(broken.reason)
            self._out.append(DisconnectPacket(reason_code=code).write())
        self._step(Step.VIOLATED)
        self._buffer = None
        raise broken

    def _free_id(self) -> int:
        """Give the next packet id that nothing under way uses [MQTT-2.2.1-3], 0 when there is none."""
        waiting = {packet_id for packet_id, _, _ in self._waiting or ()}
        candidate = self._last_id
        for _ in range(MAXIMUM_ID):
            candidate = candidate % MAXIMUM_ID + 1
            if (
                candidate not in self.inflight
                and candidate not in (self._pending or ())
                and candidate not in waiting
            ):
                return candidate
        return 0
