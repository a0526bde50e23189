"""Our own session over a plain blocking TLS socket: shows what a broker answers, packet by packet."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from loadgen.identity.tls import TlsOffer, client_context, load_identity
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import Acknowledged, Connected, Disconnected, Event, Message, Refused, Subscribed
from loadgen.mqtt.session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from mqtt5 import Will

    from loadgen.identity.identity import Identity

NO_SUBSCRIBER = 0x10
"""PUBACK's reason code when no subscription matched."""


class Asked(TypedDict, total=False):
    """What a CONNECT may ask for besides its client id; as `SessionConfig`."""

    clean_start: bool
    session_expiry: int
    keep_alive: int
    will: Will


@dataclass
class Entrance:
    """How to get to one node."""

    address: str
    port: int
    ca: Path
    offer: TlsOffer = field(default_factory=TlsOffer)
    name: str = ""
    """What the node's certificate must say, when that is not the address."""

    def secure(self, who: Identity | None) -> ssl.SSLSocket:
        """TCP and TLS, with or without a certificate of ours."""
        context = client_context(self.ca, self.offer)
        if who is not None:
            load_identity(context, who)
        tcp = socket.create_connection((self.address, self.port), timeout=10)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(tcp, server_hostname=self.name or self.address)


@dataclass
class RawClient:
    """One client; whatever arrives is kept in `events`."""

    entrance: Entrance
    who: Identity
    session: Session
    socket: ssl.SSLSocket
    events: list[Event] = field(default_factory=list)
    took: float = 0.0
    """Seconds from CONNECT to its answer."""
    _untaken: list[Event] = field(default_factory=list)
    ended: str = ""
    """`FIN` or `RST` once the broker has ended the connection."""

    @classmethod
    def connect(
        cls, entrance: Entrance, who: Identity, client_id: str, *, wait: float = 20, **asked: Unpack[Asked]
    ) -> Self:
        """Send CONNECT and wait for the answer, whatever it is."""
        session = Session(SessionConfig(client_id, **asked))
        client = cls(entrance, who, session, entrance.secure(who))
        before = monotonic()
        session.connect()
        client.flush()
        client.until(lambda event: isinstance(event, Connected | Refused), wait)
        client.took = monotonic() - before
        return client

    def flush(self) -> None:
        self.socket.sendall(self.session.take())

    def until(self, wanted: Callable[[Event], bool], wait: float = 10) -> Event | None:
        """Take the first wanted event, also an earlier one; None when the connection or the time ended."""
        deadline = monotonic() + wait
        while True:
            for place, event in enumerate(self._untaken):
                if wanted(event):
                    return self._untaken.pop(place)
            if self.ended or not self._read(deadline - monotonic()):
                return None

    def _read(self, wait: float) -> bool:
        """Read once; False when the time is over."""
        if wait <= 0:
            return False
        self.socket.settimeout(wait)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except OSError as error:  # TLS alerts are among them
            self.ended = "RST" if isinstance(error, ConnectionResetError) else str(error)
            return True
        if not data:
            self.ended = "FIN"
            return True
        events = self.session.receive(data)
        self.events += events
        self._untaken += events
        if answers := self.session.take():
            self.socket.sendall(answers)
        return True

    def until_end(self, wait: float = 10) -> str:
        """Read until the broker ends the connection: `FIN`, `RST`, or nothing within the time."""
        self.until(lambda _: False, wait)
        return self.ended

    @property
    def code(self) -> int | None:
        """Reason code of CONNACK; None when none came."""
        for event in self.events:
            if isinstance(event, Refused):
                return event.reason
            if isinstance(event, Connected):
                return 0
        return None

    @property
    def session_present(self) -> bool:
        return any(isinstance(event, Connected) and event.session_present for event in self.events)

    @property
    def disconnect(self) -> int | None:
        """Reason code of the broker's DISCONNECT; None when none came."""
        return next((event.reason for event in self.events if isinstance(event, Disconnected)), None)

    @property
    def messages(self) -> list[Message]:
        return [event for event in self.events if isinstance(event, Message)]

    def subscribe(self, *filters: tuple[str, int], wait: float = 10) -> tuple[int, ...]:
        """SUBACK's reason codes; empty when none came."""
        self.session.subscribe(filters)
        self.flush()
        event = self.until(lambda each: isinstance(each, Subscribed), wait)
        return event.reasons if isinstance(event, Subscribed) else ()

    def publish(self, topic: str, payload: bytes = b"x", qos: int = 1, *, wait: float = 10) -> int | None:
        """PUBACK's reason code; None when none came, and for QoS 0."""
        self.session.publish(topic, payload, qos)
        self.flush()
        if not qos:
            return None
        event = self.until(lambda each: isinstance(each, Acknowledged), wait)
        return event.reason if isinstance(event, Acknowledged) else None

    def publish_until_found(self, topic: str, payload: bytes = b"x", *, limit: float = 20) -> int | None:
        """Publish until a subscription matches: one that another node granted may show a moment later."""
        deadline = monotonic() + limit
        while (reason := self.publish(topic, payload)) == NO_SUBSCRIBER and monotonic() < deadline:
            pass
        return reason

    def message(self, wait: float = 10) -> Message | None:
        """The next message."""
        event = self.until(lambda each: isinstance(each, Message), wait)
        return event if isinstance(event, Message) else None

    def drop(self) -> None:
        """End the connection without DISCONNECT."""
        self.socket.close()
        self.session.connection_lost()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
