"""Looks at a broker without any code of ours: paho as the client, plain HTTP for the management API."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.request
from time import monotonic
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from loadgen.broker.process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.reasoncodes import ReasonCode

    from loadgen.identity.identity import Identity


def call(uri: str, password: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """GET a path of the management API, or POST when there is a body."""
    token = base64.b64encode(f"loadgen:{password}".encode()).decode()
    request = urllib.request.Request(
        uri + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read() or b"null")


def add_user(uri: str, password: str, name: str) -> None:
    """Add a user without a password who may do everything."""
    everything = {"configure": ".*", "write": ".*", "read": ".*", "vhost": "/", "user": name}
    users = [{"name": name, "tags": ""}]
    call(uri, password, "/api/definitions", {"users": users, "permissions": [everything]})


class Witness:
    """A paho MQTT 5 client with its own certificate; entered when the broker has answered its CONNECT."""

    def __init__(self, uri: str, ca: Path, who: Identity) -> None:
        self.reason: int | None = None
        self.answered, self.subscribed, self.received = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self.messages: list[bytes] = []
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=who.cn, protocol=paho.MQTTv5)
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(who.certificate, who.key)
        self.paho.tls_set_context(context)
        self.paho.on_connect = self._connected
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        self.paho.on_message = self._message
        self.paho.on_publish = self._published
        self._reasons: dict[int, int] = {}
        place = urlsplit(uri)
        assert place.hostname
        assert place.port
        self.paho.connect(place.hostname, place.port)
        self.paho.loop_start()

    def _connected(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self.reason = reason.value
        self.answered.set()

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.messages.append(bytes(message.payload))
        self.received.set()

    def _published(
        self, _client: object, _data: object, packet_id: int, reason: ReasonCode, _properties: object
    ) -> None:
        self._reasons[packet_id] = reason.value

    def publish_until_found(self, topic: str, payload: bytes, limit: float = 20) -> None:
        """Publish until a subscription matches: one that another node granted may show here a moment later.

        A paho message counts as published before its callback ran, so the callback's word is waited for.
        """
        deadline = monotonic() + limit
        while monotonic() < deadline:
            told = self.paho.publish(topic, payload, qos=1)
            assert wait_until(lambda told=told: told.mid in self._reasons, 10, 0.001)  # type: ignore[misc]
            reason = self._reasons.pop(told.mid)
            if reason != 0x10:  # no matching subscribers
                assert reason == 0
                return
        raise AssertionError(topic)

    def __enter__(self) -> Self:
        assert self.answered.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()
