"""Where a client is in its life, and which failures end it."""

from __future__ import annotations

import enum


class Phase(enum.IntEnum):
    """Where a client is in its life; the order is that of a connection's making."""

    IDLE = 0
    TCP = 1
    TLS = 2
    MQTT = 3
    SUBSCRIBING = 4
    READY = 5
    LEAVING = 6
    """Connected, and about to leave as planned: nothing new is sent."""
    WAITING = 7
    """Lost or refused; will try again after a back-off."""
    AWAY = 8
    """Left as planned; will be back after a pause."""
    FAILED = 9
    """Gave up: refused for good, or out of attempts."""
    REFUSED = 10
    """Has the answer that a group waits for which expects a refusal."""
    CLOSED = 11


PHASE_WORDS = {Phase.TCP: "tcp", Phase.TLS: "tls", Phase.MQTT: "connack", Phase.SUBSCRIBING: "suback"}
"""What a connection in the making waits for, as reports name it."""

# CONNACK codes that a retry cannot mend [MQTT-5 table 3-1]; the broker's state, not the moment, says no.
_PERMANENT = frozenset({0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99, 0x9A, 0x9B})


def is_permanent(cause: str) -> bool:
    """Whether trying again cannot help a client that was never connected (`cause` as in `Connection`)."""
    if cause.startswith("refused:0x"):
        return int(cause.removeprefix("refused:"), 16) in _PERMANENT
    return cause.startswith(("tls:", "certificate:"))
