"""The states of a session's connection, and the one table of what may happen in each."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import Final


class State(enum.Enum):
    """Where a session's network connection stands; the MQTT session itself outlives it."""

    IDLE = "idle"
    """No connection; `connect()` is next."""
    CONNECTING = "connecting"
    """CONNECT is queued or sent, CONNACK has not come."""
    CONNECTED = "connected"
    """CONNACK said success: everything may flow."""
    DISCONNECTING = "disconnecting"
    """We queued DISCONNECT: nothing more may be sent [MQTT-3.14.4-1], what still arrives is reported."""
    CLOSED = "closed"
    """The broker refused, disconnected or broke the protocol: what still arrives is ignored."""


class Step(enum.Enum):
    """What can happen to a connection; the value tells whose doing it is."""

    CONNECT = "local: connect"
    SEND = "local: send"
    DISCONNECT = "local: disconnect"
    FEED = "local: feed received bytes"
    LOST = "local: connection lost"
    ACCEPTED = "remote: CONNACK with success"
    REFUSED = "remote: CONNACK with a refusal"
    PACKET = "remote: a packet other than CONNACK and DISCONNECT"
    DISCONNECTED = "remote: DISCONNECT"
    VIOLATED = "remote: a broken rule"

    @property
    def is_local(self) -> bool:
        """True when our side takes this step, so that a wrong one is a bug of ours."""
        return self.value.startswith("local")


TRANSITIONS: Final = MappingProxyType(
    {
        State.IDLE: {
            Step.CONNECT: State.CONNECTING,
            Step.LOST: State.IDLE,
        },
        State.CONNECTING: {
            Step.FEED: State.CONNECTING,
            Step.ACCEPTED: State.CONNECTED,
            Step.REFUSED: State.CLOSED,
            Step.DISCONNECT: State.DISCONNECTING,
            Step.VIOLATED: State.CLOSED,
            Step.LOST: State.IDLE,
        },
        State.CONNECTED: {
            Step.SEND: State.CONNECTED,
            Step.FEED: State.CONNECTED,
            Step.PACKET: State.CONNECTED,
            Step.DISCONNECT: State.DISCONNECTING,
            Step.DISCONNECTED: State.CLOSED,
            Step.VIOLATED: State.CLOSED,
            Step.LOST: State.IDLE,
        },
        State.DISCONNECTING: {
            Step.FEED: State.DISCONNECTING,
            # A CONNACK may cross our DISCONNECT when we give up while connecting.
            Step.ACCEPTED: State.DISCONNECTING,
            Step.REFUSED: State.CLOSED,
            Step.PACKET: State.DISCONNECTING,
            Step.DISCONNECTED: State.CLOSED,
            Step.VIOLATED: State.CLOSED,
            Step.LOST: State.IDLE,
        },
        State.CLOSED: {
            Step.FEED: State.CLOSED,
            Step.LOST: State.IDLE,
        },
    }
)
"""State → step → next state; a step that is missing is a protocol error of the side that took it."""
