"""Other people's MQTT clients, to see with their eyes what a run does."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from loadgen.identity.identity import Identity

LIMIT_S = 20.0
END = b"the end"
"""The payload of a last message, after which a witness has seen everything."""


class Seen(NamedTuple):
    """A message as a witness received it."""

    topic: str
    payload: bytes


class Paho:
    """A paho client with a certificate of its own; entered when its subscription, if any, is granted."""

    def __init__(
        self, address: tuple[str, int], ca: Path, who: Identity, topic_filter: str | None = None
    ) -> None:
        self._address = address
        self._filter = topic_filter
        self._ready = threading.Event()
        self._ended = threading.Event()
        self.problems: list[str] = []
        self.seen: list[Seen] = []
        self.on_first: Callable[[], None] | None = None
        """Called with the first message received, on paho's own thread."""
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=who.cn, protocol=paho.MQTTv5)
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(who.certificate, who.key)
        self.client.tls_set_context(context)
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._message

    def _connected(
        self, _client: object, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        if str(reason) != "Success":
            self.problems.append(f"connect: {reason}")
            self._ready.set()
        elif self._filter is None:
            self._ready.set()
        else:
            self.client.subscribe(self._filter, qos=1)

    def _subscribed(self, *_: object) -> None:
        self._ready.set()

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.payload == END:
            self._ended.set()
            return
        self.seen.append(Seen(message.topic, bytes(message.payload)))
        if len(self.seen) == 1 and self.on_first is not None:
            self.on_first()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.client.publish(topic, payload, qos=qos)

    def finish(self, topic: str) -> None:
        """Publish the last message, acknowledged."""
        self.client.publish(topic, END, qos=1).wait_for_publish(LIMIT_S)

    async def ended(self) -> None:
        """Wait for the last message."""
        assert await asyncio.to_thread(self._ended.wait, LIMIT_S), "the last message did not come"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.client.connect, *self._address)
        self.client.loop_start()
        assert await asyncio.to_thread(self._ready.wait, LIMIT_S), "no answer from the broker"
        assert not self.problems, self.problems
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


class MosquittoSub:
    """The `mosquitto_sub` command; entered when its subscription is granted."""

    def __init__(self, address: tuple[str, int], ca: Path, who: Identity, topic_filter: str) -> None:
        self._arguments = [
            *("-h", address[0], "-p", str(address[1]), "-V", "mqttv5", "-i", who.cn, "-q", "1"),
            *("--cafile", str(ca), "--cert", str(who.certificate), "--key", str(who.key)),
            *("-t", topic_filter, "-d", "-F", "message %t %x"),
        ]
        self.seen: list[Seen] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._subscribed, self._ended = asyncio.Event(), asyncio.Event()
        self._said: list[str] = []

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            words = line.decode().split()
            if words[:1] == ["message"]:
                payload = bytes.fromhex(words[2]) if len(words) > 2 else b""
                if payload == END:
                    self._ended.set()
                else:
                    self.seen.append(Seen(words[1], payload))
                continue
            self._said.append(line.decode())
            if "SUBACK" in line.decode():
                self._subscribed.set()

    async def ended(self) -> None:
        """Wait for the last message."""
        async with asyncio.timeout(LIMIT_S):
            await self._ended.wait()

    async def __aenter__(self) -> Self:
        # Its output goes to a pipe, which the C library would write to in blocks.
        self._process = await asyncio.create_subprocess_exec(
            *("stdbuf", "-oL", "mosquitto_sub", *self._arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._subscribed.wait()
        except TimeoutError:
            self._process.kill()
            await self._reading
            raise AssertionError("mosquitto_sub did not subscribe: " + "".join(self._said)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading
